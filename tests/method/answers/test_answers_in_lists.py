"""Answers as items of lists, and answers with characters between them that nobody sees."""

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from srl_edge.method.answers.reading import final_answer, marked_answer
from srl_edge.method.verifiers import given_answer, is_correct, is_marked_correct, same_value

LISTED = [
    ("The answer is:\n- 17", "17"),
    ("**Final Answer:**\n\n- 17 litres", "17"),
    ("\\boxed{3}\n\nFinal answer:\n* 17", "17"),
    ("The answer is:\n\N{EN DASH} 17\n\N{EN DASH} which is what 20 - 3 comes to", "17"),
    ("#### Answer\n- 17", "17"),
    ("- 17 litres", "17"),
    ("- $17", "17"),
    ("She has\n- $\\sqrt{17}$", "\\sqrt{17}"),
    ("The answers are:\n- 4\n- 9", "4, 9"),
    ("The answers are:\n\n- $x = 4$\n\n- $x = 9$\n\nBoth hold.", "9, 4"),
    ("#### Final answers:\n* 4\n* 9\nas asked.", "4, 9"),
    ("The answer is:\n- **C**", "C"),
    ("So it is this one.\n- C", "C"),
    ("He comes on\n- Monday", "Monday"),
]


@pytest.mark.parametrize(("reply", "answer"), LISTED)
def test_the_mark_of_a_list_is_no_minus(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)
    assert not is_correct(reply, f"-{answer}")


@pytest.mark.parametrize(
    "reply",
    [
        "The answer is:\n-17",
        "The answer is:\n- -17",
        "The answer is:\n\N{MINUS SIGN} 17",
        "The answer is - 17",
        "x = - 17",
        "\\boxed{- 17}",
        "#### - 17",
        "The result\n- $-17$",
    ],
)
def test_a_minus_stays_one(reply: str) -> None:
    assert is_correct(reply, "-17")
    assert not is_correct(reply, "17")


def test_of_a_list_that_says_more_the_first_item_is_read() -> None:
    assert given_answer("The answer is:\n- 17\n- This is prime.\n- 5 is, too.", "17") == "17"
    assert given_answer("The options were:\n- A. red\n- B. blue", "B") is None


UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202c\u202d\u2066\u2069\ufe0f"


@pytest.mark.parametrize("character", UNSEEN)
def test_what_nobody_sees_does_not_count(character: str) -> None:
    for answer in ("72", "-3/4", "\\sqrt{5}", "C", "Monday", '{"a": 1}'):
        for given in (f"{character}{answer}", f"{answer}{character}", f"{character} {answer}"):
            assert same_value(given, answer)
            assert same_value(answer, given)
            assert is_correct(f"The answer is {given}.", answer)
            assert is_correct(f"The {character}answer is {answer}", answer)
            assert is_marked_correct(f"It is so.\n####{character} {given}", answer)
            assert is_marked_correct(f"\\boxed{{{given}}}", answer)
        assert same_value(f"lock(door={character}1)", "lock(door=1)")


@settings(deadline=None)
@drawn(st.text("7.2 abC$\\{}-,", max_size=12), st.data())
def test_texts_are_read_as_without_it(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=3))
    spread = text
    for place in sorted(places, reverse=True):
        spread = spread[:place] + data.draw(st.sampled_from(UNSEEN)) + spread[place:]
    for said in ("", "The answer is ", "#### "):
        assert final_answer(said + spread) == final_answer(said + text)
        assert marked_answer(said + spread) == marked_answer(said + text)
