"""The SRL reward: how close the step is to the expert's, or the penalty for a broken format."""

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

try:
    # Bit-identical to difflib and about fifteen times faster (tested against it).
    from cydifflib import SequenceMatcher
except ImportError:
    from difflib import SequenceMatcher  # type: ignore[assignment]

from srl_edge.errors import InputError, StageError
from srl_edge.method import actions
from srl_edge.method.answers.texts import as_step
from srl_edge.method.own_code import loaded
from srl_edge.method.prompt_form import CLOSE, DONE, OPEN, PromptForm, Reply
from srl_edge.method.prompts import numbers, titled
from srl_edge.method.types import Reward, Rollout, StepPrompt
from srl_edge.method.verifiers import is_correct

FORMAT_PENALTY = -1.0
PAPER: Mapping[str, float] = {"characters": 1.0}
DEFAULT: Mapping[str, float] = {"characters": 0.5, "numbers": 0.5}  # a wrong digit is one of fifty
OF_ACTIONS: Mapping[str, float] = {"characters": 0.5, "call": 0.5}
PARTS = ("characters", "tokens", "numbers", "results", "answer", "call")
_TOKEN = re.compile(r"\\[A-Za-z]+|\d+(?:\.\d+)?|\w+|[^\w\s]")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")


def step_reward(
    rollout: Rollout,
    prompt: StepPrompt,
    weights: Mapping[str, float] = PAPER,
    guards: bool = False,
    autojunk: bool = False,
) -> Reward:
    """Weighted sum of the parts of a step's reward, or -1 where the format is broken.

    The thought is never scored. `parts` has every part by its name, the characters' as
    `similarity`. Source: arXiv 2510.25992, section 4.2.
    """
    kind = actions.kind_of(prompt.expert_action, prompt.form.action)
    expert = as_step(prompt.expert_action) if kind == "text" else prompt.expert_action.strip()
    reply = _read(replace(prompt.form, action=kind), rollout, expert)
    if reply.fault:
        return Reward(FORMAT_PENALTY, {"format": 0.0}, reply.fault)
    parts = {"similarity": similarity(reply.action, expert, autojunk)}
    if guards and (fault := _guard_fault(reply.action, prompt)):
        return Reward(FORMAT_PENALTY, {"format": 1.0, **parts}, fault)
    total = 0.0
    default = DEFAULT if prompt.form.action == "text" else OF_ACTIONS
    for name, weight in (weights or default).items():
        match name:
            case "characters":
                value = parts["similarity"]
            case "tokens":
                value = parts[name] = token_similarity(reply.action, expert)
            case "numbers":
                value = parts[name] = number_agreement(reply.action, expert)
            case "results":
                value = parts[name] = results_reached(reply.action, expert)
            case "answer":
                value = parts[name] = float(
                    is_correct(reply.action, prompt.answer or "", prompt.form, prompt.problem)
                )
            case "call":
                value = parts[name] = actions.agreement(reply.action, expert, kind)
            case _:
                value = parts[name] = _custom(name, reply.action, prompt)
        total += weight * value
    return Reward(total, {"format": 1.0, **parts})


def _read(form: PromptForm, rollout: Rollout, expert: str) -> Reply:
    """A rollout's reply; think tags in a copy of the expert's action are the action's."""
    text = rollout.text.rstrip()
    if (OPEN in expert or CLOSE in expert) and text.endswith(expert):
        copied = form.read(text.removesuffix(expert) + DONE, rollout.finished)
        if copied.action == DONE and not copied.fault:
            return replace(copied, action=expert)
    return form.read(rollout.text, rollout.finished)


def similarity(prediction: str, expert: str, autojunk: bool = False) -> float:
    """2M / T of difflib's matching blocks over characters, in [0, 1].

    Python's own default, autojunk on, drops frequent characters of any text of 200 characters or
    more and makes the ratio depend on the order of its arguments; so it is off here.
    Source: arXiv 2510.25992, section 4.2.
    """
    return float(SequenceMatcher(None, prediction, expert, autojunk=autojunk).ratio())


def token_similarity(prediction: str, expert: str) -> float:
    """The same ratio over words, numbers, LaTeX commands and signs, in [0, 1]."""
    a, b = _TOKEN.findall(prediction), _TOKEN.findall(expert)
    return float(SequenceMatcher(None, a, b, autojunk=False).ratio())


def number_agreement(prediction: str, expert: str) -> float:
    """F1 of the numbers written in two texts, as multisets, in [0, 1]; 1 where neither has any.

    Text similarity barely sees a wrong digit; this sees nothing else. Signs are not compared.
    """
    a, b = _values(prediction), _values(expert)
    if not a and not b:
        return 1.0
    return 2 * (a & b).total() / (a.total() + b.total())


def results_reached(prediction: str, expert: str) -> float:
    """Share of the expert's results, one a line, that are written in the same order, in [0, 1].

    A line's result is the number after its last equals sign; lines without one have none. Words,
    and what else is written in between, do not count: so a model may reason in its own way.
    0 where the expert's lines have no result.
    """
    results = [value for line in expert.splitlines() for value in _result(line)]
    written = list(_in_order(prediction))
    # Longest common subsequence.
    best = [0] * (len(written) + 1)
    for result in results:
        before = best
        best = [0]
        for at, value in enumerate(written):
            same = before[at] + 1 if value == result else 0
            best.append(max(same, before[at + 1], best[-1]))
    return best[-1] / len(results) if results else 0.0


def _result(line: str) -> list[float]:
    _, equals, after = line.rpartition("=")
    return list(_in_order(after))[:1] if equals else []


def _values(text: str) -> Counter[float]:
    return Counter(_in_order(text))


def _in_order(text: str) -> Iterator[float]:
    # A comma that separates no thousands separates numbers: (3,4) is not 34.
    return map(float, numbers(_THOUSANDS.sub("", text).replace(",", " ")))


def matching_blocks(prediction: str, expert: str) -> list[tuple[int, int, int]]:
    """The blocks that `similarity` counts: (start in prediction, start in expert, length)."""
    matcher: Any = SequenceMatcher(None, prediction, expert, autojunk=False)
    return [(b.a, b.b, b.size) for b in matcher.get_matching_blocks() if b.size]


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise InputError, in one sentence, for a part that does not exist.

    Files are named, not looked for: reading a recipe runs none of its code.
    """
    for name in weights:
        if ":" not in name and name not in PARTS:
            near = difflib.get_close_matches(name, PARTS, n=1)
            known = f'known: {", ".join(PARTS)}, or your own as "file.py:function".'
            hint = f"did you mean {near[0]!r}?" if near else known
            raise InputError(f"reward: unknown part {name!r}; {hint}")


def load_parts(weights: Mapping[str, float]) -> None:
    """Run the files of one's own parts; raises InputError where a part cannot be loaded."""
    for name in weights:
        if ":" in name:
            loaded(name, "reward")


def _guard_fault(action: str, prompt: StepPrompt) -> str:
    """What makes a well-formed reply no single new step; '' if nothing does, as for the expert's.

    Without guards, a copy of the step before has a mean reward of 0.5 on GSM8K.
    """
    expert = as_step(prompt.expert_action)
    before = {text for step in prompt.previous_steps for text in (step, titled(step)[1])}
    if _plain(action) in {_plain(text) for text in before} - {_plain(expert)}:
        return "a step that was taken before"
    if len(action) > max(3 * len(expert), len(expert) + 40):
        return "a step more than three times as long as the expert's"
    if _lines(action) > _lines(expert) or _headers(action) > _headers(expert):
        return "more than one step"
    return ""


def _plain(step: str) -> str:
    return " ".join(step.split())


def _lines(step: str) -> int:
    return sum(bool(line.strip()) for line in step.split("\n"))


def _headers(step: str) -> int:
    """Lines after the first that begin as a numbered step does."""
    return len(re.findall(r"\n\d+[.)]\s", step.strip()))


def _custom(name: str, action: str, prompt: StepPrompt) -> float:
    try:
        value = float(loaded(name, "reward")(action, prompt))
    except Exception as error:
        raise StageError(
            f"reward {name}: it failed on {prompt.trajectory_id}, step {prompt.step_index + 1}: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not math.isfinite(value):
        raise StageError(
            f"reward {name}: it gave {value} for {prompt.trajectory_id}, step "
            f"{prompt.step_index + 1}; a finite number is needed."
        )
    return value
