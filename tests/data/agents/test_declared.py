"""Functions that a row declares, wherever it does, reach the prompt."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.agents.declared import declared_in, tools_of
from srl_edge.data.stage import prepare
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.types import Trajectory
from srl_edge.recipe import load
from tests.helpers.models import make_tokenizer

SCHEMA = {
    "name": "Room Finder API",
    "description": "Finds rooms.",
    "parameters": {"type": "dict", "properties": {"beds": {"type": "int"}}, "required": ["beds"]},
}
BEFORE = "You compose functions. These you can invoke:\n"
AFTER = ". \nPut it in the format of [func1(params_name=params_value...)]."
TOLD = f"{BEFORE}{json.dumps([SCHEMA])}{AFTER}"
CALL = "[Room Finder API(beds=2)]"


def turn(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def parsed(row: dict[str, Any], preset: str = "agent") -> tuple[list[Trajectory], ParseReport]:
    report = ParseReport()
    return list(parse_rows([row], report, form=PRESETS[preset])), report


ASKED = [turn("user", "Two beds?"), turn("assistant", CALL)]


@pytest.mark.parametrize(
    "row",
    [
        {"system": TOLD, "conversations": ASKED},  # without a result, as most of ToolACE's
        {"conversations": [turn("system", TOLD), *ASKED, turn("tool", "[]")]},
        {
            "messages": [
                {"role": "system", "content": f"Tools: <tools>\n{json.dumps(SCHEMA)}\n</tools>"},
                {"role": "user", "content": "Two beds?"},
                {"role": "assistant", "content": "Which town?"},
            ]
        },
    ],
)
def test_a_systems_text_that_declares_functions_is_part_of_the_task(row: dict[str, Any]) -> None:
    ((found,), report) = parsed(row)
    assert json.dumps(SCHEMA) in found.problem and found.problem.endswith("Two beds?")
    assert found.tools == () and not report.dropped  # or the prompt had them twice
    assert found.steps[0] in (CALL, "Which town?")


def test_functions_of_a_systems_text_are_the_ones_that_may_be_called() -> None:
    other = [ASKED[0], turn("assistant", "[Car Finder API(beds=2)]"), turn("tool", "[]")]
    (found, report) = parsed({"system": TOLD, "conversations": other})
    assert not found and list(report.dropped) == ["a call of a tool that is not declared"]


@pytest.mark.parametrize(
    "system",
    [
        "You are kind.",
        'Answer with JSON such as {"name": "Ada", "age": 3}.',
        'Call by {"name": "f", "parameters": {"x": 1}}.',
    ],
)
def test_other_texts_of_a_system_declare_nothing(system: str) -> None:
    assert declared_in(system) == []
    turns = [turn("user", "What is 2 + 3?"), turn("assistant", "First.\n\n2 + 3 = 5.")]
    ((found,), _) = parsed({"system": system, "conversations": turns}, "math")
    assert found.problem == "What is 2 + 3?"


def test_functions_in_a_column_are_no_text_as_well() -> None:
    row = {"system": TOLD, "tools": json.dumps([SCHEMA]), "conversations": ASKED}
    ((found,), _) = parsed({**row, "conversations": [*ASKED, turn("tool", "[]")]})
    assert found.problem == "Two beds?" and len(found.tools) == 1


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        (
            {"o": {"type": "str", "description": "n"}, "k": {"type": "List[int], optional"}},
            {
                "type": "object",
                "properties": {"o": {"type": "string", "description": "n"}, "k": {"type": "array"}},
            },
        ),
        (
            SCHEMA["parameters"],
            {"type": "object", "properties": {"beds": {"type": "integer"}}, "required": ["beds"]},
        ),
        (
            {"type": "object", "properties": {"x": {"type": ["string", "null"]}}},
            {"type": "object", "properties": {"x": {"type": ["string", "null"]}}},
        ),
    ],
)
def test_schemas_have_the_words_that_templates_know(given: Any, schema: Any) -> None:
    tool = {"name": "f", "parameters": given}
    whole = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert tools_of({"tools": [tool]}) == tools_of({"tools": [{"function": tool}]}) == (whole,)


XLAM = {
    "query": "Where is Town @ now?",
    "answers": json.dumps([{"name": "live", "arguments": {"o": 1}}]),
    "tools": json.dumps([{"name": "live", "description": "F", "parameters": {}}]),
}
TOOLRL = {
    "instruction": "Tools: live.",
    "input": "Where is Town @ now?",
    "output": '<think>So.</think><tool_call>{"name": "live", "parameters": {"o": 1}}</tool_call>',
}
TAU = {"instruction": "Ask for Town @.", "actions": [{"name": "live", "kwargs": {"o": 1}}]}
TALK = {
    "tools": XLAM["tools"],
    "conversations": [
        turn("human", "Find Town @."),
        turn("gpt", "Which one do you mean?"),
        turn("human", "That."),
        turn("function_call", '{"name": "live", "arguments": {"o": 1}}'),
        turn("observation", "{}"),
        turn("gpt", "Found."),
    ],
}


def prepared(row: dict[str, Any], preset: str, tmp_path: Path, model: str = "m") -> Path:
    names = ("Ada", "Bree", "Cork", "Dole", "Ede", "Faro", "Gent", "Hull", "Ise", "Jena", "Kiel")
    lines = [json.dumps(row).replace("@", name, 1) for name in (*names, "Lund")]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "r.toml").write_text(
        f"output = 'run'\n[model]\nname = '{model}'\n"
        f"[data]\nsource = '{tmp_path / 'rows.jsonl'}'\n"
        f"validation_problems = 2\ntest_problems = 2\n[prompt]\npreset = '{preset}'\n"
        "[[stages]]\nkind = 'sft'\nsteps = 1\n"
    )
    (tmp_path / "run").mkdir()
    return prepare(load(tmp_path / "r.toml"), tmp_path / "run")


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("agent", "12 trajectories have calls, which are no commands of a shell; prompt.action = "),
        ("math", "prompt.preset = 'agent' is for those with prompt.action = 'call'"),
    ],
)
@pytest.mark.parametrize("row", [XLAM, TOOLRL, TAU, TALK])
def test_calls_of_all_rows_are_told_of(
    row: dict[str, Any],
    preset: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = prepared(row, preset, tmp_path)
    assert said in capsys.readouterr().err
    if preset == "math":  # which ends with its box, and not by saying so
        for line in (folder / "train.jsonl").read_text().splitlines():
            assert "done" not in json.loads(line)["steps"]


@pytest.mark.parametrize("template", [None, "place"])
def test_tools_without_a_place_in_the_template_are_told_of(
    template: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = make_tokenizer(tmp_path / "model")
    if template:
        tokenizer.chat_template = "{{ tools | tojson }}" + tokenizer.chat_template
        tokenizer.save_pretrained(tmp_path / "model")
    said = "12 trajectories have tools, for which the model's chat template has no place"
    prepared(XLAM, "agent", tmp_path, str(tmp_path / "model"))
    assert (said in capsys.readouterr().err) == (template is None)
