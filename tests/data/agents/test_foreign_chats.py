"""Chats as others write them: from tables, with results that are no text, and in older words."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.formats import rows_of
from srl_edge.data.trajectories import ParseReport, parse_rows

CITY = {"city": {"type": "string"}}
NUMBERS = {"a": {"type": "number"}, "b": {"type": "number"}}
WEATHER_CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def schema(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def chat(call: dict[str, Any], result: Any = "fine", tools: Any = None, **more: Any) -> Any:
    row = {
        "messages": [
            {"role": "user", "content": "Do it."},
            {"role": "assistant", **call},
            {"role": "tool", "content": result},
            {"role": "assistant", "content": "Done.", **more},
        ]
    }
    return row if tools is None else row | {"tools": tools}


def calling(name: str, arguments: Any) -> dict[str, Any]:
    return {
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}]
    }


def read(*rows: dict[str, Any]) -> list[Any]:
    report = ParseReport()
    found = list(parse_rows(rows, report, form=None))
    return found or [report.reasons]


def test_what_arrow_fills_up_is_left_out(tmp_path: Path) -> None:
    pyarrow, parquet = map(pytest.importorskip, ("pyarrow", "pyarrow.parquet"))
    rows = [
        chat(calling("get_weather", {"city": "Paris"}), tools=[schema("get_weather", CITY)]),
        chat(calling("add", {"a": 1, "b": 2}), tools=[schema("add", NUMBERS)]),
        chat(calling("stop", {}), tools=[schema("stop", {})]),
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert read(*rows_of(tmp_path / "rows.parquet")) == read(*rows)
    first, second, third = read(*rows)
    assert json.loads(second.steps[0])["arguments"] == {"a": 1, "b": 2}
    assert first.tools[0]["function"]["parameters"]["properties"] == CITY
    assert third.steps[0] == '{"name": "stop", "arguments": {}}'


def test_an_argument_that_somebody_wrote_as_null_stays() -> None:
    (found,) = read(chat(calling("add", {"a": None}), tools=[schema("add", NUMBERS)]))
    assert json.loads(found.steps[0])["arguments"] == {"a": None}


@pytest.mark.parametrize(
    ("result", "observation"),
    [
        ({"temp": 20}, '{"temp": 20}'),
        (20, "20"),
        (0, "0"),
        (False, "false"),
        ([{"temp": 20}], '[{"temp": 20}]'),
        (["sunny", "wärm"], '["sunny", "wärm"]'),
        ([], "[]"),
        ({"text": "a", "id": 1}, '{"text": "a", "id": 1}'),
        ([{"text": "sunny"}], "sunny"),
        ([{"type": "text", "text": "sunny"}, {"type": "image", "data": "…"}], "sunny"),
        ({"type": "text", "text": "sunny"}, "sunny"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_result_that_is_no_text_is_its_json(result: Any, observation: str) -> None:
    (found,) = read(chat(calling("get_weather", {"city": "Paris"}), result))
    assert found.observations[0] == observation


USED = {"type": "tool_use", "id": "1", "name": "get_weather", "input": {"city": "Paris"}}
TOOL = schema("get_weather", CITY)


@pytest.mark.parametrize(
    "tools",
    [
        [TOOL],
        TOOL,
        TOOL["function"],
        json.dumps(TOOL),
        json.dumps([TOOL]),
        [json.dumps(TOOL)],
        {"name": "get_weather", "input_schema": TOOL["function"]["parameters"]},
    ],
)
def test_tools_are_read_one_by_one_and_as_texts(tools: Any) -> None:
    (found,) = read(chat(calling("get_weather", {"city": "Paris"}), tools=tools))
    assert found.tools == (TOOL,)


@pytest.mark.parametrize(
    "call",
    [
        {"function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
        {"content": None, "function_call": {"name": "get_weather", "arguments": {"city": "Paris"}}},
        {"tool_calls": calling("get_weather", {"city": "Paris"})["tool_calls"][0]},
        {"tool_calls": json.dumps(calling("get_weather", {"city": "Paris"})["tool_calls"])},
        {
            "content": [
                {"type": "tool_use", "id": "1", "name": "get_weather", "input": {"city": "Paris"}}
            ]
        },
    ],
)
def test_calls_of_every_api_are_actions(call: dict[str, Any]) -> None:
    (found,) = read(chat(call))
    assert found.steps == (WEATHER_CALL, "Done.") and found.observations == ("fine", "")


@pytest.mark.parametrize(
    ("content", "observation"),
    [
        ("sunny", "sunny"),
        ([{"type": "text", "text": "sunny"}], "sunny"),
        ({"temp": 20}, '{"temp": 20}'),
    ],
)
def test_anthropics_parts_are_thoughts_calls_and_results(content: Any, observation: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "content": content}
    turns: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "Do it."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "text", "text": "I look."},
                USED,
            ],
        },
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ]
    (found,) = read({"messages": turns})
    assert found.steps == (WEATHER_CALL, "Done.")
    assert found.thoughts == ("Hm.\n\nI look.", "") and found.observations == (observation, "")


OLD_CALL = """{"name": "get_weather", "arguments": '{"city": "Paris"}'}"""
INVOKE = '<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>'


@pytest.mark.parametrize(
    "call",
    [
        INVOKE,
        f"<function_calls>\n{INVOKE}\n</function_calls>",
        f"<minimax:tool_call>\n{INVOKE}\n</minimax:tool_call>",
        f"<TOOLCALL>[{WEATHER_CALL}]</TOOLCALL>",
        f"<tool_calls>\n[{WEATHER_CALL}]\n</tool_calls>",
        f"<tool_calls><tool_call>{WEATHER_CALL}</tool_call></tool_calls>",
        f"<functioncall>{WEATHER_CALL}</functioncall>",
        f"<functioncall> {WEATHER_CALL} <|endoftext|>",
        f"<functioncall> {OLD_CALL} <|endoftext|>",
    ],
)
def test_calls_in_the_tags_of_others_are_actions(call: str) -> None:
    (found,) = read(chat({"content": f"I look.\n{call}"}))
    assert found.steps == (WEATHER_CALL, "Done.") and found.thoughts == ("I look.", "")


def test_texts_between_tags_keep_their_indentation() -> None:
    call = '<invoke name="edit"><parameter name="new_str">    a\n      b</parameter></invoke>'
    (found,) = read(chat({"content": call}))
    assert json.loads(found.steps[0])["arguments"] == {"new_str": "    a\n      b"}


def test_replies_of_no_weight_are_not_taught() -> None:
    why = "not to be taught"
    call = calling("get_weather", {"city": "Paris"})
    assert why in read(chat(call, weight=0))[0] and why in read(chat(call | {"weight": 0}))[0]
    assert read(chat(call, weight=1))[0].steps == (WEATHER_CALL, "Done.")
    asked, told = (
        {"role": "user", "content": "2+3?"},
        {"role": "assistant", "content": "Add.\nIt is 5."},
    )
    assert why in read({"messages": [asked, told | {"weight": 0}]})[0]
    assert len(read({"messages": [asked, told, asked, told | {"weight": 0}]})[0].steps) == 2
