"""Choices that stand beside their question: its answer is right by letter, by text or by both."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.formats import rows_of
from srl_edge.data.row import read
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.data.values import Unusable
from srl_edge.devices.bench.tasks import problems
from srl_edge.method.prompt_form import DEFAULT, PRESETS
from srl_edge.method.verifiers import is_correct, is_marked_correct

# The columns of choices, the letter of the right one with its text, and another with its own.
ROWS: list[tuple[dict[str, Any], tuple[str, str], tuple[str, str]]] = [
    ({"choices": ["Nora", "Theo", "Ida"]}, ("B", "Theo"), ("C", "Ida")),
    ({"options": ["A)48", "B)52", "C)60"]}, ("C", "60"), ("A", "48")),
    ({"options": "a ) 48 , b ) 5,200 , c ) none of these"}, ("B", "5,200"), ("A", "48")),
    ({"A": "$\\frac{2}{9}$", "B": "$\\frac{9}{2}$"}, ("A", "\\frac{2}{9}"), ("B", "\\frac92")),
    ({"choices": {"text": ["no", "yes"], "label": ["A", "B"]}}, ("B", "yes"), ("A", "no")),
    ({"options": ["E. coli", "yeast"]}, ("A", "E. coli"), ("B", "yeast")),
    ({"opa": "A and C", "opb": "> 7 m"}, ("B", "> 7 m"), ("A", "A and C")),
]
ASKED = "Which of them is it?"


@pytest.mark.parametrize(("beside", "right", "wrong"), ROWS)
@pytest.mark.parametrize("named", [0, 1])
def test_replies_by_letter_by_text_and_by_both(
    beside: dict[str, Any], right: tuple[str, str], wrong: tuple[str, str], named: int
) -> None:
    row = read({"question": ASKED, "answer": right[named]} | beside, "x")
    assert row.answer is not None
    for form in (DEFAULT, PRESETS["math"]):
        for letter, text, true in (
            (*right, True),
            (*wrong, False),
            (right[0], wrong[1], False),
            (wrong[0], right[1], False),
        ):
            both = (f"{letter}. {text}", f"({letter}) {text}")
            alone = (letter, text) if (letter, text) in (right, wrong) else ()
            for said in (*both, *alone):
                for reply in (f"\\boxed{{{said}}}", f"#### {said}", f"**{said}**"):
                    if reply.startswith("**") and said == text:
                        continue  # a text alone is no answer where none is announced
                    assert is_correct(reply, row.answer, form) == true, reply
                assert is_marked_correct(f"\\boxed{{{said}}}", row.answer, form) == true, said
                assert is_correct(f"The answer is {said}.", row.answer, form) == true, said


@pytest.mark.parametrize(
    ("beside", "answer"),
    [
        ({"choices": ["C", "B", "A"]}, "C"),  # the letter of one and the text of another
        ({"choices": ["7", "7.0"]}, "7.00"),
        ({"choices": ["red", "blue"]}, "green"),
        ({"choices": ["red", "blue"]}, "(A) blue"),
        ({"choices": {"text": ["red", "blue"], "label": ["1", "2"]}}, "2"),
        ({"choices": ["x = 1\ny = 2", "x = 2\ny = 1"]}, "B"),
        ({}, "B"),
    ],
)
def test_answers_that_stay(beside: dict[str, Any], answer: str) -> None:
    assert read({"question": ASKED, "answer": answer} | beside, "x").answer == answer


def test_a_question_that_has_its_choices_with_other_letters_keeps_its_answer() -> None:
    row = {"question": f"{ASKED} 1) red 2) blue", "choices": ["red", "blue"], "answer": "B"}
    assert read(row, "x").answer == "B"
    row["question"] = f"{ASKED} $\\textbf{{(A)}}$ red $\\qquad\\textbf{{(B)}}$ blue"
    assert read(row, "x").answer == "B. blue"


def test_rows_whose_solution_ends_in_the_other_form_are_kept_and_taught_their_own(
    tmp_path: Path,
) -> None:
    base = {"question": ASKED, "choices": ["48 m", "52 m"]}
    start = "Take 40.\nAdd 12.\n"
    solutions = [f"{start}The answer is 52 m.", f"{start}#### 52 m", f"{start}#### B"]
    rows = [base | {"solution": s, "answer": a} for s in solutions for a in ("B", "52 m")]
    rows += [base | {"solution": f"{start}#### A", "answer": "52 m"}]
    rows += [base | {"steps": ["40 + 12 is 52.", "\\boxed{52 m}"]}]
    report = ParseReport()
    kept = list(parse_rows(rows, report, answer_step=True))
    assert [t.answer for t in kept] == ["B. 52 m"] * 7
    assert report.dropped == {"a solution that ends in another answer than the row's": 1}
    taught = [t.steps[-1] for t in kept]
    assert taught == ["#### B", "#### 52 m"] * 3 + ["#### 52 m"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    assert [each.answer for each in problems("mine", path)] == ["B. 52 m"] * 2


def test_a_pattern_of_ones_own_may_ask_for_the_letter_alone() -> None:
    form = replace(DEFAULT, answer=r"Choice: ([A-J])")
    row = {"question": ASKED, "choices": ["48", "52"], "steps": ["a", "b"], "answer": "B"}
    (kept,) = parse_rows([row], ParseReport(), form=form)
    assert kept.steps[-1].endswith("Choice: B")
    assert is_correct("Choice: B", kept.answer or "", form)
    assert not is_correct("Choice: A", kept.answer or "", form)


NAMES = {"choices": ["copper", "zinc", "iron", "tin"]}
COUNTS = {"choices": ["1", "2", "3", "4"]}
WEEKS = {"opa": "1 week", "opb": "2 weeks", "opc": "3 weeks", "opd": "4 weeks"}


@pytest.mark.parametrize("answer", [3, "3", 3.0, "3.0", "(3)", "[3]", ["3"], "$3$", "Option 3"])
@pytest.mark.parametrize("beside", [NAMES, WEEKS, {"options": "a ) ore , b ) slag , c ) ash"}])
def test_the_place_of_a_choice_is_no_answer_however_it_is_written(
    beside: dict[str, Any], answer: Any
) -> None:
    with pytest.raises(Unusable, match="the place of a choice"):
        read({"question": ASKED, "answer": answer} | beside, "x")


@pytest.mark.parametrize(
    ("beside", "answer"),
    [
        (NAMES, "0"),
        (NAMES, "-1"),
        (NAMES, 7),
        ({"choices": ["no", "yes"]}, "1"),
        ({"options": "yes, no"}, "1"),
        ({"choices": {"text": ["red", "blue"], "label": ["A", "B"]}}, "2.0"),
        (COUNTS, 3),
        (COUNTS, 3.0),
        (COUNTS, "Option 3"),
        (NAMES, "Metals are hard.\n#### 2"),
    ],
)
def test_places_from_0_and_from_1_under_choices_of_any_form(
    beside: dict[str, Any], answer: Any
) -> None:
    with pytest.raises(Unusable, match="the place of a choice"):
        read({"question": ASKED, "answer": answer} | beside, "x")


ENDS = "Seven days are one.\nSo the answer is {}."


@pytest.mark.parametrize(
    ("row", "right"),
    [
        (COUNTS | {"answer": "3"}, "C. 3"),
        (COUNTS | {"answer": "3.0"}, "C. 3"),
        (COUNTS | {"answer": 3, "solution": ENDS.format(3)}, "C. 3"),
        (WEEKS | {"answer": "3", "solution": ENDS.format("3 weeks")}, "C. 3 weeks"),
        ({"choices": ["18", "20"], "answer": 20}, "B. 20"),
        ({"choices": ["18", "20"], "answer": "21"}, "21"),
        ({"choices": ["Option 1", "Option 2"], "answer": "Option 2"}, "B. Option 2"),
        ({"choices": {"text": ["red", "blue"], "label": ["1", "2"]}, "answer": "2"}, "2"),
        ({"choices": {"text": ["red", "blue"], "label": ["1", "2"]}, "answer": 2}, "2"),
        ({"options": "1; 2", "answer": "2"}, "2"),
        ({"options": "1) red 2) blue", "answer": "2"}, "2"),
        (NAMES | {"answer": "2 copper coins"}, "2 copper coins"),
        ({"answer": "2"}, "2"),
    ],
)
def test_numbers_that_are_values_or_labels_of_choices_stay(row: dict[str, Any], right: str) -> None:
    assert read({"question": ASKED} | row, "x").answer == right


@pytest.mark.parametrize("asked", ["1) red 2) blue", "(1) red\n(2) blue", "1. red 2. blue"])
@pytest.mark.parametrize("answer", [2, "2"])
def test_numbers_by_which_the_question_has_its_choices_stay(asked: str, answer: Any) -> None:
    row = {"question": f"{ASKED} {asked}", "choices": ["red", "blue"], "answer": answer}
    assert read(row, "x").answer == "2"


def test_a_table_of_places_is_left_out_and_counted_in_data_and_in_benchmarks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "problem,solution,opa,opb,opc,opd,answer\n"
        'Which rusts?,"Rust is iron\'s.\nSo it is that.",copper,zinc,iron,tin,2\n'
        'Which is red?,"Red is copper\'s.\nSo it is that.",copper,zinc,iron,tin,0\n'
        'How many are there?,"Count them.\nThere are 12.",9,12,15,18,12\n'
    )
    report = ParseReport()
    (kept,) = parse_rows(rows_of(path), report)
    assert kept.answer == "B. 12"
    assert report.dropped == {"an answer that is the place of a choice": 2}
    assert [each.answer for each in problems("mine", path)] == ["B. 12"]
    assert "2 for an answer that is the place of a choice" in capsys.readouterr().err


@pytest.mark.parametrize("options", ["yes, no", "yes or no", "1; 2", "no"])
def test_choices_in_one_text_without_letters_are_asked_as_they_are(options: str) -> None:
    found = read({"question": ASKED, "options": options, "answer": "no"}, "x")
    assert found.problem == f"{ASKED}\n{options}" and found.answer == "no"


@pytest.mark.parametrize(
    "row",
    [
        {"question": ASKED, "options": "\n" * 200_000 + "\x01a"},
        {"question": ASKED, "options": f"yes{chr(10) * 100_000}, no"},
        {"question": "function " * 20_000},
        {"question": "what " * 20_000},
        {"question": ASKED, "solution": f"1. first a\n2. then b\nx{'*' * 200_000}\x01y\n#### no"},
    ],
)
def test_no_row_of_repeated_signs_takes_for_ever(row: dict[str, Any]) -> None:
    report, start = ParseReport(), time.monotonic()
    list(parse_rows([{"solution": "1. first a\n2. then b", "answer": "no"} | row], report))
    assert time.monotonic() - start < 6
