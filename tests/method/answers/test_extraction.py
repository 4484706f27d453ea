"""What lm-evaluation-harness's two filters for gsm8k read, on replies of many shapes."""

import pytest

from srl_edge.method.answers.extraction import flexible, is_number, same, strict


@pytest.mark.parametrize(
    ("reply", "strictly", "flexibly"),
    [
        ("3 + 4 = 7\n#### 7", "7", "7"),
        ("So it is 1,234.\n#### 1,234", "1,234", "1,234"),
        ("#### -5", "-5", "-5"),
        ("#### 7\nQuestion: 2 + 2?\n#### 4", "7", "4"),  # the first mark, the last number
        ("#### $18", None, "$18"),  # a sign of money is no part of a marked number
        ("####18", None, "18"),  # nor is a mark without its space one
        ("### 18", None, "18"),
        (r"The answer is \boxed{42}.", None, "42"),
        ("It costs $5.50.", None, "$5.50."),
        ("Ends with 12.", None, "12."),
        ("one in 1000000", None, "1000000"),
        ("-3 degrees", None, "-3"),
        ("7", None, "7"),
        ("3 apples, not 20", None, "20"),
        ("12-13", None, "-13"),
        ("50%", None, "50"),
        ("1/2", None, "2"),
        ("3.50 and so on...", None, "..."),  # whatever it means
        ("No idea.", None, None),
        ("", None, None),
    ],
)
def test_what_is_read(reply: str, strictly: str | None, flexibly: str | None) -> None:
    assert strict(reply) == strictly
    assert flexible(reply) == flexibly


@pytest.mark.parametrize(
    ("read", "answer", "equal"),
    [
        ("1,234", "1234", True),
        ("$18", "18", True),
        ("18.", "18", True),
        ("18", "Worked out.\n#### 18", True),
        ("18.00", "18", False),  # text with text
        ("18..", "18", False),
        ("-18", "18", False),
        (None, "18", False),
        ("", "18", False),
    ],
)
def test_what_is_right(read: str | None, answer: str, equal: bool) -> None:
    assert same(read, answer) == equal


def test_only_numbers_are_asked_for() -> None:
    assert all(map(is_number, ("18", "-3", "1,000", "$4.50", "0.5", "18.")))
    assert not any(map(is_number, (r"\frac{1}{2}", "B", "x + 1", "3 apples", "", "1e5")))
