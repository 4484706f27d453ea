"""Next tokens and greedy text of an artifact beside those of the model it was made from."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from srl_edge.devices.runtimes.contract import Logits, Runtime, greedy, likeliest
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.exporters.subject import Split, Subject
from srl_edge.method.prompts import (
    expert_ids,
    prompt_ids,
    shared_length,
    step_prompts,
    whole_prompts,
)
from srl_edge.method.types import StepPrompt
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.report.parity_rows import NextTokens, OtherToken
from srl_edge.terminal import progress


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt with the expert's reply, and what the reference says about both.

    A long case fills the context: other chats come before its prompt, and there is no greedy text.
    """

    prompt: StepPrompt
    prompt_ids: list[int]
    reply_ids: list[int]
    logits: np.ndarray[Any, np.dtype[np.float16]]  # [len(reply_ids), V]
    greedy_ids: list[int] = field(default_factory=list)


# Noise of a sound artifact's logits at most, as a share of their spread, by its weights' bits.
BROKEN = 1e4  # stands for a logit that is infinite
NOISE = {32: 1e-3, 16: 5e-3, 8: 0.03, 4: 0.1}


def references(
    subject: Subject, model: Path, split: Split, adapter: Path | None = None
) -> tuple[list[Case], list[Case]]:
    """What a model folder says of a split's prompts, and of long ones.

    Those go past a sliding window, and fill the whole context. adapter: a PEFT folder beside the
    model, if it is not merged into it.
    """
    tokenizer, stops = load_tokenizer(model), stop_ids(model)
    texts, form, settings = subject.texts(split), subject.asked.form, subject.check
    whole = subject.asked.whole
    groups = whole_prompts(texts, form) if whole else step_prompts(texts, "all", form=form)
    prompts = [p for g in groups for p in g]
    prompts = Random(subject.seed).sample(prompts, min(settings.prompts, len(prompts)))
    runtime = TorchRuntime(model, subject.bench.threads, adapter)
    length = subject.export.context_length
    encoded = [
        (
            list(prompt_ids(tokenizer, p)),
            expert_ids(tokenizer, p),
        )
        for p in prompts
    ]
    encoded = [(ids, reply[: max(1, length - len(ids))]) for ids, reply in encoded]
    count = len(prompts)
    replies = runtime.complete(
        [ids for ids, _ in encoded], [settings.greedy_tokens] * count, stops, [likeliest] * count
    )
    cases, long = [], []
    with progress.bar("check: reference", count) as advance:
        for prompt, (ids, reply), text in zip(prompts, encoded, replies, strict=True):
            logits = runtime.score(ids, reply).astype(np.float16)
            cases.append(Case(prompt, ids, reply, logits, text))
            advance()
    filler = [token for ids, reply in encoded for token in (*ids, *reply)]
    # The longest reply has the most positions that are compared.
    prompt, (ids, reply) = max(zip(prompts, encoded, strict=True), key=lambda each: len(each[1][1]))
    for size in _lengths(runtime, length):
        room = size - len(ids) - len(reply)
        if room > 0:
            before = (filler * (1 + room // len(filler)))[-room:]
            logits = runtime.score([*before, *ids], reply).astype(np.float16)
            long.append(Case(prompt, [*before, *ids], reply, logits))
    return cases, long


def _lengths(runtime: TorchRuntime, context_length: int) -> list[int]:
    window = getattr(runtime.model.config, "sliding_window", None)
    past = [window + window // 2] if window else [context_length // 2]
    return [n for n in past if n < context_length] + [context_length]


def teacher_forced(runtime: Runtime, prompt: Sequence[int], reply: Sequence[int]) -> list[Logits]:
    """Logits before each token of a given reply."""
    return [runtime.prefill(prompt), *(runtime.decode(token) for token in reply[:-1])]


def agreement(
    runtime: Runtime,
    cases: Sequence[Case],
    tokenizer: Any,
    advance: progress.Advance,
    name: str,
    bits: int | None = 32,
) -> NextTokens:
    """Share of positions with the same most likely token, KL in nats, largest logit error.

    `ties` are the positions that differ where the reference's own margin is within the artifact's
    noise: the median error of its logits, and no more than NOISE of its bits' share of their
    spread. `agreement_but_ties` counts those as equal; `first_difference` is none of them.
    `not_finite` are positions with a logit that is no finite number: none of them agrees.
    """
    agreed = not_finite = 0
    divergence, errors, spreads = [], [], []
    differing: list[tuple[float, OtherToken]] = []  # by the reference's margin
    for case in cases:
        for at, theirs, found in _pairs(runtime, case):
            broken = not np.isfinite(found).all()
            ours = np.nan_to_num(found, nan=0.0, posinf=BROKEN, neginf=-BROKEN)
            expected, got = int(theirs.argmax()), int(ours.argmax())
            agreed += expected == got and not broken
            not_finite += broken
            divergence.append(_divergence(theirs, ours))
            apart = theirs - ours
            errors.append(
                (float(np.median(np.abs(apart - apart.mean()))), float(np.abs(apart).max()))
            )
            spreads.append(float(theirs.std()))
            if expected != got or broken:
                where = OtherToken(
                    prompt=case.prompt.trajectory_id,
                    step_index=case.prompt.step_index,
                    position=at,
                    expected=tokenizer.decode([expected]),
                    got=tokenizer.decode([got]),
                )
                # The reference is kept in 16 bits, which have so much of a margin themselves.
                kept = float(np.abs(theirs[[expected, got]]).max()) * 2**-10
                margin = float(theirs[expected] - theirs[got]) - kept
                differing.append((math.inf if broken else margin, where))
        advance(name)
    measured = float(np.median([median for median, _ in errors]))
    noise = min(measured, NOISE[bits or 4] * float(np.median(spreads)))
    real = [where for margin, where in differing if margin > noise]
    positions, ties = len(divergence), len(differing) - len(real)
    return NextTokens(
        positions=positions,
        not_finite=not_finite,
        agreement=agreed / positions,
        ties=ties,
        agreement_but_ties=(agreed + ties) / positions,
        kl_divergence=float(np.mean(divergence)),
        max_logit_error=max(largest for _, largest in errors),
        first_difference=next(iter(real), None),
    )


def greedy_texts(
    runtime: Runtime, cases: Sequence[Case], stops: Sequence[int], tokens: int
) -> tuple[int, float]:
    """How many greedy texts are the reference's, and how far texts go before they part."""
    same = matched = total = 0
    for case in cases:
        text = greedy(runtime, case.prompt_ids, tokens, stops)
        same += text == case.greedy_ids
        matched += shared_length(text, case.greedy_ids)
        total += len(case.greedy_ids)
    return same, matched / total


def _pairs(runtime: Runtime, case: Case) -> Iterator[tuple[int, Logits, Logits]]:
    found: Sequence[Logits]
    if isinstance(runtime, TorchRuntime):
        found = list(runtime.score(case.prompt_ids, case.reply_ids))  # one pass, not one a token
    else:
        found = teacher_forced(runtime, case.prompt_ids, case.reply_ids)
    for at, (theirs, ours) in enumerate(zip(case.logits, found, strict=True)):
        yield at, theirs.astype(np.float32), ours


def _divergence(theirs: Logits, ours: Logits) -> float:
    """KL(reference || artifact) of one position, in nats."""
    p, q = _log_softmax(theirs), _log_softmax(ours)
    return float((np.exp(p) * (p - q)).sum())


def _log_softmax(logits: Logits) -> np.ndarray[Any, np.dtype[np.float64]]:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    logprobs: np.ndarray[Any, np.dtype[np.float64]] = wide - np.log(np.exp(wide).sum())
    return logprobs
