"""Questions that need what stands in another column: choices, texts, images, earlier turns."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.row import read
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.data.values import Unusable
from srl_edge.devices.bench.tasks import problems

ASKED = "Which one is right?"
QUESTION = {"question": ASKED, "answer": "B"}
LETTERED = f"{ASKED}\nA. one\nB. two"


def problem(row: dict[str, Any], columns: dict[str, str] | None = None) -> str:
    return read(row, "x", columns=columns).problem


CHOICES: list[dict[str, Any]] = [
    {"options": ["one", "two"]},
    {"choices": ["one", "two"]},
    {"options": ["A)one", "B)two"]},
    {"options": ["(A) one", "(B) two"]},
    {"options": ["A. one", "B: two", None]},
    {"options": {"A": "one", "B": "two"}},
    {"options": [{"key": "A", "value": "one"}, {"key": "B", "value": "two"}]},
    {"choices": {"text": ["one", "two"], "label": ["A", "B"]}},
    {"choices": [{"label": "A", "text": "one"}, {"label": "B", "text": "two"}]},
    {"options": '["one", "two"]'},
    {"options": "['one', 'two']"},
    {"A": "one", "B": "two"},
    {"A": "one", "B": "two", "C": None, "explanation": "two is"},
    {"opa": "one", "opb": "two", "op": "x"},
    {"option_b": "two", "option_a": "one"},
    {"optionA": "one", "optionB": "two"},
    {"options": "A. one\nB. two"},
]


@pytest.mark.parametrize("choices", CHOICES)
def test_choices_are_lettered_lines_of_the_question(choices: dict[str, Any]) -> None:
    assert problem(QUESTION | choices) == LETTERED
    columns = {"problem": "frage", "answer": "antwort"}
    assert problem({"frage": ASKED, "antwort": "B"} | choices, columns) == LETTERED
    row = {"instruction": ASKED, "output": "It is so.\nSo it is B."}
    assert problem(row | choices) == LETTERED


@pytest.mark.parametrize("choices", CHOICES)
def test_an_answer_that_is_the_place_of_a_choice_is_counted(choices: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="an answer that is the place of a choice"):
        read(QUESTION | {"answer": 1} | choices, "x")
    numbered = {"text": ["one", "two"], "label": ["1", "2"]}
    assert read(QUESTION | {"answer": 1, "choices": numbered}, "x").answer == "1"


def test_choices_that_are_numbers_have_letters_of_their_own() -> None:
    assert problem(QUESTION | {"options": [1, 2.5]}) == f"{ASKED}\nA. 1\nB. 2.5"
    labels = {"text": ["one", "two"], "label": ["1", "2"]}
    assert problem(QUESTION | {"choices": labels}) == f"{ASKED}\n1. one\n2. two"


@pytest.mark.parametrize(
    "asked",
    [LETTERED, f"{ASKED} (A) one (B) two", f"{ASKED} $\\textbf{{(A)}}$ one $\\textbf{{(B)}}$ two"],
)
def test_a_question_that_has_its_choices_stays(asked: str) -> None:
    assert problem({"question": asked, "answer": "B", "options": ["one", "two"]}) == asked


@pytest.mark.parametrize(
    "other",
    [
        {"A": 3, "B": 4},
        {"A": "one"},
        {"B": "one", "C": "two"},
        {"options": []},
        {"options": None},
        {"choices": float("nan")},
        {"context": ""},
        {"context": float("nan")},
        {"image": None, "images": [], "image_1": ""},
        {"history": []},
        {"history": "of the Romans"},
    ],
)
def test_what_is_no_part_of_a_question_is_left_out(other: dict[str, Any]) -> None:
    assert problem(QUESTION | other) == ASKED


@pytest.mark.parametrize("column", ["passage", "article", "context", "table"])
@pytest.mark.parametrize("text", ["All of it.", ["All", "of it."], '["All", "of it."]'])
def test_a_text_comes_before_the_question_about_it(column: str, text: Any) -> None:
    before = "All of it." if text == "All of it." else "All\n\nof it."
    expected = f"{before}\n\n{ASKED}"
    assert problem(QUESTION | {column: text}) == expected
    assert problem({"instruction": ASKED, "output": "a\nb", column: text}) == expected
    named = {"problem": "frage", "solution": "lösung"}
    assert problem({"frage": ASKED, "lösung": "a\nb", column: text}, named) == expected
    both = problem(QUESTION | {column: text, "options": ["one", "two"]})
    assert both == f"{before}\n\n{LETTERED}"


def test_a_text_that_the_question_has_is_not_said_twice() -> None:
    row = {"question": f"All of it. {ASKED}", "answer": "B", "passage": "All of it."}
    assert problem(row) == row["question"]


@pytest.mark.parametrize("column", ["passage", "options", "image"])
def test_a_column_that_is_named_is_what_it_is_named(column: str) -> None:
    row = {"question": ASKED, column: "First so.\nThen so."}
    found = read(row, "x", columns={"problem": "question", "solution": column})
    assert found.problem == ASKED and len(found.steps) == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"image": "x.png"}, "a question about an image"),
        ({"images": [b"x"]}, "a question about an image"),
        ({"image_1": {"bytes": b"x"}}, "a question about an image"),
        ({"decoded_image": "x"}, "a question about an image"),
        ({"history": [["What is 4 + 6?", "10."]]}, "a question with turns before it"),
        ({"history": '[["What is 4 + 6?", "10."]]'}, "a question with turns before it"),
        ({"context": {"title": ["a"], "sentences": [["b"]]}}, "a question about what is no text"),
        ({"context": [["a", ["b"]]]}, "a question about what is no text"),
        ({"choices": [{"message": {"content": "x"}}]}, "a choice that is no text"),
    ],
)
def test_what_cannot_be_asked_is_counted(more: dict[str, Any], why: str) -> None:
    for row in (QUESTION, {"instruction": ASKED, "output": "a\nb"}):
        with pytest.raises(Unusable, match=why):
            read(row | more, "x")


PARTS = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": ASKED}]


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (ASKED, {"images": ["x.png"]}),
        ("<image>\nWhat is it?", {"image": "x.png"}),
        (PARTS, {}),
        ([{"type": "image"}, PARTS[1]], {}),
    ],
)
def test_a_chat_about_an_image_is_counted(asked: Any, more: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "a\nb"}]
    report = ParseReport()
    rows = [{"messages": turns, **more}, {"prompt": turns[:1], "completion": turns[1:], **more}]
    assert not list(parse_rows(rows, report))
    assert report.dropped == {"a question about an image": 2}


def test_an_agent_s_image_is_of_its_container() -> None:
    steps = [{"action": "ls", "observation": "a"}, {"action": "submit"}]
    row = {"problem_statement": "Mend it.", "trajectory": steps, "image": "swe:1"}
    assert read(row, "x").problem == "Mend it."


def test_what_is_measured_is_asked_so_too(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [QUESTION | {"options": ["one", "two"], "passage": "All of it."}]
    rows += [QUESTION | {"question": "What is shown?", "image": "x.png"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = problems("mine", tmp_path / "rows.jsonl")
    assert found.problem == f"All of it.\n\n{LETTERED}" and found.answer == "B. two"
