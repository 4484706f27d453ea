"""What agents did, in the shapes that their recorders write; the samples are our own."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.agents import sandbox
from srl_edge.data.trajectories import ParseReport, load, parse_rows, write_jsonl
from srl_edge.method.prompt_form import DONE, PRESETS
from srl_edge.method.prompts import step_prompts
from srl_edge.method.types import Trajectory

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
MAIL = {"type": "function", "function": {"name": "mail", "parameters": {"type": "object"}}}


def called(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


OPENAI: dict[str, Any] = {
    "tools": [WEATHER, MAIL],
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Mail me the weather in Rome."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [called("weather", '{"city": "Rome"}')],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {
            "role": "assistant",
            "content": "It is sunny.",
            "tool_calls": [called("mail", {"text": "sunny"})],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sent"},
        {"role": "assistant", "content": "I have mailed it."},
    ],
}
SMITH = {
    "instance_id": "x__1",
    "resolved": True,
    "messages": json.dumps(
        [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "Mend the bug."}]},
            {
                "role": "assistant",
                "content": "I look.\n<function=bash>\n<parameter=command>ls -la"
                "</parameter>\n</function>",
            },
            {"role": "user", "content": [{"type": "text", "text": "OBSERVATION:\na.py"}]},
            {"role": "assistant", "content": "Done.\n<function=submit>\n</function>"},
        ]
    ),
}
OPENHANDS = {
    "resolved": 1,
    "tools": json.dumps([{"name": "execute_bash", "parameters": {}}]),
    "trajectory": [
        {"role": "user", "content": "Mend it."},
        {
            "role": "assistant",
            "content": "Look",
            "tool_calls": [called("execute_bash", '{"command": "cat a.py"}')],
        },
        {"role": "tool", "name": "execute_bash", "content": "a = 1", "tool_calls": None},
        {"role": "assistant", "content": "<execute_bash>\nls\n</execute_bash>"},
    ],
}
NEBIUS = {
    "target": True,
    "exit_status": "submitted",
    "trajectory": [
        {"role": "system", "text": None, "system_prompt": "S", "mask": False},
        {"role": "user", "text": "Mend it."},
        {"role": "ai", "text": "Let me see.\n\n```\nls\n```"},
        {"role": "user", "text": "a.py\nbash-$"},
        {"role": "ai", "text": "Good.\n```\nsubmit\n```"},
    ],
}
SWE_AGENT = {
    "problem_statement": "Mend it.",
    "trajectory": [
        {"action": "ls\n", "observation": "a.py", "thought": "First.", "response": "…"},
        {"action": "submit", "observation": None, "thought": ""},
    ],
}
XLAM = {
    "id": 7,
    "query": "Play jazz.",
    "tools": json.dumps([{"name": "play", "description": "d", "parameters": {}}]),
    "answers": json.dumps([{"name": "play", "arguments": {"what": "jazz"}}]),
}
TOOLRL = {
    "instruction": "You may call: up.",
    "input": "What is up?",
    "output": '<think>I call.</think>\n<tool_call>\n{"name": "up", "parameters": {"a": 1}}\n'
    '{"name": "down", "parameters": {}}\n</tool_call>',
}
TAU = {
    "user_id": "u",
    "instruction": "You want it cancelled.",
    "outputs": [],
    "actions": [{"name": "cancel", "kwargs": {"id": 3}}],
}
TAU2 = {
    "id": "1",
    "user_scenario": {
        "persona": None,
        "instructions": {"reason": "It broke.", "known": None, "task": "Return."},
    },
    "evaluation_criteria": {
        "actions": [{"action_id": "1", "name": "back", "arguments": {"id": 3}}]
    },
}
WEATHER_CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'
MAIL_CALL = '{"name": "mail", "arguments": {"text": "sunny"}}'
FACTORY = {
    "conversations": [
        {"from": "human", "value": "Weather in Rome?"},
        {"from": "function_call", "value": WEATHER_CALL},
        {"from": "observation", "value": "sunny"},
        {"from": "gpt", "value": "It is sunny."},
    ],
}
ONCE = {
    "messages": [
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "tool_calls": [called("weather", {"city": "Rome"})]},
    ]
}
# A row, then its problem, actions, observations, thoughts and the names of its tools.
KNOWN: dict[str, tuple[dict[str, Any], str, list[str], list[str], list[str], list[str]]] = {
    "openai": (
        OPENAI,
        "Mail me the weather in Rome.",
        [WEATHER_CALL, MAIL_CALL, "I have mailed it."],
        ["sunny", "sent", ""],
        ["", "It is sunny.", ""],
        ["weather", "mail"],
    ),
    "swe-smith": (
        SMITH,
        "S\n\nMend the bug.",
        ["ls -la", '{"name": "submit", "arguments": {}}'],
        ["OBSERVATION:\na.py", ""],
        ["I look.", "Done."],
        [],
    ),
    "openhands": (
        OPENHANDS,
        "Mend it.",
        ["cat a.py", "ls"],
        ["a = 1", ""],
        ["Look", ""],
        ["execute_bash"],
    ),
    "nebius": (
        NEBIUS,
        "S\n\nMend it.",
        ["ls", "submit"],
        ["a.py\nbash-$", ""],
        ["Let me see.", "Good."],
        [],
    ),
    "swe-agent": (SWE_AGENT, "Mend it.", ["ls", "submit"], ["a.py", ""], ["First.", ""], []),
    "llama-factory": (
        FACTORY,
        "Weather in Rome?",
        [WEATHER_CALL, "It is sunny."],
        ["sunny", ""],
        [],
        [],
    ),
    "one call": (ONCE, "Weather in Rome?", [WEATHER_CALL], [""], [], []),
    "xlam": (
        XLAM,
        "Play jazz.",
        ['{"name": "play", "arguments": {"what": "jazz"}}'],
        [],
        [],
        ["play"],
    ),
    "toolrl": (
        TOOLRL,
        "You may call: up.\n\nWhat is up?",
        ['{"name": "up", "arguments": {"a": 1}}', '{"name": "down", "arguments": {}}'],
        [],
        ["I call.", ""],
        [],
    ),
    "tau": (
        TAU,
        "You want it cancelled.",
        ['{"name": "cancel", "arguments": {"id": 3}}'],
        [],
        [],
        [],
    ),
    "tau2": (TAU2, "It broke.\nReturn.", ['{"name": "back", "arguments": {"id": 3}}'], [], [], []),
}


def read(row: dict[str, Any]) -> tuple[Trajectory | None, ParseReport]:
    report = ParseReport()
    found = list(parse_rows([row], report, form=PRESETS["agent"], answer_step=True))
    return (found[0] if found else None), report


@pytest.mark.parametrize("name", KNOWN)
def test_each_shape_is_read_as_actions(name: str, tmp_path: Path) -> None:
    row, problem, actions, observations, thoughts, tools = KNOWN[name]
    found, report = read(row)
    assert found is not None, report.reasons
    assert found.problem == problem
    assert list(found.steps) == [*actions, DONE]
    assert list(found.observations) == ([*observations, ""] if observations else [])
    assert list(found.thoughts) == (
        [*thoughts, *[""] * (len(actions) + 1 - len(thoughts))] if any(thoughts) else []
    )
    assert [tool["function"]["name"] for tool in found.tools] == tools
    assert load(write_jsonl(tmp_path / "t.jsonl", [found])) == [found]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (OPENAI | {"tools": [MAIL]}, "a call of a tool that is not declared"),
        (
            OPENAI | {"messages": [OPENAI["messages"][n] for n in (0, 1, 2, 4, 5)]},
            "an action without its observation",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "tool_calls": [called("f", "{")]},
                    {"role": "tool", "content": ""},
                    {"role": "assistant", "content": "a"},
                ]
            },
            "a call whose arguments are no JSON",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "tool_calls": [called("f", "[1]")]},
                ]
            },
            "a call whose arguments are no JSON",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "tool_calls": [{"function": {}}]},
                ]
            },
            "a call without a name",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [called("f", "{}")]},
                    {"role": "tool", "content": "x"},
                ]
            },
            "no task before the first action",
        ),
        (SMITH | {"resolved": False}, "an attempt that did not succeed"),
        (NEBIUS | {"target": False}, "an attempt that did not succeed"),
        (OPENHANDS | {"resolved": 0}, "an attempt that did not succeed"),
        (XLAM | {"answers": ""}, "no call"),
        (
            XLAM | {"answers": '[{"name": "stop", "arguments": {}}]'},
            "a call of a tool that is not declared",
        ),
        (
            {"problem_statement": "p", "trajectory": [{"action": "ls"}, {"action": "cat"}]},
            "an action without its observation",
        ),
        (
            {"problem": "p", "steps": ["a", "b"], "observations": ["x"]},
            "steps without an observation each",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_counted(row: dict[str, Any], why: str) -> None:
    found, report = read(row)
    assert found is None and dict(report.dropped) == {why: 1}


def test_a_prompt_holds_the_last_pairs_and_the_tools() -> None:
    found, _ = read(KNOWN["openai"][0])
    assert found is not None
    (group,) = step_prompts([found], "all", form=PRESETS["agent"])
    user = [prompt.messages[-1]["content"] for prompt in group]
    assert user[0] == "Task: Mail me the weather in Rome.\n\n"
    assert user[1].endswith(f"\n\n> {WEATHER_CALL}\nsunny\n")
    assert user[3].endswith(f"\n\n> {MAIL_CALL}\nsent\n> I have mailed it.\n\n")
    assert WEATHER_CALL not in user[3]  # two pairs, as in the paper
    assert group[0].template_kwargs == {"tools": [WEATHER, MAIL]}


TALK = "Use:\n```python\nprint(1)\n```\nthen\n```python\nprint(2)\n```\nend"
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": TALK}]
STEPS = {"problem": "p", "solution": "1. a\n2. b"}


@pytest.mark.parametrize(
    "row",
    [
        {"question": "What is 1+1?", "answer": "Add.\nIt is 2.\n#### 2", "trajectory": "a text"},
        {"question": "What is 1+1?", "answer": "Add.\nIt is 2.\n#### 2", "trajectory": [1, {}]},
        STEPS | {"query": "x", "answers": ["y"]},
        {"instruction": "do", "output": "1. a\n2. b", "actions": ["x"]},
        STEPS | {"world": {"setting": "mars"}},
        STEPS | {"world": {"kind": "home"}},
        STEPS | {"observations": ["x"]},
        {"messages": CHAT, "instance_id": "x__1"},
        {"messages": [CHAT[0], {"role": "assistant", "content": "1. <tool_call> marks\n2. b"}]},
    ],
)
def test_what_is_no_agent_s_is_read_as_it_was(row: dict[str, Any]) -> None:
    found, report = read(row)
    assert found is not None, report.reasons
    others = (
        "trajectory",
        "query",
        "answers",
        "actions",
        "world",
        "observations",
        "tools",
        "instance_id",
    )
    plain, _ = read({key: value for key, value in row.items() if key not in others})
    assert found == plain and not found.observations and not found.tools


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<function=bash>\n<parameter=command>echo `date`</parameter>\n</function>", "echo `date`"),
        ("<function=bash>\n<parameter=command>\ntrue\n</parameter>\n</function>", "true"),
        (
            "<function=edit>\n<parameter=old_str>\n    a = `1`\n</parameter>\n<parameter=at>[1, 2]"
            "</parameter>\n<parameter=new_str>\n    7\n</parameter>\n</function>",
            '{"name": "edit", "arguments": {"old_str": "    a = `1`", "at": [1, 2], '
            '"new_str": "    7"}}',
        ),
        ('<function=f>{"a": "`b`"}</function>', '{"name": "f", "arguments": {"a": "`b`"}}'),
        (
            '<tool_call>\n{"name": "f", "arguments": {"a": "```x```"}}\n</tool_call>\n'
            '<tool_call>{"name": "g", "arguments": {}}</tool_call>',
            '{"name": "f", "arguments": {"a": "```x```"}}\n{"name": "g", "arguments": {}}',
        ),
        (
            f"<function=f>\n<parameter=text>{'x' * 30_000}</parameter>\n</function>",
            f'{{"name": "f", "arguments": {{"text": "{"x" * 30_000}"}}}}',
        ),
    ],
)
def test_what_is_in_a_call_stays_as_it_is(text: str, action: str) -> None:
    turns = [
        CHAT[0],
        {"role": "assistant", "content": f"So.\n{text}"},
        {"role": "user", "content": "ok"},
        {"role": "assistant", "content": "end"},
    ]
    found, report = read({"messages": turns})
    assert found is not None, report.reasons
    assert found.steps == (action, "end", DONE) and found.thoughts[0] == "So."


def test_a_fence_in_what_an_agent_says_after_its_calls_is_no_command() -> None:
    for said in (TALK, "All set:\n```\nresult\n```\nSee above."):
        turns = [*OPENAI["messages"][:-1], {"role": "assistant", "content": said}]
        found, _ = read(OPENAI | {"messages": turns})
        assert found is not None and found.steps[-2] == said


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"instance_id": "a__1", "trajectory": SWE_AGENT["trajectory"]}, "no problem text"),
        (
            SWE_AGENT | {"trajectory": [{"action": {"a": 1}}, {"action": "ls"}]},
            "an action that is no text",
        ),
        (
            XLAM | {"answers": [{"name": "play", "arguments": {"at": datetime(2020, 1, 1)}}]},
            "a call whose arguments are no JSON",
        ),
        (
            OPENAI | {"tools": [WEATHER | {"at": datetime(2020, 1, 1)}, MAIL]},
            "tools that are no JSON",
        ),
        (OPENAI | {"tools": [WEATHER | {"at": "\ud800"}, MAIL]}, "tools that are no JSON"),
        (
            {"problem": "p", "steps": ["a", "b"], "observations": ["x", "\ud800"]},
            "half of a character (a lone surrogate)",
        ),
        (
            {"problem": "p", "steps": ["a", "b"], "world": {"kind": "home", "x": datetime.min}},
            "a world that is no JSON",
        ),
        (
            {"problem": "p", "steps": ["a", "b"], "world": '{"kind": "home"}'},
            "a home without its state, an object of places",
        ),
    ],
)
def test_what_can_be_no_action_is_counted(row: dict[str, Any], why: str) -> None:
    found, report = read(row)
    assert found is None and dict(report.dropped) == {why: 1}


def test_commands_of_others_are_run_under_bubblewrap_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = {
        "kind": "shell",
        "goal": [{"file": "a", "says": "y"}],
        "commits": [{"author": "A", "message": "m", "files": {"a": "x\n"}}],
    }
    row = {"problem": "p", "steps": ["cat a", "echo y > a", DONE], "world": world}
    if sandbox.confinement() == sandbox.BUBBLEWRAP:
        found, _ = read(row)
        assert found is not None and found.observations[0] == "x"
    monkeypatch.setattr(sandbox, "confinement", lambda: sandbox.LIMITS)
    found, report = read(row)
    assert found is None and "for which bubblewrap is needed" in next(iter(report.dropped))


def test_a_thought_in_marks_is_no_part_of_what_is_said() -> None:
    said = {"role": "assistant", "content": "<think>All is done.</think>\n\nI have mailed it."}
    found, _ = read(OPENAI | {"messages": [*OPENAI["messages"][:-1], said]})
    assert found is not None
    assert found.steps[-2:] == ("I have mailed it.", DONE)
    assert found.thoughts[-2] == "All is done."
