"""Rows with what other tools leave in them: end tokens, thoughts, code, spaces, odd sums."""

from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.arithmetic import wrong_equations
from srl_edge.data.cutting import cut_solution
from srl_edge.data.formats import rows_of
from srl_edge.data.trajectories import ParseReport, parse_rows


def parsed(solution: str) -> Any:
    return next(parse_rows([{"problem": "p", "solution": solution}], ParseReport()))


@pytest.mark.parametrize(
    "end", ["</s>", "<|im_end|>", "<|eot_id|>\n", "<end_of_turn>", "<eos></s>"]
)
def test_the_end_of_a_turn_is_no_part_of_the_answer(end: str) -> None:
    found = parsed(f"3 + 4 = 7\n7 - 2 = 5\n#### 5{end}")
    assert found.answer == "5" and not any("<" in step for step in found.steps)


@pytest.mark.parametrize(
    "thought",
    [
        "[THINK]hm[/THINK]",
        "<seed:think>hm</seed:think>",
        "<|channel>thought\nhm<channel|>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_a_thought_in_any_marks_is_no_step(thought: str) -> None:
    found = parsed(f"{thought}3 + 4 = 7\n7 - 2 = 5\n#### 5")
    assert found.thoughts[0] == "hm" and found.steps[0] == "3 + 4 = 7"


def test_steps_in_code_are_no_steps() -> None:
    code = "```python\n# Step 1: add\nx = 3 + 4\n# Step 2: take\nx -= 2\n```"
    text = f"We write code.\n\n{code}\n\nIt prints 5."
    assert cut_solution(text, ("numbered", "paragraphs"))[0] == [
        "We write code.",
        code,
        "It prints 5.",
    ]


def test_a_last_answer_in_bold_makes_way() -> None:
    assert parsed("3 + 4 = 7\n7 - 2 = 5\n**Answer:** 5").steps == ("3 + 4 = 7", "7 - 2 = 5\n#### 5")


def test_an_answer_under_its_heading_is_read() -> None:
    assert parsed("3 + 4 = 7\n7 - 2 = 5\n### Final Answer\n**5**").answer == "5"


def test_names_of_columns_have_no_spaces_around_them(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("problem , answer\n3 + 4,7\n")
    assert list(rows_of(tmp_path / "rows.csv")) == [{"problem": "3 + 4", "answer": "7"}]


@pytest.mark.parametrize(
    "text",
    [
        "10^2 - 1 = 99",
        "√16 + 2 = 6",
        "20% of 50 + 5 = 15",
        "2 * 6 = 3 * 4",
        "10 + 5 = 3 * 5 = 15",
        "30 / 60 = 1 / 2",
        "15 / 60 = 25 percent",
        "15 / 60 = 25 %",
        "24 * 1 = 2 dozen",
        "500 * 2 = 1 thousand",
        "60 + 30 = 1.5 hours",
        "17 / 5 = 3 remainder 2",
        "0,5 * 10 = 5",
    ],
)
def test_a_right_sum_is_not_called_wrong(text: str) -> None:
    assert not wrong_equations(text)


@pytest.mark.parametrize(
    "text", ["3 + 4 = 8 apples", "3 * 4 = 13 * 2 = 26", "17 / 5 = 4 remainder 2"]
)
def test_a_wrong_sum_is(text: str) -> None:
    assert len(wrong_equations(text)) == 1
