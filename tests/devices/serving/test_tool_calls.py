"""Calls are found in the forms in which families of models write them, and only offered ones."""

import json
from typing import Any

import pytest

from srl_edge.devices.serving.model import Reply
from srl_edge.devices.serving.openai_api import Answer, ChatRequest, read_chat
from srl_edge.devices.serving.tool_calls import divided

LIGHT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_light",
        "parameters": {"type": "object", "properties": {"room": {"type": "string"}, "on": {}}},
    },
}
TOOLS = [LIGHT, {"type": "function", "function": {"name": "stop"}}]
ARGUMENTS = {"room": "barn", "on": True}
CALL = json.dumps({"name": "set_light", "arguments": ARGUMENTS})


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (CALL, ""),
        (f"<tool_call>\n{CALL}\n</tool_call>", ""),
        (f"I turn it on.\n<tool_call>\n{CALL}\n</tool_call>", "I turn it on."),
        (f"Like this:\n```json\n{CALL}\n```", "Like this:"),
        (f"```json\n[{CALL}]\n```", ""),
        (f"[TOOL_CALLS][{CALL}]", ""),
        ("[set_light(room='barn', on=True)]", ""),
        ("set_light('barn', True)", ""),
        (
            "<function=set_light><parameter=room>barn</parameter><parameter=on>true</parameter>"
            "</function>",
            "",
        ),
        (f"<|python_tag|>{CALL}".replace("arguments", "parameters"), ""),
    ],
)
def test_a_call_is_found_in_its_family_s_form(answer: str, text: str) -> None:
    said, (call,) = divided(answer, TOOLS)
    assert said == text and call["name"] == "set_light"
    assert json.loads(call["arguments"]) == ARGUMENTS


def test_several_calls_are_all_found() -> None:
    two = f'<tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{{"name": "stop", "arguments": {{}}}}\n'
    assert [call["name"] for call in divided(f"{two}</tool_call>", TOOLS)[1]] == [
        "set_light",
        "stop",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "The barn is lit.",
        '{"name": "rm", "arguments": {}}',
        '{"room": "barn"}',
        "rm('/')",
        "<tool_call>\n{broken",
        "I would call set_light for that.",
        "",
    ],
)
def test_what_is_no_call_of_an_offered_tool_stays_text(answer: str) -> None:
    assert divided(answer, TOOLS) == (answer, [])


def answered(text: str, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A reply as it is sent whole, and in chunks."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "Light!"}], "tools": TOOLS}
    request = ChatRequest.model_validate(asked | more)
    thought, answer = ("Hm.", text) if more.get("thinks") else ("", text)
    whole = f"<think>{thought}</think>\n{text}" if thought else text
    reply = Reply(whole, thought, answer, "stop", 10, 5, 0.1, 0.2)
    answer_ = Answer(request, "m")
    chunks = [chunk for each in (whole[:3], whole[3:], reply) for chunk in answer_.chunks(each)]
    return answer_.whole(reply)["choices"][0], chunks


def test_calls_are_sent_as_openais_clients_read_them() -> None:
    choice, chunks = answered(f"<tool_call>{CALL}</tool_call>")
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert len(call["id"]) == 9 and call["id"].isalnum()  # as Mistral's templates want it
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS
    first, last = (chunk["choices"][0] for chunk in chunks)
    (streamed,) = first["delta"]["tool_calls"]
    assert streamed["index"] == 0 and streamed["function"] == call["function"]
    assert last["finish_reason"] == "tool_calls"


def test_a_reply_without_calls_is_text_though_tools_were_offered() -> None:
    choice, chunks = answered("It is lit.", thinks=True)
    assert choice["finish_reason"] == "stop" and "tool_calls" not in choice["message"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == choice["message"]["content"] == "<think>Hm.</think>\nIt is lit."
    assert answered(CALL, tool_choice="none")[0]["message"]["content"] == CALL


def test_calls_and_their_results_go_back_to_the_template_as_it_reads_them() -> None:
    function = {"name": "set_light", "arguments": json.dumps(ARGUMENTS)}
    call = {"id": "1", "type": "function", "function": function}
    body = {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Light!"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "ok"},
        ],
    }
    named: Any = type("Named", (), {"name": "m"})
    system, _, said, result = read_chat(json.dumps(body).encode(), named).turns()
    assert system == {"role": "system", "content": "Be brief."}
    assert said["content"] == "" and said["tool_calls"][0]["function"]["arguments"] == ARGUMENTS
    assert result == {"role": "tool", "content": "ok", "tool_call_id": "1"}
