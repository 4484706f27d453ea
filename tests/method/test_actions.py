"""Actions are compared as the world would take them."""

import json
import time
from dataclasses import replace

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
        ('{"name": "f", "arguments": {"a": [1.0, {"b": 2.0}]}}', "f(a=[1, {'b': 2}])", "call"),
        ("ls\n\ncat x\n", "ls; cat x", "command"),
        ("ls # it's all", "ls", "command"),
        ("ls -l \\\n  src", "ls -l src", "command"),
        ("ls 2>&1|cat", "ls 2>&1 | cat", "command"),
        ("grep -r x --include='*.py'", "grep -r x --include=*.py", "command"),
        ("grep 'x$' a", 'grep "x$" a', "command"),
        ('echo "it\'s $HOME"', 'echo "it\'s "$HOME', "command"),
        ("cat > a <<'EOF'\nit's\nEOF\nls", 'cat >a << "EOF"\nit\'s\nEOF\nls', "command"),
        ("git show HEAD~1", "git show 'HEAD~1'", "command"),
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
        ("grep x f | wc -l", "grep x f", "command", 1 / 2),
        ("grep x f", "grep x f | wc -l", "command", 1 / 2),
        ("q | q | q", "a | b | c", "command", 0.0),  # what joins commands is none
        ("ls; cat x", "ls && cat x", "command", 0.875),
        ("ls\ncat x", "ls cat x", "command", 0.5 * (0.5 + 0.0)),
        ("grep '|' x", "grep | x", "command", 0.25),
        ("echo '$HOME'", "echo $HOME", "command", 0.5),
        ("rm '*.tmp'", "rm *.tmp", "command", 0.5),
        ("echo '>' a", "echo > a", "command", 0.75),
        ("cat <<E\none\ntwo\nE", "cat <<E\none\nthree\nE", "command", 0.5 + 0.5 * 2 / 3),
        ("ls &", "ls", "command", 0.5),
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


@pytest.mark.parametrize("line", ["cat > a <<'EOF'\nit's\nEOF", "ls # don't", "echo $'it\\'s'"])
def test_what_bash_can_read_is_no_fault(line: str) -> None:
    assert not fault(line, "command")


@pytest.mark.parametrize("line", [";;", "# only said", "\n", "&"])
def test_what_runs_nothing_says_nothing(line: str) -> None:
    assert fault(line, "command") == "an action that says nothing"


@pytest.mark.parametrize("depth", range(880, 1000, 10))
def test_arguments_of_any_depth_are_read_or_refused(depth: int) -> None:
    call = json.dumps({"name": "f", "arguments": {"a": 0}}).replace("0", "[" * depth + "]" * depth)
    assert agreement(call, call, "call") in (0.0, 1.0)
    fault(call, "call")
    same(call, call, "call")


def test_long_edits_are_compared_at_once() -> None:
    old, new = ("\n".join(f"line {n} of the {w} here" for n in range(300)) for w in ("old", "new"))
    call = json.dumps({"name": "edit", "arguments": {"old_str": old, "new_str": new}})
    start = time.monotonic()
    assert agreement(call, call, "call") == 1.0
    assert time.monotonic() - start < 2


def test_a_prompt_may_hold_none_of_the_last_actions() -> None:
    form = replace(PRESETS["agent"], context_pairs=0)
    assert "ls" not in form.messages("Task", ["ls"], observations=["a"])[-1]["content"]
