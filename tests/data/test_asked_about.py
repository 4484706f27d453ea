"""Texts in other columns that a question needs, and those that would give its answer away."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench.tasks import problems

ASKED = "How many pears are in the basket?"
TEXT = "Three green pears and five yellow ones are in the basket."
WORKED = "3 + 5 is 8.\nSo there are 8 of them."


def asked(row: dict[str, Any], **columns: str) -> tuple[str, str]:
    """The problem of a row and its shape."""
    report = ParseReport()
    (found,) = parse_rows([row], report, columns=columns or None)
    (shape,) = report.shapes
    return found.problem, shape


COLUMNS = [
    *("body", "story", "narrative", "theory", "document", "paragraph", "background", "scenario"),
    *("situation", "premise", "Passage", "Story", "BODY", "Context"),
]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("text", [TEXT, [TEXT], json.dumps([TEXT])])
def test_a_text_is_put_before_its_question(column: str, text: Any, tmp_path: Path) -> None:
    row = {"question": ASKED, column: text, "solution": WORKED, "answer": "8"}
    expected = f"{TEXT}\n\n{ASKED}"
    assert asked(row) == (expected, f"question, solution, answer, with {column}")
    named = {"frage": ASKED, column: text, "weg": WORKED}
    assert asked(named, problem="frage", solution="weg") == (
        expected,
        f"data.columns, with {column}",
    )
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (measured,) = problems("mine", tmp_path / "rows.jsonl")
    assert measured.problem == expected


def test_several_texts_come_in_their_order() -> None:
    row = {"question": ASKED, "situation": "S.", "background": "B.", "solution": WORKED}
    assert asked(row) == (
        f"B.\n\nS.\n\n{ASKED}",
        "question, solution, with background and situation",
    )


@pytest.mark.parametrize("output", ["output", "response", "completion"])
@pytest.mark.parametrize("text", ["3, 5", TEXT])
def test_alpaca_s_input_follows_its_instruction(output: str, text: str) -> None:
    row = {"instruction": "Add the numbers.", "input": text, output: WORKED}
    found, shape = asked(row, problem="instruction", solution=output)
    assert (found, shape) == (f"Add the numbers.\n\n{text}", "data.columns, with input")
    assert asked(row | {"output": WORKED}) == (found, "Alpaca")
    none = asked(row | {"input": ""}, problem="instruction", solution=output)
    assert none == ("Add the numbers.", "data.columns")
    other = {"task": "Add the numbers.", "input": text, output: WORKED}
    assert asked(other, problem="task", solution=output)[0] == "Add the numbers."


@pytest.mark.parametrize(
    "text", ["nan", "NaN", " None\n", "N/A", "<noinput>", "<noInput>", "No input", "[no_input]"]
)
def test_a_text_that_stands_for_none_is_not_shown(text: str) -> None:
    row = {"instruction": "Add 3 and 5.", "input": text, "output": WORKED}
    assert asked(row) == ("Add 3 and 5.", "Alpaca")
    named = asked(row, problem="instruction", solution="output")
    assert named == ("Add 3 and 5.", "data.columns")
    beside = {"question": ASKED, "passage": text, "context": [text, TEXT], "solution": WORKED}
    expected = f"{TEXT}\n\n{ASKED}"
    assert asked(beside) == (expected, "question, solution, with context")


@pytest.mark.parametrize("text", ["none", "Nan Madol", "no inputs, two outputs", "NULL pointer"])
def test_a_text_with_words_for_none_is_shown(text: str) -> None:
    row = {"instruction": "Explain this.", "input": text, "output": WORKED}
    assert asked(row)[0] == f"Explain this.\n\n{text}"


CODE = "def f(n):\n    return n + 5"


@pytest.mark.parametrize(
    "question",
    ["What does it return for 3?", "What is the output?", "Which line of this code is wrong?"],
)
def test_code_that_is_asked_about_is_shown(question: str) -> None:
    row = {"question": question, "code": CODE, "solution": WORKED}
    assert asked(row) == (f"{CODE}\n\n{question}", "question, solution, with code")


@pytest.mark.parametrize(
    "question",
    ["Write a program that adds 5.", "Implement what returns n + 5 in code.", ASKED],
)
def test_code_that_is_the_solution_is_not_shown(question: str) -> None:
    assert asked({"question": question, "code": CODE, "solution": WORKED})[0] == question


@pytest.mark.parametrize(
    "more",
    [
        {"context": f"{TEXT} {WORKED}"},
        {"document": f"Solved:\n{WORKED}"},
        {"body": WORKED.replace("\n", "  \n\n")},
        {"story": 5, "background": True, "table": 2.0},
        {"story": None, "body": "", "theory": float("nan"), "document": [], "premise": " "},
        {"facts": [TEXT], "hint": TEXT, "rationale": TEXT, "explanation": TEXT, "text": TEXT},
    ],
)
def test_what_gives_the_solution_away_or_is_no_text_is_not_shown(more: dict[str, Any]) -> None:
    row = {"question": ASKED, "solution": WORKED} | more
    assert asked(row) == (ASKED, "question, solution")
    steps = {"question": ASKED, "steps": WORKED.split("\n")} | more
    assert asked(steps) == (ASKED, "question, steps")


def test_a_text_that_holds_a_short_answer_is_shown() -> None:
    row = {"question": "Who ran?", "passage": "Eve ran.\nBob sat.", "solution": "Eve\nEve ran."}
    assert asked(row)[0] == "Eve ran.\nBob sat.\n\nWho ran?"
    whole = {"question": f"{TEXT}\n{ASKED}", "body": TEXT.replace(" ", "  "), "solution": WORKED}
    assert asked(whole) == (f"{TEXT}\n{ASKED}", "question, solution")
