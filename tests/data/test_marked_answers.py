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


YES_NO = [
    ("So the answer is {}.", "yes", "no"),
    ("Therefore, the answer is {}.", "no", "yes"),
    ("The final answer is {}.", "True", "False"),
    ("The answer is: {}", "False", "True"),
    ("Answer: {}", "No", "Yes"),
    ("Answer: {}, it rolls.", "No", "Yes"),
]


@pytest.mark.parametrize(("end", "said", "other"), YES_NO)
def test_a_verdict_at_the_end_is_the_answer(end: str, said: str, other: str) -> None:
    row = {"problem": "Does a ball stand?", "solution": f"It is round.\nIt rolls.\n{end}"}
    row["solution"] = row["solution"].format(said)
    found = read(row, "word-problems")
    assert found.answer == said and found.steps[-1] == f"#### {said}"
    assert read(row | {"answer": said}, "word-problems").answer == said
    assert "ends in another answer" in read(row | {"answer": other}, "word-problems")


@pytest.mark.parametrize(
    "solution",
    [
        "They are 7. Does it fit? The answer is yes.\nSo there are 7.\nThey all fit.",
        "They fit.\nThey are few.\nThe answer is no one.",
        "They fit.\nThey are few.\nThe answer is Norway.",
    ],
)
def test_a_word_that_is_no_verdict_on_the_whole_is_none(solution: str) -> None:
    assert read({"problem": "q", "solution": solution}, "word-problems").answer is None
    assert read({"problem": "q", "solution": solution, "answer": "7"}, "word-problems").answer
