"""Answers among other words without a mark: names with points of their own, and bold values."""

import pytest

from srl_edge.method.verifiers import given_answer, is_correct

NAMES = [
    "John F. Kennedy",
    "George W. Bush",
    "Mt. Everest",
    "The U.S. Congress",
    "Ph.D. student",
    "Staphylococcus aureus (S. aureus)",
    "St. Paul",
    "J.R.R. Tolkien",
    "Washington D.C. in 1861",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "reply",
    [
        "The answer is {}.",
        "The final answer is **{}**.",
        "The answer is {}. This is well known.",
        "So the answer is: {}",
    ],
)
def test_a_name_with_points_is_read_whole(name: str, reply: str) -> None:
    assert is_correct(reply.format(name), name)
    assert is_correct("The answer is Paris. It is the capital.", "Paris")
    for other in ("John Q. Adams", "St. Louis", "Paris", name.split()[0]):
        assert not is_correct(reply.format(other), name)


BOLD = [
    ("Each friend gets **12** candies from the 48.", "12", "48"),
    ("He paid **$80** after a $20 discount.", "80", "20"),
    ("Each gets **12 candies** of the 48!\n\nLet me know if you need more.", "12", "48"),
    ("So it is **$\\frac{1}{2}$** of the 48.", "1/2", "48"),
    ("3. So **12** of 48.", "12", "48"),
    ("With 48 there, **x = 12**.", "12", "48"),
]


@pytest.mark.parametrize(("reply", "right", "wrong"), BOLD)
def test_the_only_bold_value_of_the_last_sentence_is_the_answer(
    reply: str, right: str, wrong: str
) -> None:
    assert is_correct(reply, right) and not is_correct(reply, wrong)


@pytest.mark.parametrize(
    "reply",
    [
        "**Step 3:** 5 + 4 is 9.",
        "**3.** 5 + 4 is 9",
        "**3**. 5 + 4 is 9",
        "**3)** 5 + 4 is 9",
        "For **x = 3** it is 9.",
        "**5** and **4** are 9.",
        "There are **5**. Then 4 come, and 9 are there.",
        "The answer is 9, since **5** + 4 are 9.",
        "**5** of 4.\n#### 9",
        "**Total** of **all**: 9",
    ],
)
def test_other_bold_numbers_are_not(reply: str) -> None:
    given = given_answer(reply, "9")
    assert given is not None and is_correct(reply, "9")
    assert not is_correct(reply, "3") and not is_correct(reply, "5")
