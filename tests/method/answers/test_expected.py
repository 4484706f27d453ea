"""Right answers as rows have them: with a mark, in TeX's delimiters, announced, worked out."""

import time

import pytest

from srl_edge.method.answers.expected import bare
from srl_edge.method.verifiers import is_correct, kind_of, same_value

WORKED = "She sold 48/2 = <<48/2=24>>24 clips.\nIn all she sold 48 + 24 = 72."


@pytest.mark.parametrize("value", ["4", "-\\frac{3}{4}", "x+1", "12 \\text{ cm}", "Paris", "(2,3)"])
@pytest.mark.parametrize(
    "form",
    [
        "#### {}",
        "####{}",
        "\\boxed{{{}}}",
        "$\\boxed{{{}}}$.",
        "$${}$$",
        "${}$",
        "\\({}\\)",
        "\\[\n{}\n\\]",
        "The answer is {}.",
        "The final answer is $\\boxed{{{}}}$.",
        "Answer: {}",
        "#### \\boxed{{{}}}",
        WORKED + "\n#### {}",
    ],
)
def test_a_mark_around_the_whole_is_no_part_of_it(form: str, value: str) -> None:
    answer = form.format(value)
    assert bare(answer) == value
    assert same_value(value, answer) and is_correct(f"\\boxed{{{value}}}", answer)
    assert kind_of(answer) == kind_of(value)
    assert not any(same_value(other, answer) for other in ("5", "x+2", "Lyon", "(3,2)", "12 m"))


@pytest.mark.parametrize(
    "answer",
    [
        "$3$ and $4$",
        "\\boxed{3} and \\boxed{4}",
        "\\boxed{4} cm",
        "$5",
        "\\$5",
        "$5 or $6",
        "F#",
        "#7",
        "\\(3\\) and \\(4\\)",
        "print('#### 4')\nx = 1",
        "a = 5\nanswer = 7",
        "# Title\n#### Usage\nrun",
        "4",
        "",
    ],
)
def test_what_marks_only_a_part_stays(answer: str) -> None:
    assert bare(answer) == answer
    assert same_value(answer, answer)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("4 m", "The answer is \\boxed{4} cm"),
        ("4", "\\boxed{3} and \\boxed{4}"),
        ("48", f"{WORKED}\n#### 72"),
        ("24", f"{WORKED}\n#### 72"),
        ("4", "The answer is 4 or 5."),
    ],
)
def test_other_values_stay_wrong(given: str, answer: str) -> None:
    assert not same_value(given, answer)


@pytest.mark.parametrize("sign", ["$", "\\boxed{", "#### ", "The answer is ", "}", "\\["])
def test_many_marks_take_no_time(sign: str) -> None:
    began = time.perf_counter()
    for text in (sign * 20_000, sign * 60, f"{sign * 60}4"):
        bare(text)
    assert time.perf_counter() - began < 5
