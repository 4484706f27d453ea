r"""A value behind the letter of its choice, as in \boxed{\textbf{(C)}\ 12}."""

from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.verifiers import is_correct, same_value

LABELLED = [
    (r"\textbf{(C)}\ 12", "12"),
    (r"\textbf{(C) }12", "12.0"),
    (r"\text{(C)}~12", "12"),
    (r"\mathrm{(C)}\,12", "12"),
    ("C) 12", "12"),
    ("C. 12", "12"),
    ("$(C) 12$", "12"),
    (r"\textbf{(C)}\ -12", "-12"),
    (r"\textbf{(C)}\ \frac{1}{2}", "0.5"),
    (r"\textbf{(C)}\ 4\sqrt{2}", r"4\sqrt 2"),
    (r"\textbf{(C)}\ 12\text{ cm}", "12 cm"),
    (r"\textbf{(C)}\ (1,2)", "(1,2)"),
]


@pytest.mark.parametrize(("labelled", "value"), LABELLED)
def test_it_is_the_letter_and_the_value_and_nothing_else(labelled: str, value: str) -> None:
    for same in (value, "C", "(C)", r"\textbf{(C)}", labelled):
        assert same_value(labelled, same), same
        assert same_value(same, labelled), same
    for other in ("13", "B", "D", "(B) 12", r"\textbf{(B)}\ 12", "(C) 13", "x", "-7"):
        assert not same_value(labelled, other), other
        assert not same_value(other, labelled), other


@pytest.mark.parametrize(("labelled", "value"), LABELLED[:3])
def test_a_reply_in_a_box_or_in_words(labelled: str, value: str) -> None:
    assert is_correct(rf"So \boxed{{{labelled}}}.", value)
    assert is_correct(rf"So \boxed{{{value}}}.", labelled)
    assert is_correct("The answer is 12.", labelled)
    assert is_correct("The answer is C.", labelled)
    for wrong in ("The answer is 13.", "The answer is B.", r"So \boxed{13}.", r"\boxed{(B) 12}"):
        assert not is_correct(wrong, labelled)


@pytest.mark.parametrize("verifier", ["number", "math"])
def test_verifiers_that_are_named(verifier: str) -> None:
    assert same_value(r"\textbf{(C)}\ 12", "12", verifier)
    assert same_value("12", r"\textbf{(C)}\ 12", verifier)
    assert not same_value("13", r"\textbf{(C)}\ 12", verifier)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("(A) + 3", "3"),
        ("(A) - 3", "-3"),
        ("(A)(B + 1)", "B + 1"),
        ("A: 5, B: 6", "6"),
        ("B", "(A) B"),
        ("(C)", "12"),
        ("(C) 12 or 13", "12"),
    ],
)
def test_what_is_no_label_or_another_value(given: str, answer: str) -> None:
    assert not same_value(given, answer)


@pytest.mark.parametrize(("labelled", "value"), LABELLED[:3])
def test_rows_with_a_label_in_the_box_are_kept(labelled: str, value: str) -> None:
    solution = "One is 7.\n" + rf"So it is $\boxed{{{labelled}}}$."
    report = ParseReport()
    rows: list[dict[str, Any]] = [
        {"problem": "p", "solution": solution, "answer": answer}
        for answer in (value, "C", "13", "B")
    ]
    kept = list(parse_rows(rows, report, answer_step=True))
    assert [t.answer for t in kept] == [value, "C"]
    assert report.dropped == {"a solution that ends in another answer than the row's": 2}
