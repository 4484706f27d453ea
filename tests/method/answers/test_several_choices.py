# ruff: noqa: RUF001 - other scripts' punctuation is what is read here
"""Several choices as one answer, in whatever order and form they are written."""

import pytest

from srl_edge.method.verifiers import is_correct, same_value


@pytest.mark.parametrize("answer", ["ABD", "A, B, D", "(A)(B)(D)", "A、B、D"])
@pytest.mark.parametrize(
    "given",
    [
        "ABD",
        "A, B, D",
        "A B D",
        "A,B,D",
        "BAD",
        "D, B and A",
        "(A), (B), (D)",
        "A;B;D",
        "['A','B','D']",
    ],
)
def test_the_same_letters_are_one_answer(given: str, answer: str) -> None:
    assert same_value(given, answer)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        *(("AB", "ABD"), ("A, B", "A, B, D"), ("A, B, C", "ABD"), ("ABD", "A, B"), ("A", "AB")),
        *(("ABD", "BAD"), ("CAB", "ABD"), ("AAB", "AB"), ("A or B", "AB"), ("A/B", "AB")),
    ],
)
def test_other_letters_are_another(given: str, answer: str) -> None:
    assert not same_value(given, answer)


@pytest.mark.parametrize(
    "solution",
    [
        *(
            "故选ABD。",
            "故选：ABD",
            "【答案】ABD",
            "答案：A、B、D",
            "\\boxed{A,B,D}",
            "\\boxed{ABD}",
        ),
        *("The correct options are A, B, and D.", "The answer is A, B, D.", "The answer is BAD."),
        *("Options (A), (B), (D) are correct.", "\\boxed{\\text{A, B, D}}"),
    ],
)
def test_several_choices_are_read(solution: str) -> None:
    for answer in ("ABD", "A, B, D"):
        assert is_correct(f"C is wrong.\n{solution}", answer)
        assert not is_correct(f"C is wrong.\n{solution}", "AB")


@pytest.mark.parametrize(
    ("given", "answer"),
    [("A, B, C", "C, A, B"), ("B, D", "D, B"), ("ACB", "C, A, B"), ("(A)(C)", "(C)(A)")],
)
def test_letters_in_another_order_than_the_alphabet_s_are_no_set(given: str, answer: str) -> None:
    assert not same_value(given, answer) and same_value(answer, answer)
    assert same_value(answer, given) is (given != "ACB")  # which is a word


def test_an_order_that_was_asked_for_is_read_in_any_form() -> None:
    assert all(same_value(given, "C, A, B") for given in ("CAB", "(C), (A), (B)", "C, A and B"))


@pytest.mark.parametrize(
    ("given", "answer"), [("kn", "nk"), ("yn", "ny"), ("mr", "rm"), ("wty", "ytw"), ("GAC", "CAG")]
)
def test_letters_of_words_have_an_order(given: str, answer: str) -> None:
    assert not same_value(given, answer) and not is_correct(f"#### {given}", answer)
    assert same_value(answer, answer)


@pytest.mark.parametrize(("given", "answer"), [("yx", "xy"), ("ba", "ab"), ("zxy", "xyz")])
def test_products_of_the_usual_variables_have_none(given: str, answer: str) -> None:
    assert same_value(given, answer)
