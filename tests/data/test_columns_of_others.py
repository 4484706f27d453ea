"""Columns that hold more than a text: chats, lists of solutions, answers beside their judge."""

import json
from typing import Any

import pytest

from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport, parse_rows

ASKED = {"role": "user", "content": "How many are left?"}
SYSTEM = {"role": "system", "content": "Think."}
WORKED = "7 - 2 is 5.\n5 - 1 is 4."
REPLY = {"role": "assistant", "content": WORKED}
STEPS = ("7 - 2 is 5.", "5 - 1 is 4.")


def read(row: dict[str, Any], **columns: str) -> Any:
    report = ParseReport()
    rows = [row] * 3
    styles = choose("auto", rows, columns).styles
    found = list(parse_rows(rows, report, styles, answer_step=True, columns=columns or None))
    return found[0] if found else report.reasons


@pytest.mark.parametrize(
    "prompt",
    [
        [ASKED],
        [SYSTEM, ASKED],
        [{"from": "human", "value": ASKED["content"]}],
        [ASKED | {"content": [{"type": "text", "text": ASKED["content"]}]}],
        json.dumps([ASKED]),
        [SYSTEM, ASKED, REPLY | {"content": "no"}],
        {"role": ["user"], "content": [ASKED["content"]]},
    ],
)
def test_the_question_of_a_chat_that_is_named_is_the_problem(prompt: Any) -> None:
    row = {"data_source": "x", "prompt": prompt, "solution": f"{WORKED}\n#### 4"}
    found = read(row, problem="prompt", solution="solution")
    assert found.problem == ASKED["content"] and found.steps == (*STEPS, "#### 4")


@pytest.mark.parametrize("answer", ["4", {"ground_truth": "4", "style": "rule"}, ["4"], 4])
def test_verl_s_answer_is_read(answer: Any) -> None:
    row = {"prompt": [ASKED], "solution": WORKED, "reward_model": answer}
    found = read(row, problem="prompt", solution="solution", answer="reward_model")
    assert found.steps == (*STEPS, "#### 4")


def test_a_chat_that_asks_after_others_cannot_be_asked() -> None:
    row = {"prompt": [ASKED, REPLY, ASKED], "solution": WORKED}
    assert "a question with turns before it" in read(row, problem="prompt", solution="solution")


@pytest.mark.parametrize(
    ("problem", "solution"),
    [
        ([ASKED], [REPLY]),
        (ASKED["content"], [REPLY]),
        ([SYSTEM, ASKED], WORKED),
        (ASKED["content"], [ASKED, REPLY]),
        ([SYSTEM, ASKED, REPLY], [SYSTEM, ASKED, REPLY, ASKED, REPLY | {"content": "no"}]),
    ],
)
def test_a_reply_of_a_chat_that_is_named_is_the_solution(problem: Any, solution: Any) -> None:
    found = read({"p": problem, "s": solution}, problem="p", solution="s")
    assert found.problem == ASKED["content"] and found.steps == STEPS
    whole = read({"m": [SYSTEM, ASKED, REPLY]}, problem="m", solution="m")
    assert (whole.problem, whole.steps) == (ASKED["content"], STEPS)


@pytest.mark.parametrize("solution", [[WORKED], [WORKED, "Another.\nWay."], WORKED])
@pytest.mark.parametrize("named", [False, True])
def test_of_a_list_of_solutions_the_first_is_read(solution: Any, named: bool) -> None:
    columns = {"problem": "question", "solution": "solution"} if named else {}
    found = read({"question": "q", "solution": solution}, **columns)
    assert found.steps == STEPS


@pytest.mark.parametrize("solution", [[], [None], [["a"]], [5]])
def test_a_list_without_a_solution_has_none(solution: Any) -> None:
    assert "no solution and no steps" in read({"question": "q", "solution": solution})
