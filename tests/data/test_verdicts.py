"""Rows that say themselves whether their solution is right."""

import json
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.types import Trajectory

WORKED = "4 + 6 is 10.\nThe half is 5."
STEPS = ("4 + 6 is 10.", "The half is 5.")
OTHER = "So 4 is it.\nNo, 7."


def read(row: dict[str, Any], **columns: str) -> Trajectory | str:
    report = ParseReport()
    found = list(parse_rows([row], report, form=None, columns=columns or None))
    return found[0] if found else next(iter(report.dropped))


CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": WORKED}]
S1K = {"question": "q", "deepseek_attempt": WORKED, "solution": "By the lemma.\nIt follows."}
NUMINA = {"problem": "q", "solution": WORKED, "question_type": "math-word-problem"}
NAMED = {"problem": "question", "solution": "generated_solution"}


@pytest.mark.parametrize(
    ("row", "columns", "column", "bad"),
    [
        (S1K, {}, "deepseek_grade", "No"),
        (
            S1K | {"gemini_attempt": WORKED},
            {"problem": "question", "solution": "gemini_attempt"},
            "gemini_grade",
            "No",
        ),
        (NUMINA, {}, "solution_is_valid", "Problem not solved"),
        (NUMINA, {}, "solution_is_valid", "Incomplete"),
        (NUMINA, {}, "problem_is_valid", "Incomplete"),
        (NUMINA, {"problem": "problem", "solution": "solution"}, "problem_is_valid", "No"),
        ({"question": "q", "generated_solution": WORKED}, NAMED, "is_correct", False),
        ({"messages": CHAT}, {}, "correct", False),
        (
            {"problem": "q", "solution": OTHER, "messages": CHAT},
            {"problem": "problem", "solution": "messages"},
            "correct",
            "False",
        ),
        ({"question": "q", "solution": WORKED}, {}, "judgement", "wrong"),
        (
            {"problem": "q", "steps": list(STEPS)},
            {"problem": "problem", "steps": "steps"},
            "final_answer_correct",
            False,
        ),
    ],
)
def test_a_solution_that_its_row_calls_wrong_is_counted(
    row: dict[str, Any], columns: dict[str, str], column: str, bad: Any
) -> None:
    said = read(row | {column: bad}, **columns)
    assert isinstance(said, str) and said.endswith(f"that its own row calls wrong ({column})")
    for other in ("Yes", "right", True, None, "", "maybe", 3, float("nan"), "Not validated"):
        found = read(row | {column: other}, **columns)
        assert isinstance(found, Trajectory) and found.steps == STEPS


def test_a_verdict_on_another_solution_of_the_row_is_none() -> None:
    both = S1K | {"gemini_attempt": OTHER, "gemini_grade": "No", "deepseek_grade": "Yes"}
    assert isinstance(read(both), Trajectory)
    named = {"problem": "question", "solution": "solution"}
    assert isinstance(read(S1K | {"deepseek_grade": "No"}, **named), Trajectory)
    row = {"problem": "q", "solution": WORKED, "source": "x", "messages": CHAT, "correct": False}
    assert isinstance(read(row), Trajectory)
    row = {"question": "q", "solution": WORKED, "correct": "B", "options": ["a", "b"]}
    assert isinstance(read(row), Trajectory)


SEVERAL = {"problem": "q", "generations": [OTHER, WORKED, "And\nmore."], "answer": "5"}


@pytest.mark.parametrize(
    "verdicts",
    [
        {"correctness_math_verify": [False, True, True]},
        {"correctness_math_verify": [False] * 3, "correctness_llama": [False, True, False]},
        {"correctness_math_verify": [True] * 3, "is_reasoning_complete": [False, True, True]},
        {"is_reasoning_complete": [False, True, True], "correctness_llama": None},
        {"correctness_math_verify": [True] * 3, "finish_reasons": ["length", "stop", "stop"]},
        {"correctness_math_verify": "[false, true, true]"},
    ],
)
@pytest.mark.parametrize("columns", [{}, {"problem": "problem", "solution": "generations"}])
def test_of_several_generations_the_one_that_is_right_is_taught(
    verdicts: dict[str, Any], columns: dict[str, str]
) -> None:
    row = SEVERAL | {"solution": "By hand.\nIt is 5."} | verdicts
    found = read(row, **columns)
    assert isinstance(found, Trajectory) and found.steps == STEPS
    (shape,) = _shapes(row)
    assert shape == "OpenR1"


def _shapes(row: dict[str, Any]) -> list[str]:
    report = ParseReport()
    list(parse_rows([row], report, form=None))
    return list(report.shapes)


def test_generations_of_which_none_is_right_are_counted() -> None:
    for verdicts in (
        {"correctness_math_verify": [False] * 3},
        {"correctness_math_verify": [True, False, False], "is_reasoning_complete": [False] * 3},
        {"correctness_math_verify": json.dumps([False] * 3)},
    ):
        assert read(SEVERAL | verdicts) == "solutions that its own row calls wrong, or cut off"
    unjudged = read(SEVERAL | {"correctness_math_verify": [True], "answer": None})
    assert isinstance(unjudged, Trajectory) and unjudged.steps == tuple(OTHER.split("\n"))


ATTEMPT = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}]},
]


@pytest.mark.parametrize("column", ["messages", "trajectory", "traj"])
@pytest.mark.parametrize(
    ("failed", "not_failed"),
    [
        ({"reward": 0.0}, {"reward": 1.0}),
        ({"reward": -1}, {"reward": None}),
        ({"reward_info": {"reward": 0}}, {"reward_info": {"reward": 0.5}}),
        ({"is_resolved": False}, {"is_resolved": True}),
        ({"passed": "False"}, {"passed": 1}),
        ({"solved": 0}, {"solved": "unknown"}),
        ({"info": {"resolved": False}}, {"info": {"resolved": True}}),
        ({"metadata": '{"success": false}'}, {"metadata": "no JSON"}),
        ({"outcome": "failure"}, {"outcome": "success"}),
        ({"status": "failed"}, {"status": 0}),  # of a program that ended well
        ({"exit_status": "exit_cost"}, {"exit_status": "submitted"}),
        ({"result": "0.0"}, {"result": "1.0"}),  # Harbor's: a reward, or what was raised
        ({"result": 0.0}, {"result": 0}),
        ({"result": "AgentTimeoutError"}, {"result": "no error"}),
        ({"info": {"exit_status": "ContextWindowExceededError"}}, {"info": {"exit_status": ""}}),
        ({"info": {"exit_status": "LimitsExceeded"}}, {"info": {"exit_status": "Submitted"}}),
        ({"exit_status": "RetryError"}, {"exit_status": None}),
        ({"exit_status": "TimeoutExpired"}, {"exit_status": 0}),
        ({"exit_status": "exit_forfeit"}, {"exit_status": "exit"}),
        ({"exit_status": "exit_command_timeout"}, {"exit_status": "finished"}),
        ({"exit_status": "max_iterations"}, {"exit_status": "done"}),
        (
            {"exit_status": "submitted (exit_cost)"},
            {"exit_status": "submitted (exit_context)", "target": True},
        ),
        ({"reward": "0.0"}, {"reward": "0.5"}),
        ({"rewards": [0.0]}, {"rewards": [0.0, 1.0]}),
        ({"rewards": "[0, 0]"}, {"rewards": []}),
        ({"final_reward": 0.0}, {"final_reward": "none"}),
        (
            {"verifier_result": {"rewards": {"reward": 0.0}}},
            {"verifier_result": {"rewards": {"reward": 1.0, "style": 0.0}}},
        ),
        ({"tests_passed": False}, {"tests_passed": 12}),
    ],
)
def test_an_attempt_that_failed_is_no_expert_s(
    column: str, failed: dict[str, Any], not_failed: dict[str, Any]
) -> None:
    assert read({column: ATTEMPT, **failed}) == "an attempt that did not succeed"
    assert isinstance(read({column: ATTEMPT, **not_failed}), Trajectory)


def test_what_earns_nothing_is_an_attempt_s_alone() -> None:
    assert isinstance(read({"problem": "q", "solution": WORKED, "reward": 0}), Trajectory)
