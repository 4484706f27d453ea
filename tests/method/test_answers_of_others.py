"""Answers in the spellings of other models and data sets, and near ones that differ."""

import pytest

from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    # signs of inequalities
    ("b \\le 7", "b \\leqslant 7", "b \\leqq 7", "b\\leqslant7", "b ≤ 7", "(-\\infty,7]"),
    ("b \\ge 7", "b \\geqslant 7", "b \\geqq 7", "[7,\\infty)"),
    ("b \\ne 7", "b \\not= 7", "b \\not = 7", "b \\neq 7", "b≠7"),
    ("2 \\leqslant y < 9", "2 \\le y < 9", "[2,9)"),
    # several letters or numerals
    ("II, III", "II and III", "II & III", "(II) and (III)", "II,III"),
    ("I, III, IV", "I, III and IV", "I, III, and IV", "I; III; IV"),
    ("A, D", "A and D", "(A), (D)", "A,D"),
]
UNEQUAL = [
    ("b \\leqslant 7", "b < 7"),
    ("b \\leqslant 7", "b \\geqslant 7"),
    ("b \\leqq 7", "7"),
    ("b \\not= 7", "b = 7"),
    ("II", "II, III"),
    ("I", "I, II"),
    ("I", "I and III"),
    ("V", "V, VI, VII"),
    ("I, II", "I, III"),
    ("II and III", "III and II"),
    ("II and III", "II or III"),
    ("Paris and Rome", "Paris, Rome and Oslo"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_answer(spellings: tuple[str, ...]) -> None:
    for other in spellings:
        assert same_value(other, spellings[0]) and same_value(spellings[0], other), other
        assert is_correct(f"So \\boxed{{{other}}}.", spellings[0]), other


@pytest.mark.parametrize("pair", UNEQUAL)
def test_answers_that_are_near(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


def test_the_first_of_a_list_is_no_choice_with_a_text() -> None:
    assert kind_of("D, Rust") == kind_of("I, II") == "exact" and kind_of("D. Rust") == "choice"
    for right in ("D, Rust", "D, Go, Rust"):
        assert not is_correct("The answer is D.", right) and is_correct(f"#### {right}", right)
    for reply in ("#### D, water", "#### D. water", "The answer is D, as is clear.", "#### D"):
        assert is_correct(reply, "D. water") and is_correct(reply, "D"), reply
