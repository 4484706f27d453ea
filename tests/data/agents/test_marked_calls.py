# ruff: noqa: RUF001 - DeepSeek's tokens have a wide bar
"""Calls in the text of a chat, in each family's marks, as actions with what is said before them."""

from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows

CALL = '{"name": "weather", "arguments": {"city": "Rome", "days": 2}}'
GLM = (
    "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n"
    "<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>"
)
KIMI = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
    '<|tool_call_argument_begin|>{"city": "Rome", "days": 2}<|tool_call_end|>'
    "<|tool_calls_section_end|>"
)
OSS = (
    "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>"
    '{"city": "Rome", "days": 2}<|call|>'
)
OLD_OSS = (
    ' to=functions.weather<|channel|>commentary json<|message|>{"city": "Rome", "days": 2}<|call|>'
)
THOUGHT = "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant"
TOLD = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
MARKED = {
    "GLM": f"I look.\n{GLM}",
    "GLM on one line": f"I look.{GLM}".replace("\n", ""),
    "Kimi": f"I look.{KIMI}",
    "gpt-oss": f"{THOUGHT}{OSS}",
    "gpt-oss that tells the user": f"{TOLD}{OSS}",
    "gpt-oss as its template has it": f"{THOUGHT}{OLD_OSS}",
    "Mistral": f"I look.[TOOL_CALLS] [{CALL}]</s>",
    "a later Mistral": 'I look.[TOOL_CALLS]weather[ARGS]{"city": "Rome", "days": 2}</s>',
    "Llama": f"I look.<|python_tag|>{CALL.replace('arguments', 'parameters')}<|eom_id|>",
    "DeepSeek": "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
    '```json\n{"city": "Rome", "days": 2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "FunctionGemma": "I look.<start_function_call>call:weather{city:<escape>Rome<escape>,days:2}"
    "<end_function_call>",
}


def read(reply: str, end: str = "It is sunny.", **more: Any) -> Any:
    turns = [
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "content": reply},
        {"role": "tool", "content": "sunny"},
        {"role": "assistant", "content": end},
    ]
    report = ParseReport()
    found = list(parse_rows([{"messages": turns} | more], report, form=None))
    return found[0] if found else report.reasons


@pytest.mark.parametrize("family", MARKED)
def test_a_call_in_the_marks_of_each_family_is_an_action(family: str) -> None:
    found = read(MARKED[family])
    assert found.steps == (CALL, "It is sunny.") and found.thoughts == ("I look.", "")
    assert found.observations == ("sunny", "")


def test_arguments_stay_as_they_are() -> None:
    said = "    a = `1`\\n  b"
    glm = GLM.replace("city", "new_str").replace("Rome", said.replace("\\n", "\n"))
    kimi = KIMI.replace("city", "new_str").replace("Rome", said)
    assert (
        read(glm).steps
        == read(kimi).steps
        == (
            CALL.replace("city", "new_str").replace("Rome", said),
            "It is sunny.",
        )
    )


def test_several_calls_of_a_turn_and_none_with_arguments() -> None:
    stop = '{"name": "stop", "arguments": {}}'
    section = "<|tool_calls_section_end|>"
    more = "<|tool_call_begin|>functions.stop:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
    assert read(f"{GLM}\n<tool_call>stop\n</tool_call>").steps[0] == f"{CALL}\n{stop}"
    assert read(KIMI.replace(section, more + section)).steps[0] == f"{CALL}\n{stop}"


def test_what_is_called_is_declared() -> None:
    tools = [{"name": "weather", "parameters": {}}]
    for reply in (GLM, KIMI, OSS):
        assert read(reply, tools=tools).steps[0] == CALL
        assert "a call of a tool that is not declared" in str(
            read(reply.replace("weather", "rm"), tools=tools)
        )


def test_a_last_word_in_its_channel_is_said_without_it() -> None:
    found = read(OSS, "<|channel|>final<|message|>It is sunny.<|return|>")
    assert found.steps[-1] == "It is sunny."


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (GLM.replace("<arg_value>2</arg_value>\n", ""), "an argument without its value"),
        (GLM.replace("weather", "the weather"), "a call whose arguments are no JSON"),
    ],
)
def test_a_call_that_is_broken_is_counted(reply: str, why: str) -> None:
    assert why in str(read(reply))
