"""What an agent's system says reaches the prompt, but for what the prompt says anyway."""

import json
from typing import Any

import pytest

from srl_edge.data.quality import judged
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.types import Trajectory
from srl_edge.recipe.data import Quality

REMIND = {
    "type": "function",
    "function": {
        "name": "remind",
        "description": "Sets a reminder.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
NOTED = json.dumps({"name": "remind", "arguments": {"at": "2031-05-04T15:00"}})
DATE = "Today is 2031-05-03, a Saturday."
ASKED = {"role": "user", "content": "Remind me tomorrow at 3pm."}
CALL = {"role": "assistant", "tool_calls": [json.loads(NOTED)]}
XML = (
    "# Tools\n\nYou may use these.\n\n<tools>\n<function>\n<name>remind</name>\n"
    "<parameter><name>at</name></parameter>\n</function>\n</tools>"
)
NUMBERED = "---- BEGIN FUNCTION #1: remind ----\nDescription: Sets one.\n---- END FUNCTION #1 ----"
PYTHON = "These APIs are there: [{'name': 'remind', 'parameters': {'type': 'object'}}]"


def read(row: dict[str, Any]) -> tuple[str, ParseReport]:
    report = ParseReport()
    (found,) = parse_rows([row], report, form=PRESETS["agent"])
    return found.problem, report


def below(*system: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [*system, ASKED, CALL], **more}


def said(text: str, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": text}


@pytest.mark.parametrize("text", [DATE, XML, NUMBERED, PYTHON])
@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("tools", [[], [REMIND]])
def test_what_a_system_says_stands_before_the_task(text: str, role: str, tools: list[Any]) -> None:
    problem, report = read(below(said(text, role), tools=tools))
    assert problem == f"{text}\n\n{ASKED['content']}"
    assert list(report.shapes) == ["messages with tool calls, below what its system says"]


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_what_a_column_of_the_system_says_stands_there_once(column: str) -> None:
    for row in (below(), below(said(DATE))):
        assert read(row | {column: DATE})[0] == f"{DATE}\n\n{ASKED['content']}"


def test_what_a_trajectory_s_system_says_stands_there() -> None:
    turns = [
        {"role": "system", "system_prompt": NUMBERED, "text": None},
        {"role": "user", "text": "Mend it."},
        {"role": "ai", "text": "Look.\n```\nls\n```"},
    ]
    assert read({"trajectory": turns})[0] == f"{NUMBERED}\n\nMend it."


@pytest.mark.parametrize(
    "text",
    [
        "You are a helpful assistant.",
        "you are a helpful AI assistant",
        "You are a helpful, respectful and honest assistant.",
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        "You are a helpful assistant, with no access to external functions.",
        "",
    ],
)
def test_polite_phrases_are_left_out(text: str) -> None:
    problem, report = read(below(said(text)))
    assert problem == ASKED["content"]
    assert list(report.shapes) == ["messages with tool calls"]


@pytest.mark.parametrize(
    "text", ["You are a French assistant.", "You are a helpful assistant. Be brief."]
)
def test_what_says_more_than_a_polite_phrase_stays(text: str) -> None:
    assert read(below(said(text)))[0] == f"{text}\n\n{ASKED['content']}"


HERMES = (
    f"You call functions. Their signatures are in <tools>:\n<tools>\n{json.dumps(REMIND)}\n</tools>"
)
FORMAT = (
    "For each function call, return JSON within <tool_call> tags:\n<tool_call>\n"
    '{"name": <name>, "arguments": <args>}\n</tool_call>'
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (HERMES, ""),
        (f"{HERMES}\n\n{FORMAT}", ""),
        (f"{DATE}\n\n{HERMES}\n\n{FORMAT}\n\nBe kind.", f"{DATE}\n\nBe kind."),
        (f"{DATE}\n\n# Tools\n\nYou may call one.\n\n{HERMES}\n\n{FORMAT}", DATE),
        (f"# Rules\n\nTools cost money.\n\n{HERMES}", "# Rules\n\nTools cost money."),
        (f"You are a helpful assistant.\n\n{HERMES}", ""),
    ],
)
def test_what_repeats_the_declared_functions_is_left_out(text: str, left: str) -> None:
    whole = f"{left}\n\n{ASKED['content']}" if left else ASKED["content"]
    assert read(below(said(text), tools=[REMIND]))[0] == whole
    assert read(below(said(text)))[0].startswith(text)  # declared there alone


@pytest.mark.parametrize(
    "text",
    [
        f"Only members get refunds.\n{HERMES}",
        HERMES.replace('"remind"', '"forget"'),  # which is declared nowhere else
    ],
)
def test_what_cannot_be_told_apart_stays_whole(text: str) -> None:
    assert read(below(said(text), tools=[REMIND]))[0] == f"{text}\n\n{ASKED['content']}"


def test_what_a_system_says_below_the_request_stands_there() -> None:
    problem, _ = read({"messages": [ASKED, said(DATE), CALL]})
    assert problem == f"{ASKED['content']}\n\n{DATE}"


def test_what_a_system_says_later_is_heard_then() -> None:
    turns = [ASKED, CALL, said("ok", "tool"), said("Be brief."), said("Noted.", "assistant")]
    report = ParseReport()
    (found,) = parse_rows([{"messages": turns}], report, form=PRESETS["agent"])
    assert found.problem == ASKED["content"]
    assert found.observations[0] == "ok\n\nSystem: Be brief."


NAMES = [f"{a}{b}" for a in ("ad", "br", "co", "du", "el") for b in ("a", "el", "in", "os", "um")]
THINGS = ("coat", "cake", "car", "key", "dog", "lamp", "boat", "drum", "fork", "gate")


def test_a_policy_that_all_tasks_share_makes_none_like_another() -> None:
    policy = " ".join(f"Rule {n} says that {word} goes first." for n, word in enumerate(THINGS))

    def one(name: str, thing: str) -> Trajectory:
        return Trajectory(f"{name}", f"{policy}\n\n{name} wants a {thing}.", (f"bring {thing}",))

    tasks = [one(name, thing) for name, thing in zip(NAMES, THINGS * 3, strict=False)]
    found = {"train": tasks[:20], "validation": tasks[20:]}
    faults = [set(each.faults) for each in judged(found, Quality())]
    assert faults == [{"no_answer"}] * 20
    # What is no policy is met there still.
    long = "Whoever comes last to the house in the wood closes both of its doors behind them."
    found = {
        "train": [*tasks[:19], Trajectory("x", f"{policy}\n\n{long}", ("close",))],
        "validation": [Trajectory("y", f"{policy}\n\n{long} So it is.", ("shut",))],
    }
    assert judged(found, Quality())[-1].faults["evaluation"] == "y"
