"""Actions are compared as the world would take them."""

import json

import pytest

from srl_edge.method.actions import Kind, agreement, fault, same
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout, StepPrompt


@pytest.mark.parametrize(
    ("action", "expert", "kind"),
    [
        ("ls  -l", "ls -l", "command"),
        ("echo 'Ada' > answer.txt", 'echo Ada > "answer.txt"', "command"),
        ("sed -i 's/a/b/' x.py", 'sed -i "s/a/b/" x.py', "command"),
        ('{"arguments": {"b": 2.0, "a": 1}, "name": "f"}', "f(a=1, b=2)", "call"),
        ("I have  sent it.", "I have sent it.", "text"),
    ],
)
def test_the_same_to_the_world(action: str, expert: str, kind: Kind) -> None:
    assert same(action, expert, kind)
    assert agreement(action, expert, kind) == 1.0


@pytest.mark.parametrize(
    ("action", "expert", "kind", "value"),
    [
        ("rm a", "ls a", "command", 0.0),
        ("rm a b", "rm a", "command", 0.5 + 0.5 * 2 / 3),
        ("rm b", "rm a", "command", 0.5),
        ("grep x f | wc -l", "grep x f", "command", 1 / 3),
        ("grep x f", "grep x f | wc -l", "command", 1 / 3),
        ("f(a=1, b=3)", "f(a=1, b=2)", "call", 0.75),
        ("f(a=True)", "f(a=1)", "call", 0.5),
        ("g(a=1)", "f(a=1)", "call", 0.0),
        ("echo 'open", "echo open", "command", 0.0),
        ("I sent it.", "f(a=1)", "call", 0.0),
        ("ls -l", "ls -a", "call", 0.5),  # a shell's command among calls
        ("it's so", "it's not", "call", 0.0),
        (
            json.dumps(
                {
                    "name": "edit",
                    "arguments": {"path": "a", "old_str": "1\n2\n3", "new_str": "1\n5\n3"},
                }
            ),
            json.dumps(
                {"name": "edit", "arguments": {"path": "a", "old_str": "2\n3", "new_str": "6\n3"}}
            ),
            "call",
            0.5 + 0.5 * 2 / 3,  # the path and the line removed; not what stays as it is
        ),
        (
            json.dumps({"name": "new", "arguments": {"text": "a\nb\nc"}}),
            json.dumps({"name": "new", "arguments": {"text": "a\nb\nd\ne"}}),
            "call",
            0.5 + 0.5 * 4 / 7,
        ),
        (
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n",
            "--- a/x\n+++ b/x\n@@ -7,1 +7,1 @@\n-two\n+four\n",
            "text",
            0.75,
        ),
    ],
)
def test_a_call_is_its_name_and_arguments(
    action: str, expert: str, kind: Kind, value: float
) -> None:
    assert not same(action, expert, kind)
    assert agreement(action, expert, kind) == pytest.approx(value)


@pytest.mark.parametrize(
    ("action", "kind", "said"),
    [
        ("echo 'open", "command", "an action that cannot be read (No closing quotation)"),
        ("   ", "command", "an action that says nothing"),
        ('{"name": "f", "arguments": {"a": }', "call", "an action that cannot be read"),
    ],
)
def test_what_cannot_be_read_is_a_fault(action: str, kind: Kind, said: str) -> None:
    assert fault(action, kind).startswith(said)


def test_a_broken_action_breaks_the_format() -> None:
    form = PRESETS["agent"]
    reply = form.read("<think>a quote</think>\necho 'open")
    assert reply.fault.startswith("an action that cannot be read") and reply.action == "echo 'open"
    assert not form.read("<think>so</think>\ndone").fault
    assert not PRESETS["general"].read("<think>so</think>\nit's").fault


def test_the_reward_of_a_call() -> None:
    prompt = StepPrompt("t", 0, "List", (), "ls -l src", form=PRESETS["agent"])

    def of(action: str, **weights: float) -> float:
        rollout = Rollout((), (), (), f"<think></think>\n{action}", True)
        return step_reward(rollout, prompt, weights).total

    assert of("ls src -l", call=1.0) == 1.0
    assert of("ls src", call=1.0) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert of("ls 'src", call=1.0) == -1.0
    assert of("ls src -l") == pytest.approx(0.5 * of("ls src -l", characters=1.0) + 0.5)


def test_json_of_many_levels_is_no_call() -> None:
    deep = "[" * 100_000
    assert fault(json.dumps({"name": "f"})[:-1] + deep, "call")
