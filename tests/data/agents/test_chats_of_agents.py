"""Agents' chats in the roles, fields and forms of others; what is in none is left out, counted."""

import json
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import DONE, PRESETS

ASKED = {"role": "user", "content": "Weather in Paris?"}
GIVEN = {"name": "weather", "arguments": {"city": "Paris"}}
OTHER = {"name": "weather", "arguments": {"city": "Rome"}}
CALL, OTHER_CALL = json.dumps(GIVEN), json.dumps(OTHER)
DONE_TURN = {"role": "assistant", "content": "It is sunny.\nEnjoy."}


def read(*turns: dict[str, Any], column: str = "messages", **more: Any) -> Any:
    report = ParseReport()
    rows = [{column: list(turns), **more}]
    found = list(parse_rows(rows, report, form=PRESETS["agent"], answer_step=True))
    return found[0] if found else report.reasons


def said(text: str, who: str = "assistant") -> dict[str, Any]:
    return {"role": who, "content": text}


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("tool_call", "tool_response"),
        ("tool-call", "tool-response"),
        ("function-call", "function-response"),
        ("function_call", "observation"),
        ("tool_call", "ipython"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        CALL,
        json.dumps({"name": "weather", "arguments": json.dumps(GIVEN["arguments"])}),
        """{'name': 'weather', 'arguments': '{"city": "Paris"}'}""",
        f"Calling tools:\n{[{'id': 'call_1', 'type': 'function', 'function': GIVEN}]}",
        'weather(city="Paris")',
    ],
)
def test_a_turn_of_a_role_that_calls_is_a_call(call: str, result: str, text: str) -> None:
    found = read(ASKED, said(text, call), said("sunny", result), DONE_TURN)
    assert found.steps == (CALL, DONE_TURN["content"], DONE)
    assert found.observations == ("sunny", "", "")
    shared = [{"from": t["role"], "value": t["content"]} for t in (said(text, call), DONE_TURN)]
    turns = [{"from": "human", "value": "Weather in Paris?"}, shared[0]]
    turns += [{"from": result, "value": "sunny"}, shared[1]]
    assert read(*turns, column="conversations").steps == found.steps


@pytest.mark.parametrize("text", ['weather(city="Paris")', CALL, f"[{CALL}]"])
@pytest.mark.parametrize("before", [None, "", "I look."])
def test_function_calls_beside_a_text_are_calls(text: str, before: str | None) -> None:
    call = {"role": "assistant", "content": before, "function_calls": text}
    turns = [ASKED | {"function_calls": None}, call, said("sunny", "environment"), DONE_TURN]
    found = read(*turns)
    assert found.steps[:-1] == (CALL, DONE_TURN["content"])
    assert found.observations[0] == "sunny" and "".join(found.thoughts) == (before or "")


@pytest.mark.parametrize(
    "calls",
    [
        [{"role": "assistant", "content": "", "function_call": made} for made in (GIVEN, OTHER)],
        [said(CALL, "tool_call"), said(OTHER_CALL, "tool_call")],
        [said(f"<tool_call>{made}</tool_call>") for made in (CALL, OTHER_CALL)],
    ],
)
def test_calls_in_a_row_are_one_action(calls: list[dict[str, Any]]) -> None:
    results = [said("sunny", "tool"), said("rain", "tool")]
    found = read(ASKED, *calls, *results, DONE_TURN)
    assert found.steps[0] == f"{CALL}\n{OTHER_CALL}" and found.observations[0] == "sunny\n\nrain"
    why = "an action without its observation"
    assert why in read(ASKED, *calls, results[0], DONE_TURN)


@pytest.mark.parametrize(
    "thought",
    [
        [said("Hm.") | {"channel": "analysis"}],
        [said("") | {"reasoning": "Hm.", "reasoning_content": "Hm."}],
        [said("<think>Hm.</think>")],
    ],
)
def test_what_an_agent_thinks_is_no_word_of_it(thought: list[dict[str, Any]]) -> None:
    call = {"role": "assistant", "content": None, "function_call": GIVEN}
    found = read(ASKED, *thought, call, said("sunny", "tool"), *thought, DONE_TURN)
    assert found.steps == (CALL, DONE_TURN["content"], DONE)
    assert found.thoughts == ("Hm.", "Hm.", "")


def test_anthropic_s_results_of_calls_in_a_row_stand_in_one_turn() -> None:
    calls = [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": made["name"], "input": {}} | made],
        }
        for made in ({"name": "f"}, {"name": "g"})
    ]
    results = [{"type": "tool_result", "content": text} for text in ("x", "y")]
    found = read(ASKED, *calls, {"role": "user", "content": results}, DONE_TURN)
    assert found.steps[0].count("name") == 2 and found.observations[0] == "x\n\ny"
    one = {"role": "user", "content": results[:1]}
    assert "an action without its observation" in read(ASKED, *calls, one, DONE_TURN)


def test_what_a_user_says_beside_anthropic_s_results_is_theirs() -> None:
    parts = [{"type": "tool_use", "id": name, "name": name, "input": {}} for name in "fg"]
    told = [{"type": "tool_result", "tool_use_id": name, "content": f"of {name}"} for name in "gf"]
    words = {"type": "text", "text": "And Rome?"}
    call = {"role": "assistant", "content": parts}
    found = read(ASKED, call, {"role": "user", "content": [*told, words]}, DONE_TURN)
    assert found.observations[0] == "of f\n\nof g\n\nUser: And Rome?"
    one = {"role": "assistant", "content": parts[:1]}
    unheard = {"role": "user", "content": [told[1], words]}
    assert "an action without its observation" in read(ASKED, one, call, unheard, DONE_TURN)


def test_results_of_calls_stand_in_their_order() -> None:
    ids = ["c1", "c2", "c3"]
    function = {"name": "get_weather", "arguments": "{}"}
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": each, "type": "function", "function": function} for each in ids],
    }
    results = [said(f"of {each}", "tool") | {"tool_call_id": each} for each in ids]
    assert read(ASKED, call, *results[::-1], DONE_TURN).observations[0] == "of c1\n\nof c2\n\nof c3"
    results[0]["tool_call_id"] = "c9"  # which is none of them, so that all stay where they are
    assert read(ASKED, call, *results[::-1], DONE_TURN).observations[0] == "of c3\n\nof c2\n\nof c1"


@pytest.mark.parametrize("role", ["tool_call", "assistant"])
def test_what_is_said_before_a_call_in_a_turn_of_its_own_is_its_thought(role: str) -> None:
    call = said(CALL, role) if role == "tool_call" else {"role": role, "function_call": GIVEN}
    found = read(ASKED, said("I look."), call, said("sunny", "tool"), DONE_TURN)
    assert found.thoughts[0] == "I look." and found.steps[0] == CALL
    alone = read(ASKED, call, said("sunny", "tool"), said("It is sunny."), said("Enjoy."))
    assert alone.steps[1] == "It is sunny.\n\nEnjoy."


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("row", "turn"),
    [
        ({"metadata": {"tools": [TOOL]}}, {}),
        ({"metadata": json.dumps({"tools": [TOOL]})}, {}),
        ({"chat_template_kwargs": {"xml_tools": [json.dumps(TOOL)], "python_tools": []}}, {}),
        ({}, {"functions": json.dumps([TOOL["function"]])}),
        ({}, {"tools": [TOOL]}),
        ({"tools": None, "metadata": "none"}, {"functions": [TOOL]}),
    ],
)
def test_tools_are_found_where_they_are_declared(row: Any, turn: Any) -> None:
    call = {"role": "assistant", "content": None, "function_call": GIVEN}
    turns = [said("You help.", "system") | turn, ASKED, call, said("sunny", "tool"), DONE_TURN]
    assert read(*turns, **row).tools == (TOOL,)


def typed(*keys: str, done: bool = False, **more: str) -> dict[str, Any]:
    commands = [{"keystrokes": text, "duration": 0.1} for text in keys]
    return said(json.dumps({**more, "commands": commands, "task_complete": done}, indent=1))


def test_terminus_types_commands() -> None:
    asks = said("Are you sure you want to mark the task as complete?", "user")
    found = read(
        ASKED,
        typed("cd a\n", "ls\n", analysis="First.", plan="I look."),
        said("New Terminal Output:\nb.py", "user"),
        typed("rm b.py\n"),
        said("New Terminal Output:\n", "user"),
        typed(done=True, analysis="All done."),
        asks,
        typed(done=True),
        column="conversations",
    )
    assert found.steps == ("cd a\nls", "rm b.py", DONE)
    assert found.thoughts[0] == "First.\n\nI look."
    assert found.observations == ("New Terminal Output:\nb.py", "New Terminal Output:", "")
    fenced = said(f"```json\n{typed('ls')['content']}\n```")
    assert read(ASKED, fenced, said("a", "user"), typed("pwd")).steps == ("ls", "pwd", DONE)


def test_terminus_keys_and_waits_are_actions_as_they_are_written() -> None:
    screen = said("New Terminal Output:\nroot@x:/app#", "user")
    replies = [
        typed("make\n"),
        typed(""),
        typed("C-c", "ls\n"),
        typed(":wq", "Enter"),
        typed("cat > a <<'EOF'\n  x\nEOF\n", "ls"),
    ]
    found = read(ASKED, *(turn for each in replies for turn in (each, screen)), typed(done=True))
    keys = ([""], ["C-c", "ls\n"], [":wq", "Enter"])
    wait, stop, leave = (
        "\n".join(json.dumps({"keystrokes": key, "duration": 0.1}) for key in each) for each in keys
    )
    assert found.steps == ("make", wait, stop, leave, "cat > a <<'EOF'\n  x\nEOF\nls", DONE)


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "```\n{}\n```\n"])
def test_what_terminus_says_around_its_json_is_thought(form: str) -> None:
    content = "I look at {a}.\n\n" + form.replace("{}", typed("ls\n", plan="Look.")["content"])
    screen = said("New Terminal Output:\na", "user")
    found = read(ASKED, said(content), screen, typed(done=True))
    assert found.steps == ("ls", DONE) and found.thoughts[0] == "I look at {a}.\n\nLook."


@pytest.mark.parametrize("shell", ["mswea_bash_command", "bash", ""])
def test_a_command_in_a_fence_with_its_result_is_an_action(shell: str) -> None:
    turns = [said(f"THOUGHT: so.\n\n```{shell}\n{text}\n```") for text in ("ls", "echo END")]
    result = said("<returncode>0</returncode>\n<output>\na\n</output>", "user")
    assert read(ASKED, turns[0], result, turns[1]).steps == ("ls", "echo END", DONE)


@pytest.mark.parametrize("tag", ["execute", "execute_bash", "execute_ipython"])
def test_what_is_to_be_executed_is_an_action(tag: str) -> None:
    call = said(f"I print.\n<{tag}>\nprint(1)\n</{tag}>")
    found = read(ASKED, call, said("Observation:\n1", "user"), said("It is 1."))
    assert found.steps == ("print(1)", "It is 1.", DONE) and found.thoughts[0] == "I print."


@pytest.mark.parametrize("who", ["user", "tool", "function"])
@pytest.mark.parametrize(
    "given",
    [
        '{"city": "Paris"}',
        "{'city': 'Paris'}",
        '{"city": "Paris"}\nObservation:',
        '```json\n{"city": "Paris"}\n```',
    ],
)
def test_react_calls_by_its_lines(given: str, who: str) -> None:
    call = said(f"Thought: I look.\nAction: weather\nAction Input: {given}")
    last = said("Thought: I know.\nFinal Answer: sunny")
    found = read(ASKED, call, said("Observation: sunny", who), last)
    assert found.steps == (CALL, "sunny", DONE)
    assert found.thoughts == ("I look.", "I know.", "")
    alone = read(ASKED, call, said("Observation: sunny", who), said("Final Answer:\nsunny"))
    assert alone.steps == found.steps and alone.thoughts == ("I look.", "", "")


def test_react_in_one_reply_is_counted() -> None:
    lines = "Thought: I look.\nAction: weather\nAction Input: {}\nObservation: sunny\n"
    for end in ("Final Answer: sunny", "Thought: I know."):
        assert "what came of its own action" in read(ASKED, said(lines + end))


@pytest.mark.parametrize("given", ["Paris", "[1]", ""])
def test_what_react_gives_as_no_object_is_counted(given: str) -> None:
    call = said(f"Action: weather\nAction Input: {given}")
    assert "arguments are no JSON" in read(ASKED, call, said("sunny", "tool"), DONE_TURN)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ("Thought: so.\nAction: search[x]", "Observation: y"),
        ("Think: list.\n\nAct: bash\n\n```python\nls\n```", "The output of the OS:\n220"),
        ("I do:\nclick(3)", "<tool_response>\nok\n</tool_response>"),
        ("open(3)\nclick(4)", "Execution result:\nnone"),
    ],
)
def test_an_agent_s_chat_in_no_known_form_is_counted(reply: str, result: str) -> None:
    found = read(ASKED, said(reply), said(result, "user"), said("Done.\nAll of it."))
    assert "an agent's chat whose actions are in no form that is known" in found


@pytest.mark.parametrize(
    "more", ["And then?", "My observation is this: no.", "Output nothing.", "The result: why?"]
)
def test_a_talk_of_several_questions_is_no_agent_s(more: str) -> None:
    found = read(ASKED, said("It is so.\nAnd so."), said(more, "user"), said("Since.\nSo."))
    assert found.steps[:2] == ("It is so.", "And so.") and not found.observations
