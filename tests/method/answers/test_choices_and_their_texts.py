"""Choices by their letter, by their text or by both; and small letters that are values."""

import pytest

from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.verifiers import given_answer, is_correct, kind_of, same_value

SYMBOLS = [
    ("\\boxed{y = d}", "d"),
    ("\\boxed{\\sqrt{-1}}", "i"),
    ("\\boxed{0 + i}", "i"),
    ("\\boxed{1i}", "i"),
    ("\\boxed{e^1}", "e"),
    ("Hence the sum tends to $e$.", "e"),
    ("and thus it is \\(\\mathrm{e}\\)", "e"),
    ("So the root is\n\\[ i \\]", "i"),
    ("z = i", "i"),
    ("The answer is $y = d$.", "d"),
]


@pytest.mark.parametrize(("reply", "answer"), SYMBOLS)
def test_a_small_letter_may_be_a_value(reply: str, answer: str) -> None:
    assert is_correct(reply, answer, PRESETS["math"])
    other = "b" if answer != "b" else "c"
    assert not is_correct(reply, other, PRESETS["math"])
    assert not is_correct(reply, other.upper(), PRESETS["math"])


@pytest.mark.parametrize("given", ["2", "x", "-e", "2e", "e^2", "b", "x = 2", "2.718"])
def test_of_another_value(given: str) -> None:
    assert not same_value(given, "e")
    assert not same_value("e", given)


def test_letters_of_choices_stay_choices() -> None:
    assert "choice" not in (kind_of("(A) and (C)"), kind_of("A, C"), kind_of("A: 5, B: 6"))
    assert [kind_of(answer) for answer in ("a", "E", "(B)", "C. e")] == ["choice"] * 4
    for given in ("(c)", "C", "**c)**", "(c) red", "c) red", "c ) red", "Option C"):
        assert same_value(given, "c"), given
        assert same_value(given, "C"), given
    for given in ("y = C", "C + 1", "3", "B"):
        assert not same_value(given, "C"), given
    assert not is_correct("So the slope is $c$.", "C")


TEXTS = [
    ("B. the tall vase", "the tall vase", "the round vase"),
    ("D. 34", "34", "35"),
    ("C. 2.5 km", "2.5 km", "2.5 m"),
    ("A. \\frac{3}{7}", "\\frac{3}{7}", "\\frac{7}{3}"),
    ("(E) no", "no", "yes"),
    ("B. not enough light", "not enough light", "enough light"),
    ("C. A and B", "A and B", "A and D"),
]


@pytest.mark.parametrize(("choice", "text", "other"), TEXTS)
def test_a_choice_is_its_letter_its_text_or_both(choice: str, text: str, other: str) -> None:
    letter = choice.strip("(")[0]
    wrong = "A" if letter != "A" else "B"
    right = [letter, f"({letter})", text, f"{letter}. {text}", f"({letter}) {text}"]
    false = [wrong, f"({wrong})", other, f"{wrong}. {text}", f"{letter}. {other}"]
    for given in right:
        for said in (f"\\boxed{{{given}}}", f"\\boxed{{\\text{{{given}}}}}", f"#### {given}"):
            assert is_correct(said, choice), said
        assert is_correct(f"It is so.\nThe answer is {given}.", choice), given
    for given in false:
        for said in (f"\\boxed{{{given}}}", f"#### {given}", f"The answer is {given}."):
            assert not is_correct(said, choice), said
    assert same_value(letter, choice, "exact")
    assert same_value(text, choice, "exact")
    assert not same_value(wrong, choice, "exact")


def test_texts_of_choices_are_compared_by_value() -> None:
    assert same_value("D. 34.0", "D. 34")
    assert same_value("(A) 3/7", "A. $\\frac{3}{7}$")
    assert same_value("C. 2500 m", "C. 2.5 km")


def test_what_is_said_to_be_the_answer_counts_and_no_option_before() -> None:
    reply = "Option A is the round vase, which is heavier.\nThe answer is the tall vase."
    assert given_answer(reply, "B. the tall vase") == "the tall vase"
    assert is_correct("The answer is found by adding 3 to 4.\nSo it is B.", "B. 34")
    assert not is_correct("The answer is found by adding 3 to 4.\nSo it is C.", "B. 34")
    assert not is_correct("B would have 34.\nThe answer is C.", "B. 34")
