"""An agent's chat is one in whatever columns it stands, and whether it calls or not."""

import json
from typing import Any

import pytest

from srl_edge.data.row import read as row_of
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import DONE, PRESETS

SEAT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "seat",
        "description": "Books a seat.",
        "parameters": {"type": "object", "properties": {"row": {"type": "integer"}}},
    },
}
CALL = '{"name": "seat", "arguments": {"row": 4}}'
ASKED = {"role": "user", "content": "A seat in row 4, please."}
CALLED = {"role": "assistant", "content": "", "tool_calls": [json.loads(CALL)]}
RESULT = {"role": "tool", "content": "4B"}
LAST = "You have 4B.\n\nIt is by the window.\n\nHave a good trip."
SAID = {"role": "assistant", "content": LAST}
TAGGED = f"I book.\n<tool_call>\n{CALL}\n</tool_call>"


def read(row: dict[str, Any], **columns: str) -> Any:
    report = ParseReport()
    found = list(parse_rows([row], report, form=PRESETS["agent"], columns=columns or None))
    return found[0] if found else next(iter(report.dropped))


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"prompt": [ASKED], "completion": [CALLED, RESULT, SAID]}, {}),
        ({"prompt": ASKED["content"], "completion": [CALLED, RESULT, SAID]}, {}),
        (
            {"prompt": [ASKED], "completion": [CALLED, RESULT, SAID], "answer": "4", "reward": 1.0},
            {},
        ),
        ({"q": [ASKED], "r": [CALLED, RESULT, SAID]}, {"problem": "q", "solution": "r"}),
        ({"q": ASKED["content"], "r": [CALLED, RESULT, SAID]}, {"problem": "q", "solution": "r"}),
        ({"traj": [ASKED, CALLED, RESULT, SAID], "reward": 1.0}, {}),
        ({"messages": [ASKED, CALLED, RESULT, SAID]}, {}),
    ],
)
def test_calls_and_results_are_found_in_any_columns(
    row: dict[str, Any], columns: dict[str, str]
) -> None:
    found = read({**row, "tools": [SEAT]}, **columns)
    assert found.problem == ASKED["content"] and found.steps == (CALL, LAST, DONE)
    assert found.observations[:2] == ("4B", "") and found.tools == (SEAT,)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"prompt": ASKED["content"], "completion": TAGGED}, {}),
        ({"prompt": [ASKED], "completion": [{"role": "assistant", "content": TAGGED}]}, {}),
        ({"input": [ASKED], "output": TAGGED}, {}),
        ({"q": ASKED["content"], "r": TAGGED}, {"problem": "q", "solution": "r"}),
        ({"instruction": ASKED["content"], "output": TAGGED}, {}),
    ],
)
def test_calls_in_the_text_are_found_in_any_columns(
    row: dict[str, Any], columns: dict[str, str]
) -> None:
    found = read(row, **columns)
    assert found.problem == ASKED["content"]
    assert found.steps == (CALL, DONE) and found.thoughts[0] == "I book."


def test_a_completion_alone_is_taught() -> None:
    row = {"prompt": [ASKED, CALLED, RESULT], "completion": [SAID]}
    assert read(row) == "a completion with replies before it"


@pytest.mark.parametrize("reply", ["I have no planes.", "I have no planes.\n\nNor seats in them."])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED, {"role": "assistant", "content": "@"}]},
        {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "@"}]},
        {"prompt": [ASKED], "completion": [{"role": "assistant", "content": "@"}]},
        {"prompt": "x", "completion": "@"},
        {"instruction": "x", "output": "@"},
    ],
)
def test_a_reply_without_a_call_is_whole_and_has_the_tools(row: dict[str, Any], reply: str) -> None:
    given = json.loads(json.dumps(row).replace('"@"', json.dumps(reply)))
    found = read({**given, "tools": json.dumps([SEAT])})
    assert found.steps == (reply, DONE) and found.tools == (SEAT,)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"q": "q", "r": ["1. a\n2. b", "x"]}, {"problem": "q", "solution": "r"}),
        ({"question": "q", "solution": "1. a\n2. b", "messages": [{"text": "x"}]}, {}),
    ],
)
def test_tools_make_no_chat_of_what_is_none(row: dict[str, Any], columns: dict[str, str]) -> None:
    found = read({**row, "tools": [SEAT]}, **columns)
    assert found.problem == "q" and len(found.steps) == 2 and not found.observations


def test_a_fence_in_a_reply_of_one_who_has_tools_is_no_command() -> None:
    reply = "Use this:\n```bash\nls\n```"
    row = {"messages": [ASKED, {"role": "assistant", "content": reply}], "tools": [SEAT]}
    assert read(row).steps == (reply, DONE)


def test_tools_belong_to_a_row_of_any_steps() -> None:
    for row in (
        {"question": "q", "answer": CALL},
        {"question": "q", "answer": [json.loads(CALL)]},
        {"problem": "q", "solution": "1. a\n2. b"},
    ):
        assert row_of({**row, "tools": [SEAT]}, "x").tools == (SEAT,)


def test_of_tools_none_may_be_right() -> None:
    found = read({"query": "Sing.", "answers": "[]", "tools": json.dumps([SEAT])})
    assert found.steps == (DONE,) and found.tools == (SEAT,)


RESPONSES = [
    {"role": "user", "content": [{"type": "input_text", "text": ASKED["content"]}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I book."}]},
    {"type": "function_call", "name": "seat", "arguments": '{"row": 4}', "call_id": "c"},
    {"type": "function_call_output", "call_id": "c", "output": "4B"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": LAST}]},
]
LANGCHAIN = [
    {"type": "human", "content": ASKED["content"]},
    {"type": "ai", "content": "I book.", "tool_calls": [{"name": "seat", "args": {"row": 4}}]},
    {"type": "tool", "content": "4B", "tool_call_id": "c"},
    {"type": "ai", "content": LAST},
]
GLAIVE = (
    f"USER: {ASKED['content']}\n\n\nASSISTANT: I book. <functioncall> "
    """{"name": "seat", "arguments": '{"row": 4}'} <|endoftext|>\n\n\n"""
    f"FUNCTION RESPONSE: 4B\n\n\nASSISTANT: {LAST} <|endoftext|>"
)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": RESPONSES},
        {"input": RESPONSES},
        {"messages": LANGCHAIN},
        {"chat": GLAIVE, "system": "SYSTEM: You are a helpful assistant."},
    ],
)
def test_other_recorders_turns_are_read(row: dict[str, Any]) -> None:
    found = read(row)
    assert found.problem == ASKED["content"] and found.steps == (CALL, LAST, DONE)
    assert found.observations[0] == "4B" and found.thoughts[0] == "I book."


def test_glaive_s_functions_may_stand_in_the_system_s_text() -> None:
    told = f"You have these functions. Use them -\n{json.dumps(SEAT['function'])}"
    found = read({"chat": GLAIVE, "system": f"SYSTEM: {told}"})
    assert found.problem == f"{told}\n\n{ASKED['content']}"
    talk = {"chat": "USER: Why?\n\n\nASSISTANT: Because.\nSo it is. <|endoftext|>", "system": ""}
    assert read(talk).steps == ("Because.", "So it is.\ndone")


def test_langchain_s_talk_is_talk() -> None:
    turns = [{"type": "human", "content": "Why?"}, {"type": "ai", "content": "So.\nIt is."}]
    assert read({"messages": turns}).steps == ("So.", "It is.\ndone")


@pytest.mark.parametrize(
    ("truth", "steps"),
    [
        ([{"seat": {"row": [4, "4"]}}], (CALL, DONE)),
        ([{"seat": {"row": [4], "side": ["", "left"]}}] * 2, (CALL, CALL, DONE)),
        ([["seat(4)"], ["seat(5)"]], "calls of several turns"),
        (None, "functions without a call"),
    ],
)
def test_bfcl_s_calls_are_the_first_that_may_be(truth: Any, steps: Any) -> None:
    function = SEAT["function"] | {"parameters": {"type": "dict", "properties": {"row": {}}}}
    row = {"question": [[ASKED]], "function": [function], "ground_truth": truth}
    found = read(row)
    assert (found if isinstance(found, str) else found.steps) == steps
    if not isinstance(found, str):
        assert found.problem == ASKED["content"]
        assert found.tools[0]["function"]["parameters"]["type"] == "object"


@pytest.mark.parametrize("typed", ["true", True])
@pytest.mark.parametrize("keys", ["C-c", "n"])
def test_what_is_typed_into_a_program_is_no_command(keys: str, typed: Any) -> None:
    given = {"command": keys, "is_input": typed}
    shell = {"name": "execute_bash", "arguments": given}
    found = read({"messages": [ASKED, CALLED | {"tool_calls": [shell]}, RESULT, SAID]})
    assert json.loads(found.steps[0]) == shell
    given["is_input"] = "false"
    found = read({"messages": [ASKED, CALLED | {"tool_calls": [shell]}, RESULT, SAID]})
    assert found.steps[0] == keys


FILLED = [
    {
        "type": "function",
        "function": {
            "name": "seat",
            "parameters": {
                "type": "object",
                "properties": {
                    "row": {"type": "integer", "enum": None},
                    "town": None,
                    "at": {"type": "object", "properties": {"x": {"type": "number"}}},
                },
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "map",
            "parameters": {"type": "object", "properties": {"row": None, "town": {}}},
        },
    },
]


@pytest.mark.parametrize("declared", [FILLED, json.dumps(FILLED)])
def test_nulls_of_a_table_are_no_arguments(declared: Any) -> None:
    given = {"row": None, "town": None, "at": {"x": 1, "y": None}}
    made = CALLED | {"tool_calls": [{"function": {"name": "seat", "arguments": given}}]}
    found = read({"messages": [ASKED, made, RESULT, SAID], "tools": declared})
    # What the tool has may be null.
    assert json.loads(found.steps[0])["arguments"] == {"row": None, "at": {"x": 1}}
    assert "null" not in json.dumps(found.tools)


def test_nulls_of_a_tool_that_is_not_known_stay() -> None:
    made = CALLED | {"tool_calls": [{"function": {"name": "f", "arguments": {"x": None}}}]}
    assert json.loads(read({"messages": [ASKED, made]}).steps[0])["arguments"] == {"x": None}


def test_calls_that_are_right_by_verl_s_row_are_the_steps() -> None:
    """As ToolRL's rows are for verl, of which those of a sum's answer have none."""
    truth = '<think> I need both. </think>\n<tool_call>\n{"name": "up", "parameters": {"a": 1}}\n'
    truth += '{"name": "down", "parameters": {}}\n</tool_call>'
    asked = [{"role": "system", "content": "You may call: up."}, {"role": "user", "content": "Up?"}]
    row = {
        "prompt": asked,
        "ability": "x",
        "reward_model": {"ground_truth": truth, "style": "rule"},
    }
    report = ParseReport()
    (found,) = parse_rows([row], report, form=None)
    steps = ('{"name": "up", "arguments": {"a": 1}}', '{"name": "down", "arguments": {}}', "done")
    assert found.steps == steps and found.problem == "You may call: up.\n\nUp?"
    assert found.thoughts[0] == "I need both."
    row["reward_model"] = {"ground_truth": "4"}
    assert not list(parse_rows([row], report, form=None))
