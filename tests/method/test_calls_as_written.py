"""Calls in lists, in fences, and in the marks of one family of models each, read as calls alone."""

import json
import time

import pytest

from srl_edge.method import calls
from srl_edge.method.actions import same
from srl_edge.method.verifiers import is_correct, same_value

ONE = "dim(room=2)"
TWO = "[dim(room=2), stop()]"
LISTS = [
    ("1. `dim(room=2)`", ONE),
    ("1) dim(room=2)", ONE),
    ("- **`dim(room=2)`**", ONE),
    ("Step 1: `dim(room=2)`", ONE),
    ('* {"name": "dim", "arguments": {"room": 2}}', ONE),
    ("1. `dim(room=2)`\n2. `stop()`", TWO),
    ("- dim(room=2)\n- stop()", TWO),
    ("Step 1: dim(room=2)\nStep 2: stop()", TWO),
    ("```python\ndim(room=2)\n```\n```python\nstop()\n```", TWO),
    ('1. `{"name": "dim", "arguments": {"room": 2}}`\n2. `{"name": "stop"}`', TWO),
]
KIMI = '<|tool_call_begin|>functions.dim:0<|tool_call_argument_begin|>{"room": 2}<|tool_call_end|>'
KIMI_STOPS = "<|tool_call_begin|>functions.stop:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
GLM = "<tool_call>dim\n<arg_key>room</arg_key>\n<arg_value>2</arg_value>\n</tool_call>"
OSS = "<|channel|>commentary to=functions.dim <|constrain|>json<|message|>"
MARKS = [
    (GLM, ONE),
    (GLM.replace("\n", ""), ONE),
    (GLM.replace("\n", " "), ONE),
    (f"{GLM}\n<tool_call>stop\n</tool_call>", TWO),
    (GLM.replace("\n</tool_call>", ""), ONE),
    (f"<|tool_calls_section_begin|>{KIMI}<|tool_calls_section_end|>", ONE),
    (f"<|tool_calls_section_begin|>\n{KIMI}\n{KIMI_STOPS}\n<|tool_calls_section_end|>", TWO),
    (KIMI.replace("functions.", "").replace(":0", ""), ONE),
    (f'{OSS}{{"room": 2}}<|call|>', ONE),
    (f'<|start|>assistant{OSS}{{"room": 2}}', ONE),
    (
        "<|start|>assistant to=functions.dim<|channel|>commentary json<|message|>"
        '{"room": 2}<|call|>',
        ONE,
    ),
    ('assistantcommentary to=functions.dim json{"room": 2}', ONE),
    ('<|tool_call|>[{"name": "dim", "arguments": {"room": 2}}]<|/tool_call|>', ONE),
]

CALL = '{"name": "dim", "arguments": {"room": 2}}'
TOLD = '{"name": "dim", "arguments": "{\\"room\\": 2}"}'
ENVELOPES = [
    (f'{{"tool_calls": [{{"id": "a", "type": "function", "function": {TOLD}}}]}}', ONE),
    (f'{{"role": "assistant", "content": null, "tool_calls": [{CALL}]}}', ONE),
    (f'{{"tool_calls": [{CALL}, {{"function": {{"name": "stop"}}}}]}}', TWO),
    (f'{{"function_call": {TOLD}}}', ONE),
    (f'{{"role": "assistant", "function_call": {CALL}}}', ONE),
    ('{"action": "dim", "action_input": {"room": 2}}', ONE),
    ('{"api": "dim", "args": {"room": 2}}', ONE),
    ('{"name": "dim", "params": {"room": 2}}', ONE),
    (f"<functioncall> {CALL}", ONE),
    (f"<functioncall> {CALL} </functioncall>", ONE),
    (f"{ONE}<eos>", ONE),
    (f"{CALL}<end_of_turn>", ONE),
]


@pytest.mark.parametrize(("reply", "answer"), LISTS + MARKS + ENVELOPES)
def test_calls_as_lists_and_models_write_them(reply: str, answer: str) -> None:
    assert same(reply, answer, "call") and same(answer, reply, "call")
    assert is_correct(reply, answer) and is_correct(f"I will call.\n\n{reply}", answer)
    assert not same(reply.replace("2", "3", 9), answer.replace("2", "4"), "call")
    assert not is_correct(reply, answer.replace("2", "4"))
    assert not is_correct(reply, answer.replace("dim", "bright"))


@pytest.mark.parametrize(
    "text",
    [
        '{"action": "dim"}',
        '{"action": "Final Answer", "action_input": "2"}',
        '{"tool_calls": []}',
        '{"tool_calls": [2]}',
        '{"function_call": {"room": 2}, "at": 1}',
        '{"api": "dim", "room": 2}',
    ],
)
def test_an_envelope_without_a_call_is_none(text: str) -> None:
    assert calls.parsed(text) is None


def test_a_thought_in_its_own_channel_stands_before_a_call() -> None:
    thought = "<|channel|>analysis<|message|>Room 3? No.<|end|><|start|>assistant"
    assert is_correct(f'{thought}{OSS}{{"room": 2}}<|call|>', ONE)


@pytest.mark.parametrize("said", ["`ls`", "<tool_call>", "1. `a(b=1)`", "**`x`**", "[TOOL_CALLS]"])
def test_what_looks_like_a_mark_in_an_argument_stays(said: str) -> None:
    call = json.dumps({"name": "note", "arguments": {"text": said}})
    kimi = f"<|tool_call_begin|>functions.note:0<|tool_call_argument_begin|>{call[30:-1]}"
    for reply in (call, f"```json\n{call}\n```", f"<tool_call>{call}</tool_call>", kimi):
        assert calls.parsed(reply) == [("note", (), {"text": said})], reply


def test_backticks_in_an_argument_are_told_from_spaces() -> None:
    assert not same("note(text='`ls`')", "note(text=' ls ')", "call")
    assert same("`note(text='`ls`')`", "note(text='`ls`')", "call")


@pytest.mark.parametrize(
    "text",
    [
        "1. dim the room",
        "- days (optional)",
        "<tool_call>dim\n<arg_key>room</arg_key>",
        "<tool_call>dim",
        "functions.dim:0",
        "commentary to=functions.dim",
        f"{OSS}no JSON<|call|>",
    ],
)
def test_what_is_begun_alone_is_no_call(text: str) -> None:
    assert calls.parsed(text) is None and calls.last(text) is None


@pytest.mark.parametrize(
    "piece",
    [
        "1. `f(",
        "- [",
        "<tool_call>f<arg_key>a</arg_key><arg_value>",
        "<arg_key>a</arg_key><arg_value>1</arg_value>",
        "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{",
        "functions.",
        "assistant to=f",
        "<|channel|>commentary ",
        "to=f json{",
        '"\\',
        '\\"',
        "` ",
        "**`",
    ],
)
def test_marks_without_an_end_take_no_time(piece: str) -> None:
    start = time.process_time()
    assert calls.parsed(piece * (20_000 // len(piece))) is None
    calls.last(piece * (20_000 // len(piece)))
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    ("given", "answer", "right"),
    [
        ("[f(a=1), g(b=2)]", "[g(b=2), f(a=1.0)]", True),
        ('[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]', "[g(), f()]", True),
        ("[f(a=2), f(a=1), f(a=2)]", "[f(a=1), f(a=2), f(a=2)]", True),
        ("[f(a=1), f(a=1)]", "[f(a=1), f(a=2)]", False),
        ("[f(a=1)]", "[f(a=1), f(a=1)]", False),
        ("[f(a=1), f(a=1), g()]", "[f(a=1), g()]", False),
    ],
)
def test_calls_that_are_made_together_have_no_order(given: str, answer: str, right: bool) -> None:
    assert same_value(given, answer) == right
