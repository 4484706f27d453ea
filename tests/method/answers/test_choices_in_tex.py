"""Boxes of contests' choices: a letter, upright or bold, with its brackets, and the value."""

import pytest

from srl_edge.method.verifiers import is_correct, kind_of, same_value

BOXES = [
    r"(\text{D})\ 4",
    r"(\textbf{D})\ 4",
    r"(\mathrm{D})\ 4",
    r"(\textbf{D})4",
    r"{\bf (D)}\ 4",
    r"{\rm (D)} 4",
    r"{\bf D.} 4",
    r"D \: 4",
    r"\textbf{D}\ 4",
    r"\text{D}\quad 4",
    r"$(\textbf{D})\ 4$",
]


@pytest.mark.parametrize("box", [*BOXES, r"\bold{D}", r"{\bf D}", r"(\text{D})"])
def test_a_letter_is_read_however_it_is_set(box: str) -> None:
    assert kind_of(box) == "choice" and is_correct("\\boxed{D}", box)
    assert is_correct(f"\\boxed{{{box}}}", "D") and not is_correct(f"\\boxed{{{box}}}", "B")
    assert not same_value("B", box) and not same_value("5", box)


@pytest.mark.parametrize("box", BOXES)
def test_the_value_behind_it_is_right_too(box: str) -> None:
    assert same_value("4", box) and not same_value("5", box)
    assert same_value(r"(D) 4", box) and not same_value(r"(B) 4", box)


@pytest.mark.parametrize("text", [r"D\,4", r"B\ C", r"\mathrm{C}\,x", r"A \: B", r"{\bf v}", "D4"])
def test_other_letters_are_no_choices(text: str) -> None:
    assert not same_value("D", text) and not same_value("4", text)
