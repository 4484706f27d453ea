"""What equals the right answer and is none: a copy of the question, and what is yet to be done.

Each is judged with the marks of two forms, and lenient or strict alike.
"""

import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from srl_edge.method.prompt_form import DEFAULT, PRESETS, PromptForm
from srl_edge.method.rewards import step_reward
from srl_edge.method.solving import solve
from srl_edge.method.types import Rollout, StepPrompt, Trajectory
from srl_edge.method.verifiers import is_correct, is_marked_correct
from srl_edge.recipe import load
from srl_edge.trainers.scale.scored import StageReward
from tests.helpers.sources import ROOT

MARKS: tuple[tuple[str, PromptForm], ...] = (
    (r"So it is $\boxed{%s}$.", PRESETS["math"]),
    ("#### %s", DEFAULT),
)


def right(given: str, answer: str, problem: str = "") -> set[bool]:
    """The verdicts on a value in every mark."""
    return {
        judge(mark % given, answer, form, problem)
        for mark, form in MARKS
        for judge in (is_correct, is_marked_correct)
    }


COPIES = [
    (r"\log_3 81", "4", r"What is $\log_381$?"),
    (r"\sqrt{75}", r"5\sqrt{3}", r"Simplify $\sqrt{75}$."),
    (r"(x+1)(3x-3)", "3x^2-3", r"Expand the product $(x + 1)(3x - 3).$"),
    (r"f(x) = (x+1)(3x-3)", "3x^2-3", r"Expand $f(x) = (x + 1)(3x - 3)$."),
    ("x^2-9", "(x-3)(x+3)", "Factor x^2 - 9."),
    (r"\frac{1}{x-7} > 0", r"(7,\infty)", r"For which $x$ is \[\frac{1}{x - 7} > 0 ?\]"),
    (r"y = \sqrt{75}", r"5\sqrt{3}", r"Simplify $\sqrt{75}$."),
    (r"\left(2^4\right)^2", "256", r"Compute $(2^4)^2.$"),
    (r"\frac{4x}{8x}", r"\frac{1}{2}", r"Simplify $\dfrac{4x}{8x}$ for $x \ne 0$."),
    ("p+q+r=0", "0", "The numbers satisfy $p + q + r = 0$. Find $p+q+r$."),
    ("xy = 8", "8", r"If $x+y=6$ and $xy=8,$ what is the smaller area?"),
    ("xy = 8", "8", "If x + y = 6 and xy = 8, what is their product?"),
    ("5!", "120", "What is 5! in figures?"),
    (r"|3-7|", "4", r"Evaluate $|3-7|$."),
    (r"\sin 30^\circ", "0.5", r"Find \(\sin 30^{\circ}\)."),
    (r"\dbinom{9}{7}", "36", r"Compute $\dbinom{9}{7}$."),
    (r"(-36) \div 9", "-4", r"Compute $(-36)\div 9$."),
    (r"\frac{5}{2} \div \frac{3}{4}", r"\frac{10}{3}", r"Simplify $\dfrac52\div\dfrac34$."),
    (r"\lceil 4.2 \rceil", "5", r"Evaluate $\lceil 4.2\rceil$."),
]


@pytest.mark.parametrize(("given", "answer", "problem"), COPIES)
def test_a_copy_of_the_question_is_no_answer(given: str, answer: str, problem: str) -> None:
    assert right(given, answer, problem) == {False}
    assert right(answer, answer, problem) == {True}


@pytest.mark.parametrize(
    ("given", "answer", "problem"),
    [
        ("5", "5", "There are 5 cats and $x + 5$ dogs."),
        ("x=3", "3", r"Which of $x=3$ and $x=4$ solves it?"),
        (r"\frac{3}{4}", "0.75", r"Is $\frac{3}{4}$ a decimal?"),
        ("(1,2)", "(1,2)", "Does $y=x+1$ go through $(1,2)$?"),
        (r"-1 \le x \le 4", "[-1,4]", r"The function is defined for $-1 \le x \le 4$."),
        ("3+4i", "3+4i", "Which of $3+4i$ and $5$ is it?"),
        ("4i+3", "3+4i", "Which of $4i+3$ and $5$ is it?"),
        ("2x+1", "y = 2x+1", "Is the line $y = 2x+1$ its own image?"),
        (r"\log_3 81 = 4", "4", r"What is $\log_3 81$?"),
        (r"4 = \log_3 81", "4", r"What is $\log_3 81$?"),
        ("x+1", "1+x", r"Simplify $\frac{(x+1)(x+2)}{x+2}$."),
        ("10^3", "1000", "Is a kilometre $10^3$ metres?"),
        (r"2\sqrt{3}", r"\sqrt{12}", r"Write $4\sqrt{3}-2\sqrt{3}$ as one root."),
        ("AB = 6", "6", "In the figure $AB = 6$ and $BC = 2AB$."),
    ],
)
def test_a_value_that_the_question_names_is_one(given: str, answer: str, problem: str) -> None:
    assert right(given, answer, problem) == {True}


TOTALS = [
    (r"\int_0^2 x\,dx", "2"),
    (r"\lim_{x \to 0} \frac{\sin x}{x}", "1"),
    (r"\sum_{k=1}^{4} k", "10"),
    (r"\prod_{k=1}^{3} k", "6"),
    (r"\begin{vmatrix} 3 & 0 \\ 0 & 2 \end{vmatrix}", "6"),
    (r"S = \sum_{k=1}^{4} k", "10"),
]


@pytest.mark.parametrize(("given", "answer"), TOTALS)
def test_what_a_sign_announces_is_yet_to_be_computed(given: str, answer: str) -> None:
    assert right(given, answer) == {False}
    assert right(f"{given} = {answer}", answer) == {True}


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("12+30", "42"),
        ("(9-2-3)*5", "20"),
        (r"(9-2-3)\times 5", "20"),
        (r"30 + \frac{24}{2}", "42"),
        ("(6)(7)", "42"),
        ("(-6)(-7)", "42"),
        (r"\$30 + \$12", "42"),
        ("30 + 12 dollars", "42"),
        ("1,000 - 1", "999"),
        ("x = 30 + 12", "42"),
        ("x = 4 - 9", "-5"),
        ("6*7 = 40 + 2", "42"),
    ],
)
def test_a_sum_is_no_number(given: str, answer: str) -> None:
    assert right(given, answer) == {False}
    assert right(f"{given} = {answer}", answer) == {True}


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("42 = 6 * 7", "42"),
        ("42 (30 + 12)", "42"),
        ("84/2", "42"),
        (r"\frac{84}{2}", "42"),
        ("2^5", "32"),
        (r"\sqrt{81}", "9"),
        ("3 * 10^4", "30000"),
        ("4 1/2", "4.5"),
        (r"1 - \frac{1}{4} = {\frac{3}{4}}.", r"\frac{3}{4}"),
        ("2 * 2 * 3", r"2^2 \cdot 3"),
    ],
)
def test_other_spellings_of_a_number_are_one(given: str, answer: str) -> None:
    assert right(given, answer) == {True}


def test_a_function_of_ones_own_judges_alone(tmp_path: Path) -> None:
    file = tmp_path / "judge.py"
    file.write_text("def same(given, answer):\n    return True\n")
    form = replace(DEFAULT, verifier=f"{file}:same")
    assert is_correct("#### 30 + 12", "42", form, "What is 30 + 12?")


@pytest.mark.parametrize(
    ("reply", "answer", "problem"),
    [
        ("#### B", "B", "Is it (A) 1 + 1 or (B) 2 + 2?"),
        ("#### f(x=1)", "f(x=1)", "Call f(x=1)."),
        ("#### a + b", "a + b is it", "Say a + b is it."),
    ],
)
def test_choices_calls_and_texts_are_compared_as_they_were(
    reply: str, answer: str, problem: str
) -> None:
    assert is_correct(reply, answer, DEFAULT, problem) == is_correct(reply, answer)


def test_a_long_question_is_read_at_once() -> None:
    start = time.process_time()
    assert is_correct("#### 1+1+x", "x+2", DEFAULT, "1+1+x+" * 30000)
    assert time.process_time() - start < 5


ASKED = r"What is $\log_3 81$?"
COPY, ANSWER = r"\boxed{\log_3 81}", r"\boxed{4}"


def test_who_judges_knows_the_question() -> None:
    form = PRESETS["math"]
    problem = Trajectory("a", ASKED, ("x", "y"), "4")
    replies = iter([(COPY, True), (ANSWER, True)])
    copied, solved = solve(
        [problem, problem], lambda going: list(islice(replies, 2)), 2, lambda: None, form
    )
    assert (copied.correct, copied.marked) == (False, False)
    assert (solved.correct, solved.marked) == (True, True)
    prompt = StepPrompt("a", 1, ASKED, ("x",), ANSWER, answer="4", form=form)
    parts = [
        step_reward(Rollout((), (), (), said, True), prompt, {"answer": 1.0}).total
        for said in (COPY, ANSWER)
    ]
    assert parts == [0.0, 1.0]


def test_the_reward_of_other_trainers_knows_the_question() -> None:
    reward = StageReward(load(ROOT / "recipes" / "gsm8k.toml"))
    form = reward.form
    prompt = StepPrompt("a", 0, ASKED, (), ANSWER, answer="4", whole=True, form=form)
    scores = [
        reward(f"<think>so</think>{said}" if form.think else said, True, prompt)
        for said in (COPY, ANSWER)
    ]
    assert scores == [0.0, 1.0]
