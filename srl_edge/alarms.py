"""Signs that a reward is being earned without the step being right."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from srl_edge.prompts import read_reply
from srl_edge.rewards import number_agreement, similarity
from srl_edge.types import Reward, Rollout, StepPrompt

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
        expert = prompt.expert_action.strip()
        for rollout, reward in zip(rollouts, rewards, strict=True):
            if reward.fault:
                continue
            action = read_reply(rollout.text, rollout.finished).action
            close = reward.parts["similarity"]
            before = similarity(action, prompt.previous_steps[-1]) if prompt.previous_steps else 0.0
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
    """What is wrong by now, one sentence each, from the metrics of a stage's steps so far."""
    found = []
    if _passed(history, "alarms/copied_step", 0.2):
        found.append("more than a fifth of the steps copy the one before; try `guards = true`.")
    if _passed(history, "alarms/wrong_numbers", 0.3):
        found.append(
            "nearly a third of the steps have the expert's words and other numbers; try "
            "`reward = { characters = 0.5, numbers = 0.5 }`."
        )
    ratio = _recent(history, "alarms/length_ratio")
    if ratio is not None and not 0.5 <= ratio <= 2:
        found.append("steps are less than half, or more than twice, as long as the expert's.")
    length, first = (
        _recent(rows, "completions/mean_length") for rows in (history, history[:WINDOW])
    )
    if length and first and not 0.5 <= length / first <= 2:
        found.append("replies are less than half, or more than twice, as long as at the start.")
    return found


def _passed(history: Sequence[Mapping[str, float]], name: str, limit: float) -> bool:
    """Whether a share is above its limit, and well above what it was at the start."""
    now, first = _recent(history, name), _recent(history[:WINDOW], name)
    return now is not None and first is not None and now > max(limit, 1.5 * first)


def _recent(history: Sequence[Mapping[str, float]], name: str) -> float | None:
    values = [row[name] for row in history[-WINDOW:] if name in row]
    return fmean(values) if len(values) == WINDOW else None
