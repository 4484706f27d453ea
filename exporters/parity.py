"""Does an artifact answer as the trained model does? Token ids, next tokens, greedy text.

The reference is the merged model on PyTorch in fp32, over held-out step prompts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from srl_edge import artifact as artifacts
from srl_edge import progress, trajectories
from srl_edge.devices.runtimes import Logits, Runtime, TorchRuntime, greedy, open_runtime
from srl_edge.errors import InputError, ParityError
from srl_edge.models import load_tokenizer, stop_ids
from srl_edge.prompts import messages, shared_length, step_prompts, warm_up_reply
from srl_edge.recipe import Recipe
from srl_edge.types import StepPrompt


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt with the expert's reply, and what the reference says about both."""

    prompt: StepPrompt
    rendered: str
    prompt_ids: list[int]
    reply_ids: list[int]
    logits: np.ndarray[Any, np.dtype[np.float16]]  # [len(reply_ids), V]
    greedy_ids: list[int]


def check(recipe: Recipe, run: Path) -> Path:
    """Compare every artifact of a run with `run/merged`; return `run/parity`, a file for each.

    Raises ParityError, naming the first prompt and position that differ, where an artifact has
    other prompt ids or agrees on fewer next tokens than `check.agreement` asks for.
    """
    found = sorted((run / "artifacts").glob("*/manifest.json"))
    if not found:
        raise InputError(f"{run}/artifacts: nothing to check; run `srl-edge export {run}` first.")
    folder = run / "parity"
    folder.mkdir(parents=True, exist_ok=True)
    cases = reference(run / "merged", run / "data" / "test.jsonl", recipe)
    failures = []
    with progress.bar("check", len(found) * len(cases)) as advance:
        for path in found:
            artifact = artifacts.load(path.parent)
            result = compare(artifact, cases, recipe, run / "merged", advance)
            (folder / f"{artifact.name}.json").write_text(json.dumps(result, indent=1) + "\n")
            if not result["passed"]:
                failures.append(_sentence(artifact.name, result))
    if failures:
        raise ParityError("\n".join(failures))
    return folder


def reference(merged: Path, problems: Path, recipe: Recipe) -> list[Case]:
    """Cases over held-out prompts, with the reference's logits and greedy text."""
    tokenizer = load_tokenizer(merged)
    stops = stop_ids(merged)
    prompts = [p for g in step_prompts(trajectories.load(problems), "all") for p in g]
    prompts = Random(recipe.seed).sample(prompts, min(recipe.check.prompts, len(prompts)))
    runtime = TorchRuntime(merged, recipe.bench.threads)
    cases = []
    with progress.bar("check: reference", len(prompts)) as advance:
        for prompt in prompts:
            chat = messages(prompt.problem, prompt.previous_steps)
            rendered = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=False
            )
            ids = tokenizer.encode(rendered, add_special_tokens=False)
            reply = tokenizer.encode(warm_up_reply(prompt), add_special_tokens=False)
            logits = runtime.score(ids, reply).astype(np.float16)
            text = greedy(runtime, ids, recipe.check.greedy_tokens, stops)
            cases.append(Case(prompt, rendered, ids, reply, logits, text))
            advance()
    return cases


def teacher_forced(runtime: Runtime, prompt: Sequence[int], reply: Sequence[int]) -> list[Logits]:
    """Logits before each token of a given reply."""
    return [runtime.prefill(prompt), *(runtime.decode(token) for token in reply[:-1])]


def compare(
    artifact: artifacts.Artifact, cases: Sequence[Case], recipe: Recipe, merged: Path,
    advance: progress.Advance,
) -> dict[str, Any]:  # fmt: skip
    """Measure one artifact against the reference; `passed` applies the recipe's thresholds."""
    tokenizer, own = load_tokenizer(merged), load_tokenizer(artifact.path)
    runtime = open_runtime(artifact, recipe.bench.threads)
    positions = agreed = same_ids = same_text = matched = total = 0
    divergence: list[float] = []
    largest = 0.0
    first_difference: dict[str, Any] | None = None
    for case in cases:
        encoded = runtime.encode(case.rendered)
        chat = messages(case.prompt.problem, case.prompt.previous_steps)
        rendered = own.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        same_ids += rendered == case.prompt_ids and encoded in (None, case.prompt_ids)
        logits = teacher_forced(runtime, case.prompt_ids, case.reply_ids)
        for at, (theirs, ours) in enumerate(zip(case.logits, logits, strict=True)):
            theirs = theirs.astype(np.float32)
            expected, got = int(theirs.argmax()), int(ours.argmax())
            positions += 1
            agreed += expected == got
            divergence.append(_divergence(theirs, ours))
            largest = max(largest, float(np.abs(theirs - ours).max()))
            if expected != got and first_difference is None:
                first_difference = {
                    "prompt": case.prompt.trajectory_id,
                    "step_index": case.prompt.step_index,
                    "position": at,
                    "expected": tokenizer.decode([expected]),
                    "got": tokenizer.decode([got]),
                }
        text = greedy(runtime, case.prompt_ids, recipe.check.greedy_tokens, stop_ids(merged))
        same_text += text == case.greedy_ids
        matched += shared_length(text, case.greedy_ids)
        total += len(case.greedy_ids)
        advance(artifact.name)
    agreement = agreed / positions
    threshold = recipe.check.agreement.get(artifact.quantization, 1.0)
    return {
        "artifact": artifact.name,
        "prompts": len(cases),
        "positions": positions,
        "prompt_ids_equal": same_ids,
        "agreement": agreement,
        "agreement_threshold": threshold,
        "kl_divergence": float(np.mean(divergence)),
        "max_logit_error": largest,
        "greedy_texts_equal": same_text,
        "greedy_tokens_before_first_difference": matched / total,
        "first_difference": first_difference,
        "passed": same_ids == len(cases) and agreement >= threshold,
    }


def _divergence(theirs: Logits, ours: Logits) -> float:
    """KL(reference || artifact) of one position, in nats."""
    p, q = _log_softmax(theirs), _log_softmax(ours)
    return float((np.exp(p) * (p - q)).sum())


def _log_softmax(logits: Logits) -> np.ndarray[Any, np.dtype[np.float64]]:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    logprobs: np.ndarray[Any, np.dtype[np.float64]] = wide - np.log(np.exp(wide).sum())
    return logprobs


def _sentence(name: str, result: dict[str, Any]) -> str:
    if result["prompt_ids_equal"] < result["prompts"]:
        return (
            f"{name}: {result['prompts'] - result['prompt_ids_equal']} of {result['prompts']} "
            "prompts are tokenized differently than in training."
        )
    said = (
        f"{name}: agrees with the merged model on {result['agreement']:.1%} of "
        f"{result['positions']} next tokens, less than {result['agreement_threshold']:.1%}"
    )
    where = result["first_difference"]
    if where is None:
        return f"{said}."
    return (
        f"{said}; first difference: prompt {where['prompt']} step {where['step_index']} position "
        f"{where['position']}: {where['got']!r} in place of {where['expected']!r}."
    )
