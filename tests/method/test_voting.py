"""Several attempts at a problem, against counting every case."""

from collections import Counter
from itertools import combinations
from random import Random

import pytest

from srl_edge.method.solving import Attempt
from srl_edge.method.verifiers import same_value
from srl_edge.method.voting import majority, pass_at


@pytest.mark.parametrize("attempts", range(1, 7))
def test_pass_at_k_is_the_share_of_choices_that_hold_a_right_one(attempts: int) -> None:
    for right in range(attempts + 1):
        marks = [True] * right + [False] * (attempts - right)
        for k in range(1, attempts + 1):
            chosen = list(combinations(marks, k))
            assert pass_at(k, attempts, right) == pytest.approx(sum(map(any, chosen)) / len(chosen))


def tried(given: str | None, answer: str = "12") -> Attempt:
    correct = given is not None and same_value(given, answer)
    return Attempt("a", "?", answer, given=given, correct=correct)


def test_the_majority_by_counting() -> None:
    """With numbers written in one way each, votes are texts; a tie is won by chance."""
    draw = Random(0)
    for _ in range(300):
        given = [draw.choice(["12", "7", "9", None]) for _ in range(draw.randint(1, 6))]
        counts = Counter(text for text in given if text)
        first = [text for text, count in counts.items() if count == max(counts.values())]
        expected = first.count("12") / len(first) if first else 0.0
        assert majority([tried(text) for text in given]) == expected, given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["12", "12.0", "$12", "7", "7"], 1.0),  # three ways to say the same
        (["12", "7", "7.00", "14/2"], 0.0),  # and three to be wrong alike
        (["12", "7"], 0.5),
        (["12", "7", "9"], 1 / 3),
        (["12", None, None, None], 1.0),
        ([None, None], 0.0),
        (["7", "9"], 0.0),
    ],
)
def test_answers_that_the_verifier_finds_equal_are_one(
    given: list[str | None], expected: float
) -> None:
    assert majority([tried(text) for text in given]) == pytest.approx(expected)


def test_the_kind_of_the_answer_decides_what_is_equal() -> None:
    formulas = [tried(text, "x+1") for text in ("1+x", "x + 1", "2x", "x*2", "2 x", "x*3")]
    assert majority(formulas) == 0.0
    assert majority(formulas[:4]) == 0.5
