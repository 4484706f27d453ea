"""The chat in a pipe and in a terminal, as people use it."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from srl_edge.devices.serving.chat import Terminal
from srl_edge.devices.serving.model import Model, Sampling
from srl_edge.devices.serving.text import AnswerAlone
from srl_edge.errors import InputError
from tests.helpers.command_line import called, heeding_interrupts

CHAT = (sys.executable, "-m", "srl_edge", "chat")
PROBLEM = "Ann has 3 cats and 4 dogs."


@pytest.fixture(scope="module")
def model(artifact: Path) -> Model:
    return Model(artifact, 1)


def talk(
    model: Model, lines: list[str], people: bool = True, steps: int = 4
) -> tuple[str, Terminal]:
    """What is shown where these lines are typed."""
    out = io.StringIO()
    terminal = Terminal(model, Sampling(max_new_tokens=40), steps, people, out)
    for line in lines:
        assert terminal.take(line)
    return out.getvalue(), terminal


def test_each_line_of_a_pipe_gives_a_reply_and_nothing_besides(
    artifact: Path, model: Model
) -> None:
    command = [*CHAT, str(artifact), "--max-new-tokens", "40"]
    done = subprocess.run(
        command,
        input=f"{PROBLEM}\n\n/solve {PROBLEM}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    ways = Sampling(max_new_tokens=40)
    reply = model.reply(PROBLEM, ways)
    steps = [f"{n}. {step.answer}" for n, step in enumerate(model.solve(PROBLEM, 8, ways), start=1)]
    shown = [line.rstrip() for line in done.stdout.splitlines()]
    assert shown == [line.rstrip() for text in (reply.answer, *steps) for line in text.splitlines()]
    assert re.search(r"\d+ tokens.*, [\d.]+ tokens/s, first after [\d.]+ s", done.stderr)


def test_the_history_goes_on_until_it_is_reset(model: Model) -> None:
    _, terminal = talk(model, [PROBLEM, "And?"])
    (_, first), (_, second) = terminal.replies
    assert second.prompt_tokens > first.prompt_tokens + 5
    assert [turn["role"] for turn in terminal._history] == ["user", "assistant"] * 2
    assert [turn["content"] for turn in terminal._history[1::2]] == [first.answer, second.answer]
    _, again = talk(model, [PROBLEM, "/reset", PROBLEM])
    assert again.replies[0][1].text == again.replies[1][1].text


def test_a_solution_is_shown_by_steps_with_its_thoughts_folded(model: Model) -> None:
    shown, terminal = talk(model, [f"/solve {PROBLEM}", "/thought"])
    assert len(terminal.replies) > 1 and "<think>" not in shown
    for step, (_, reply) in enumerate(terminal.replies, start=1):
        assert f"{step}. {reply.answer}" in shown
    folded = re.findall(r"thought, (\d+) tokens; /thought shows it", shown)
    assert len(folded) == len(terminal.replies) and int(folded[0]) > 1
    assert shown.count("It gave its answer.") == 1
    assert terminal.replies[0][1].thought in shown.split("It gave its answer.")[1]


def test_commands_and_mistakes_are_told_and_the_chat_goes_on(model: Model) -> None:
    shown, terminal = talk(model, ["/help", "/what", "/solve", "cats " * 600, "", "/thought"])
    assert "/solve PROBLEM" in shown and "/what is no command here" in shown
    assert "/solve needs a problem" in shown and "takes 512 of prompt" in shown
    assert not terminal.replies and not terminal.take("/quit")


def test_what_a_model_writes_does_not_steer_the_terminal(model: Model) -> None:
    out = io.StringIO()
    terminal = Terminal(model, Sampling(), 1, True, out)
    terminal._write("a\x1b]0;title\x07b\x9bc\r\nd\te")
    assert out.getvalue() == "a]0;titlebc\nd\te"


def test_json_has_all_replies(artifact: Path) -> None:
    command = [*CHAT, str(artifact), "--json", "--quiet"]
    done = subprocess.run(command, input="Ann?\nBob?\n", capture_output=True, text=True, check=True)
    replies = json.loads(done.stdout)["replies"]
    assert len(replies) == 2 and {"text", "thought", "completion_tokens"} <= replies[0].keys()
    assert done.stderr == ""


def test_a_line_without_a_reply_is_told_however_quiet_all_is(artifact: Path) -> None:
    """Lines of a pipe are questions of their own, whatever bytes are in them."""
    lines = b"Ann?\n" + b"cats " * 600 + b"\nBo\xff?\nAnn?\n"
    command = [*CHAT, str(artifact), "--max-new-tokens", "8", "-q"]
    done = subprocess.run([*command, "--json"], input=lines, capture_output=True)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and b"1 of 4 questions had no reply." in done.stderr
    assert [each["question"] for each in found["replies"]] == ["Ann?", "Bo\ufffd?", "Ann?"]
    assert found["replies"][0]["prompt_tokens"] == found["replies"][2]["prompt_tokens"]
    assert "takes 512 of" in found["failed"][0]["error"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_an_answer_is_told_from_its_thought_however_it_is_cut(cut: int) -> None:
    for text, answer in (
        ("<think>a b</think>\nc d", "c d"),
        (" <think>x</think>", ""),
        ("<thin ice", "<thin ice"),
        ("a <think>b", "a <think>b"),
        ("<think>never ends", ""),
        ("<thi", "<thi"),
        ("", ""),
    ):
        alone = AnswerAlone()
        parts = [text[at : at + cut] for at in range(0, len(text), cut)]
        assert "".join(map(alone.add, parts)) + alone.rest() == answer == alone.answer


@contextmanager
def terminal_of(*command: str) -> Iterator[tuple[int, int]]:
    """A process in a terminal of its own: the terminal, and the process's id."""
    process, terminal = pty.fork()
    if not process:
        heeding_interrupts()
        os.execv(command[0], command)
    late = threading.Timer(300, os.kill, (process, signal.SIGKILL))
    late.start()
    try:
        yield terminal, process
    finally:
        late.cancel()
        _rest.pop(terminal, None)
        os.close(terminal)


_rest: dict[int, str] = {}  # by the terminal, what it has shown and nobody waited for yet


def until(terminal: int, wanted: str, seconds: float = 150.0) -> str:
    """What the terminal shows up to a text; what came after it is kept for the next call."""
    shown, end = _rest.pop(terminal, ""), time.monotonic() + seconds
    while wanted not in shown:
        assert time.monotonic() < end, f"{wanted!r} never came: {shown}"
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 1 << 16).decode(errors="replace")
    before, _, _rest[terminal] = shown.partition(wanted)
    return before + wanted


def read_to_end(terminal: int) -> None:
    """Read what comes until the process has left: it may wait for a terminal that nobody reads."""
    with suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass


def test_ctrl_c_stops_a_reply_and_ctrl_d_leaves(tiny_model: Path) -> None:
    command = [*CHAT, str(tiny_model), "--max-new-tokens", "1900", "--threads", "1"]
    with terminal_of(*command) as (terminal, process):
        assert "2048 tokens of context" in until(terminal, "> ")
        os.write(terminal, b"Ann\n")
        until(terminal, "Ann\r\n")
        time.sleep(0.5)
        os.write(terminal, b"\x03")
        until(terminal, "stopped")
        until(terminal, "> ")
        time.sleep(1.2)  # longer than a process that does not heed Ctrl-C has otherwise
        os.write(terminal, b"\x03")
        until(terminal, "Ctrl-D leaves")
        os.write(terminal, b"/help\n")
        until(terminal, "/thought  ")
        until(terminal, "> ")  # an end that is typed before the prompt stands is lost to readline
        os.write(terminal, b"\x04")
        read_to_end(terminal)
        assert os.waitpid(process, 0)[1] == 0


def test_options_that_mean_nothing_are_refused(artifact: Path) -> None:
    for option, value, said in (
        ("--temperature", "-1", "--temperature: a number of 0 or more is needed"),
        ("--top-p", "2", "top_p: above 0"),
        ("--max-new-tokens", "0", "max_new_tokens: at least 1"),
        ("--context", "9999", "up to 512"),
        ("--max-steps", "0", "--max-steps: from 1 to 64"),
    ):
        with pytest.raises(InputError, match=said):
            called("chat", artifact, option, value)
