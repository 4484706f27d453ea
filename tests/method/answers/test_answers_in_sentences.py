# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Answers at the end of a sentence without a mark: with units, signs and brackets, or whole."""

import os
import signal
from threading import Timer

import pytest

from srl_edge.method.answers import mathematics
from srl_edge.method.answers.reading import final_answer
from srl_edge.method.verifiers import is_correct


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The area of the field is 36 m².", "36"),
        ("So it holds 36 cm^3", "36"),
        ("The area is $36$ cm$^2$.", "36 \\text{ cm}^2"),
        ("The area is 36 $m^2$.", "36"),
        ("It falls at 9.5 m/s^2.", "9.5"),
        ("That is 36 \\text{ units}^2.", "36"),
        ("Then x = - 8.", "-8"),
        ("The slope is – 8.", "-8"),
        ("So we get −⅓", "-1/3"),
        ("答案是36。", "36"),
        ("正确答案是C。", "C"),
        ("故选：B．", "B"),
        ("### Final Answer\n**36**", "36"),
        ("forty-two", "42"),
        ("\\boxed{4 \\text{ times}}", "4"),
        ("\\boxed{8 \\text{ m s}^{-1}}", "8 m/s"),
        ("\\boxed{8\\ \\frac{\\text{km}}{\\text{h}}}", "8 km/h"),
        ("\\boxed{0.\\bar{6}}", "2/3"),
        ("\\boxed{0.6666\\ldots}", "2/3"),
        ("\\boxed{1.250,50}", "1250.5"),
        ("\\boxed{12\\text{,}500}", "12500"),
        ("The answer is 0.75 or 3/4.", "3/4"),
        ("\\boxed{\\frac{3}{4} \\text{ or } 75\\%}", "3/4"),
        ("The answer is 36 (4 * 9).", "36"),
        ("\\boxed{\\text{Ann earns } 36 \\text{ dollars}}", "36"),
        ("\\boxed{\\text{Ann earns \\$36 a day}}", "36"),
        ("The answer is the Nile.", "Nile"),
        ("The answer is Marie Curie, who was born in Warsaw.", "Marie Curie"),
    ],
)
def test_a_right_answer_is_read(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Then x = - 8.", "8"),
        ("So we get −⅓", "1/3"),
        ("Then x = ±8.", "8"),
        ("The value is \\log 8", "8"),
        ("-40°F", "-40°C"),
        ("1/2 teaspoon", "1/2 cup"),
        ("The answer is 0.75 or 4/5.", "3/4"),
        ("\\boxed{4 times 3}", "4"),
        ("The answer is 36 (4 * 8).", "36"),
        ("\\boxed{\\text{more than } 36 \\text{ dollars}}", "36"),
        ("\\boxed{\\text{36 and then 12 more}}", "36"),
        ("\\boxed{\\text{Ann earns } 36x \\text{ dollars}}", "36"),
        ("The area is 36 x^2.", "36"),
    ],
)
def test_a_wrong_answer_is_none(reply: str, answer: str) -> None:
    assert not is_correct(reply, answer)


@pytest.mark.parametrize(
    ("reply", "formula"),
    [
        ("The factorization is (x - 1)(x + 2).", "(x - 1)(x + 2)"),
        ("So the range is [0, ∞).", "[0, ∞)"),
        ("The solutions are x = 2 or x = 3.", "x = 2 or x = 3"),
        ("So $x=2$ and $y=5$.", "x=2 and y=5"),
        ("Hence d = 2√5 ≈ 4.47", "d = 2√5"),
        ("The area is $3\\pi \\approx 9.42$.", "3\\pi"),
        ("In all, x = ±2", "x = ±2"),
        ("There are 5 of them", "5"),
    ],
)
def test_the_formula_at_the_end_is_read_whole(reply: str, formula: str) -> None:
    assert final_answer(reply, kind="math") == formula


@pytest.mark.skipif(not mathematics._COUNTED, reason="the system counts no process's own time")
def test_a_comparison_may_wait_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mathematics.equal("x^2+2x+1", "(x+1)^2")
    monkeypatch.setattr(mathematics, "SECONDS", 2.0)
    process = mathematics._comparer().process.pid
    os.kill(process, signal.SIGSTOP)  # as where others have the processors
    Timer(3.0, os.kill, (process, signal.SIGCONT)).start()
    assert mathematics.equal("x^2+4x+4", "(x+2)^2")


@pytest.mark.parametrize(
    "said",
    [
        "The correct answer choice is {}.",
        "The answer option is {}.",
        "정답: {}",
        "정답：{}",
        "Правильный ответ: {}",
        "Ответ — **{}**.",
        "正解: {}",
    ],
)
def test_more_ways_to_announce_a_choice(said: str) -> None:
    assert is_correct(said.format("C"), "C") and is_correct(said.format("(C)"), "C")
    assert is_correct(said.format(12), "12")
    assert not is_correct(said.format("C"), "B") and not is_correct(said.format("C"), "12")
