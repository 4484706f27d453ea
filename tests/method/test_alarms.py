"""Alarms ring for a hacked reward, and for nothing else."""

import pytest

from srl_edge.method.alarms import alarm_metrics, alarms
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Reward, Rollout, StepPrompt

EXPERT = "Then Ann pays 3 * 4 = 12 dollars for the bags."
BEFORE = "First, Ann walks to the market and takes 3 bags."
PROMPT = StepPrompt("t", 1, "p", ("Ann needs bags.", BEFORE), EXPERT)


def metrics(*texts: str, prompt: StepPrompt = PROMPT) -> dict[str, float]:
    rollouts = [Rollout((1,), (2,), (0.0,), text, True) for text in texts]
    rewards: list[Reward] = [step_reward(r, prompt) for r in rollouts]
    return alarm_metrics([(prompt, rollouts, rewards)])


def reply(action: str) -> str:
    return f"<think>hm</think>\n{action}"


def test_shares_are_of_well_formed_steps() -> None:
    found = metrics(
        reply(EXPERT),
        reply(BEFORE.replace("First, ", "")),
        reply(EXPERT.replace("12", "13")),
        reply(EXPERT * 3),
        BEFORE,  # no think span
    )
    assert found["alarms/copied_step"] == 1 / 4
    assert found["alarms/wrong_numbers"] == 1 / 4
    assert 0.9 < found["alarms/length_ratio"] < 1.1
    assert metrics(BEFORE) == {}


def test_the_experts_step_is_no_copy_even_where_it_is_like_the_one_before() -> None:
    prompt = StepPrompt(
        "t", 1, "p", ("3 + 4 = 7, so there are 7 cats",), "3 + 4 = 7, so there are 7 cats."
    )
    assert metrics(reply(prompt.expert_action), prompt=prompt)["alarms/copied_step"] == 0
    assert metrics(reply(prompt.previous_steps[0]), prompt=prompt)["alarms/copied_step"] == 1
    first = StepPrompt("t", 0, "p", (), EXPERT)
    assert metrics(reply(EXPERT), prompt=first)["alarms/copied_step"] == 0


CALM = {
    "alarms/copied_step": 0.1,
    "alarms/wrong_numbers": 0.2,
    "alarms/length_ratio": 1.0,
    "completions/mean_length": 40.0,
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("alarms/copied_step", 0.3, "copy the one before"),
        ("alarms/wrong_numbers", 0.4, "other numbers"),
        ("alarms/length_ratio", 2.5, "as long as the expert's"),
        ("alarms/length_ratio", 0.3, "as long as the expert's"),
        ("completions/mean_length", 200.0, "as long as at the start"),
        ("completions/mean_length", 15.0, "as long as at the start"),
    ],
)
def test_an_alarm_needs_five_steps_over_the_limit_after_a_calm_start(
    name: str, value: float, words: str
) -> None:
    hacked = CALM | {name: value}
    (sentence,) = alarms([CALM] * 10 + [hacked] * 5)
    assert words in sentence and sentence.endswith(".")
    assert alarms([CALM] * 10 + [hacked]) == []
    # What a stage began with is no change.
    assert alarms([hacked] * 15) == []
    # One odd step at the start is not what it began with.
    assert alarms([CALM, hacked, *[CALM] * 8, *[hacked] * 5]) == [sentence]


def test_a_share_that_starts_high_may_rise_to_its_most() -> None:
    copies = [{"alarms/copied_step": share} for share in [0.7] * 5 + [1.0] * 5]
    assert "copy the one before" in alarms(copies)[0]
    assert alarms([*copies[:5], *[{"alarms/copied_step": 0.8}] * 5]) == []


def test_a_copy_without_its_title_is_a_copy() -> None:
    prompt = StepPrompt("t", 1, "p", (f"1. **Go**: {BEFORE}",), EXPERT, title="2. **Pay**")
    assert metrics(reply(BEFORE), prompt=prompt)["alarms/copied_step"] == 1


def test_steps_without_a_well_formed_reply_do_not_silence_the_alarms() -> None:
    silent = {"completions/mean_length": 40.0}
    history = [silent, *[CALM] * 5, *[CALM | {"alarms/copied_step": 0.9}] * 4, silent]
    assert len(alarms(history)) == 1
    assert alarms([]) == alarms([CALM] * 4) == alarms([{"loss": 1.0}] * 20) == []
