"""Signs that a reward is being earned without the step being right."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from srl_edge.method.answers.texts import as_step
from srl_edge.method.prompts import titled
from srl_edge.method.rewards import number_agreement, similarity
from srl_edge.method.types import Reward, Rollout, StepPrompt

WINDOW = 5  # steps whose mean is compared


def alarm_metrics(
    groups: Sequence[tuple[StepPrompt, Sequence[Rollout], Sequence[Reward]]],
) -> dict[str, float]:
    """Shares of well-formed steps that look like a hacked reward, and their length, by name.

    alarms/copied_step: closer to the step before than to the expert's, and nearly equal to it.
    alarms/wrong_numbers: the expert's words with other numbers. alarms/length_ratio: median
    length over the expert's.
    """
    copied, wrong, lengths = [], [], []
    for prompt, rollouts, rewards in groups:
        expert = as_step(prompt.expert_action)
        for rollout, reward in zip(rollouts, rewards, strict=True):
            if reward.fault:
                continue
            action = prompt.form.read(rollout.text, rollout.finished).action
            close = similarity(action, expert)  # not the reward's, which may have autojunk on
            last = prompt.previous_steps[-1:]
            before = max(
                (similarity(action, t) for s in last for t in (s, titled(s)[1])), default=0
            )
            copied.append(before >= 0.9 and before > close)
            wrong.append(close > 0.8 and number_agreement(action, expert) < 1)
            lengths.append(len(action) / max(len(expert), 1))
    if not lengths:
        return {}
    return {
        "alarms/copied_step": fmean(copied),
        "alarms/wrong_numbers": fmean(wrong),
        "alarms/length_ratio": median(lengths),
    }


def alarms(history: Sequence[Mapping[str, float]]) -> list[str]:
    """What has gone wrong since a stage began, one sentence each, from its steps' metrics so far.

    A metric counts where its newest mean is over a limit and well above what it began with.
    """
    found = []
    if _risen(_series(history, "alarms/copied_step"), 0.2, most=1):
        found.append("more than a fifth of the steps copy the one before; try `guards = true`.")
    if _risen(_series(history, "alarms/wrong_numbers"), 0.3, most=1):
        found.append(
            "nearly a third of the steps have the expert's words and other numbers; give `numbers` "
            "more of the reward, as in `reward = { characters = 0.5, numbers = 0.5 }`."
        )
    if _risen([max(r, 1 / r) for r in _series(history, "alarms/length_ratio")], 2):
        found.append("steps are less than half, or more than twice, as long as the expert's.")
    lengths = _series(history, "completions/mean_length")
    drift = fmean(lengths[-WINDOW:]) / fmean(lengths[:WINDOW]) if lengths else 1.0
    thoughts = _series(history, "completions/mean_thought_length")
    if len(thoughts) > WINDOW and fmean(thoughts[-WINDOW:]) < fmean(thoughts[:WINDOW]) / 2:
        found.append("thoughts are less than half as long as at the start.")
    if len(lengths) > WINDOW and not 0.5 <= drift <= 2:
        found.append("replies are less than half, or more than twice, as long as at the start.")
    return found


def own_way_alarms(base: Mapping[str, float], now: Mapping[str, float], count: int) -> list[str]:
    """What a validation of `count` problems says was lost of the model's own way of answering.

    base: the validation before any training.
    """
    found = []
    before, after = base["eval_own_accuracy"], now["eval_own_accuracy"]
    # Two problems of a handful may be chance; two and a quarter of what it solved rarely are.
    if (before - after) * count > 1.5 and after < 0.75 * before:
        found.append(
            f"asked in its own way, the model solves {after:.0%} of {count} held-out problems, "
            f"{before:.0%} before training; lower the learning rate or the sft steps, give kl, or "
            'train in its own way (`prompt.preset = "math"` with `reply = "whole"`).'
        )
    if now["eval_own_length"] < 0.5 * base["eval_own_length"]:
        found.append(
            "its replies in its own way are less than half as long as before training: it reasons "
            "less than it could."
        )
    return found


def _series(history: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [row[name] for row in history if name in row]


def _risen(values: Sequence[float], limit: float, most: float = math.inf) -> bool:
    if len(values) <= WINDOW:
        return False
    now, first = fmean(values[-WINDOW:]), fmean(values[:WINDOW])
    # Half of the way to the most it can be is well above, too.
    return now > max(limit, min(1.5 * first, (first + most) / 2))
