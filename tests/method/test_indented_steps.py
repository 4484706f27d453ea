"""Steps of code: their indentation is asked for, read and rewarded."""

from dataclasses import replace

import pytest

from srl_edge.method.prompt_form import DEFAULT, PRESETS
from srl_edge.method.prompts import step_prompts, warm_up_reply
from srl_edge.method.rewards import step_reward
from srl_edge.method.solving import Attempt, take_step
from srl_edge.method.types import Rollout, Trajectory

CODE = Trajectory(
    "a", "Add up.", ("def f(s):", "  t = 0", "  for n in s:\n    t += n", "\treturn t")
)


@pytest.mark.parametrize("form", [DEFAULT, PRESETS["math"]])
def test_an_experts_code_is_read_back_and_rewarded_fully(form: object) -> None:
    (prompts,) = step_prompts([CODE], "all", form=form)  # type: ignore[arg-type]
    attempt = Attempt("a", "Add up.", "")
    for prompt in prompts:
        text = warm_up_reply(prompt)
        assert prompt.form.read(text).action == prompt.expert_action
        reward = step_reward(Rollout((), (), (), text, True), prompt, {"characters": 1.0}, True)
        assert reward.total == 1.0 and not reward.fault
        assert "".join(f"{s}\n" for s in attempt.steps) in prompt.messages[-1]["content"]
        take_step(attempt, text, True, prompt.form)
    assert attempt.steps == list(CODE.steps)


@pytest.mark.parametrize("indented", ["t = 0", "    t = 0", "\tt = 0"])
def test_another_indentation_is_another_step(indented: str) -> None:
    prompt = step_prompts([CODE], "all")[0][1]
    text = f"<think></think>\n{indented}"
    reward = step_reward(Rollout((), (), (), text, True), prompt, {"characters": 1.0})
    assert reward.total < 1


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<think>a</think> So 5.", "So 5."),
        ("<think>a</think>   So 5.", "So 5."),
        ("<think>a</think>\n\n So 5.\n", "So 5."),
        ("<think>a</think>\n   x = 5", "   x = 5"),
        ("<think>a</think> \n\tx = 5", "\tx = 5"),
    ],
)
def test_what_follows_a_thought_on_its_line_is_not_indented(text: str, action: str) -> None:
    assert DEFAULT.read(text).action == action
    assert DEFAULT.read(text, finished=False).action == action
    command = replace(DEFAULT, action="command")
    assert command.read(text).action == action.strip()


def test_one_space_before_a_reply_indents_nothing() -> None:
    assert PRESETS["math"].read(" So 5.").action == "So 5."
    assert PRESETS["math"].read("\n  x = 5\n").action == "  x = 5"
