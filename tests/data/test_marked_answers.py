"""Answer columns that hold their own mark, or a whole worked solution beside another."""

from typing import Any

import pytest

from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS

WORKED = "She sold 48/2 = <<48/2=24>>24 clips.\nIn all 48 + 24 = <<48+24=72>>72.\n#### 72"
LINES = {"math": "The final answer is \\boxed{72}.", "word-problems": "#### 72"}


def read(row: dict[str, Any], preset: str) -> Any:
    report = ParseReport()
    styles = choose("auto", [row]).styles
    found = list(parse_rows([row], report, styles, form=PRESETS[preset], answer_step=True))
    return found[0] if found else report.reasons


@pytest.mark.parametrize("preset", LINES)
@pytest.mark.parametrize(
    "answer",
    [
        "72",
        "\\boxed{72}",
        "$72$",
        "The answer is 72.",
        "#### 72",
        "\\(72\\)",
        "$\\boxed{72}$",
        WORKED,
    ],
)
def test_an_answer_is_taught_without_a_mark_of_its_own(answer: str, preset: str) -> None:
    row = {"problem": "q", "solution": "Half are 24.\nSo it is all of them.", "answer": answer}
    found = read(row, preset)
    assert found.answer == "72" and found.steps[-1] == LINES[preset]
    assert "ends in another answer" in read(row | {"solution": "a.\n\\boxed{24}"}, preset)


@pytest.mark.parametrize("preset", LINES)
@pytest.mark.parametrize(
    "solution", ["Half are 24.\nSo it is \\boxed{72}.", "Half are 24.\nAll are 72."]
)
@pytest.mark.parametrize("shape", ["solution", "messages"])
def test_gsm8k_s_answer_may_stand_beside_another_solution(
    shape: str, solution: str, preset: str
) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": solution}]
    row = {"question": "q", "solution": solution} if shape == "solution" else {"messages": turns}
    found = read(row | {"answer": WORKED}, preset)
    assert found.answer == "72" and found.steps[0] == "Half are 24."
    assert "clips" not in "".join(found.steps)


def test_of_several_boxes_all_are_one_answer() -> None:
    row = {"problem": "q", "solution": "a.\nb.", "answer": "\\boxed{3} and \\boxed{4}"}
    assert read(row, "math").steps[-1] == "The final answer is \\boxed{3 and 4}."
