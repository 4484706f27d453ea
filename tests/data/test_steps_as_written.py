"""What a step keeps of a solution: its indentation and its headings; and what makes way."""

from typing import Any

import pytest

from srl_edge.data.final_step import with_answer
from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.types import Trajectory


def read(styles: tuple[str, ...], **row: Any) -> Trajectory:
    (found,) = parse_rows([{"problem": "p", **row}], ParseReport(), styles, answer_step=True)
    return found


def chosen(solution: str) -> tuple[str, ...]:
    row = {"problem": "p", "solution": solution}
    return read(choose("auto", [row]).styles, solution=solution).steps


PYTHON = "def f(s):\n  t = 0\n  for n in s:\n    t += n\n  return t"
YAML = "a:\n  b: 1\n\n  c:\n    - 2\nd: 3"
TABS = "if (x) {\n\ty = 1;\n\t\tz = 2;\n}"
NARROW = "for a in s:\n for b in a:\n  print(b)"


@pytest.mark.parametrize("code", [PYTHON, YAML, TABS, NARROW])
@pytest.mark.parametrize("style", ["lines", "paragraphs", "sentences"])
def test_code_keeps_its_indentation(code: str, style: str) -> None:
    lines = [line for line in code.split("\n") if line]
    for solution in (
        code,
        f"\n{code}\n\n",
        f"<think>Hm.</think>\n{code}",
        code.replace("\n", "\r\n"),
    ):
        found = read((style,), solution=f"{solution}\n\nThat is it.")
        assert "\n".join(found.steps).replace("\n\n", "\n").split("\n") == [*lines, "That is it."]


@pytest.mark.parametrize("code", [PYTHON, YAML, TABS])
def test_what_all_lines_are_indented_by_is_left_out(code: str) -> None:
    deeper = "\n".join(f"        {line}" if line else "" for line in code.split("\n"))
    lines = tuple(line for line in code.split("\n") if line)
    assert read(("lines",), solution=f"\n{deeper}\n    ").steps == lines


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        (["def f(s):", "  t = 0", "\treturn t\n"], ("def f(s):", "  t = 0", "\treturn t")),
        ([" First.", " Then.\n", "\u3000\u3000So."], ("First.", "Then.", "So.")),
        (["<think>a</think>  First.", "<think>b</think>\n  t = 0"], ("First.", "  t = 0")),
        (
            ["\n\n    x = 1\n    y = 2", "<answer> Done.</answer>"],
            ("    x = 1\n    y = 2", "Done."),
        ),
    ],
)
def test_given_steps_keep_their_indentation(given: list[str], steps: tuple[str, ...]) -> None:
    assert read((), steps=given).steps == steps


@pytest.mark.parametrize(
    "solution",
    [
        "<think>Hm.</think>  First.\nThen.",
        "Hm.</think> First.\n<think>Well.</think>  Then.",
        "<answer>  First.\nThen.</answer>",
        "<solution> First.\nThen.",
        "  First.\nThen.",
    ],
)
def test_what_stands_behind_a_tag_is_not_indented(solution: str) -> None:
    assert read(("lines",), solution=solution).steps == ("First.", "Then.")


@pytest.mark.parametrize(
    ("solution", "steps"),
    [
        (
            "#### 1. Find the eggs\n16 - 3 = 13 eggs.\n\n#### 2. Find the money\n13*2 = 26 dollars."
            "\n\n#### Final Answer\n\\[\\boxed{26}\\]",
            (
                "#### 1. Find the eggs\n16 - 3 = 13 eggs.",
                "#### 2. Find the money\n13*2 = 26 dollars.",
                "#### 26",
            ),
        ),
        (
            "#### x = 0\nThen y is 1.\n#### x = 1\nThen y is 3.\nSo it is $\\boxed{4}$.",
            (
                "#### x = 0\nThen y is 1.",
                "#### x = 1\nThen y is 3.",
                "So it is $\\boxed{4}$.",
                "#### 4",
            ),
        ),
        (
            "#### 2019\nHe has 3.\n#### 2020\nHe has 2 * 3 = 6.\n#### 6",
            ("#### 2019\nHe has 3.", "#### 2020\nHe has 2 * 3 = 6.", "#### 6"),
        ),
        ("He has 6.\n#### 6\nThat is right.\n#### 6.0", ("He has 6.", "That is right.", "#### 6")),
        ("He has 3.\nHe has 6.\n#### Answer\n#### 6", ("He has 3.", "He has 6.", "#### 6")),
    ],
)
@pytest.mark.parametrize("style", ["lines", "auto"])
def test_headings_with_values_stay(solution: str, steps: tuple[str, ...], style: str) -> None:
    found = chosen(solution) if style == "auto" else read((style,), solution=solution).steps
    assert found[-1].removesuffix(".0") == steps[-1] and found[:-1] == steps[:-1]


SECTIONS = (
    "To solve this, we begin.",
    "### Understanding the Problem\n\nWe are given that $x^2 = 0$.",
    "### Solving It\n\nTake the root:\n\n$$\nx = 0\n$$",
    "So it is zero.",
)


@pytest.mark.parametrize("rule", ["---", "***", "___", "* * *", "-----"])
@pytest.mark.parametrize(
    "end",
    [
        "### Final Answer\n\n$\\boxed{0}$",
        "### ✅ Final Answer\n\n$$\n\\boxed{0}\n$$",
        "**Final Answer:**\n\n\\[\n\\boxed{0}\n\\]",
        "### **Final Result**\n\n$\\boxed{0}$",
    ],
)
def test_rules_are_no_steps_and_headings_go_with_their_text(rule: str, end: str) -> None:
    assert chosen(f"\n\n{rule}\n\n".join((*SECTIONS, end))) == (*SECTIONS, "#### 0")
    assert chosen("\n\n".join((*SECTIONS, rule, end))) == (*SECTIONS, "#### 0")


def test_a_rule_inside_a_step_leaves_no_gap() -> None:
    solution = "We begin.\n\n---\n\n1. Add.\n\n***\n\nSo 5.\n2. Double.\n\n---\n"
    found = read(("numbered",), solution=solution)
    assert found.steps == ("We begin.\n\n1. Add.\n\nSo 5.", "2. Double.")


@pytest.mark.parametrize(
    ("solution", "steps"),
    [
        ("A is 1.\n---\nB is 2.\n\n---\nC is 3.", ("A is 1.", "B is 2.", "C is 3.")),
        ("## All\n### Part\nA is 1.\nB is 2.", ("## All\n### Part\nA is 1.", "B is 2.")),
        ("**A is 1.**\n**B is 2.**\nC is 3.", ("**A is 1.**", "**B is 2.**\nC is 3.")),
        ("# A\n# B\n# C", ("# A", "# B", "# C")),
        ("```\n---\n\n***\n```\nB is 2.", ("```\n---\n\n***\n```", "B is 2.")),
    ],
)
def test_what_a_heading_is_over_by_lines(solution: str, steps: tuple[str, ...]) -> None:
    assert read(("lines",), solution=solution).steps == steps


@pytest.mark.parametrize("style", ["lines", "sentences"])
@pytest.mark.parametrize("end", ["### Final Answer\n2", "**Answer**\n$2$", "So the answer is\n2"])
def test_a_heading_with_the_answer_makes_way(style: str, end: str) -> None:
    steps = ("A is 1.", "B is 2.")
    assert read((style,), solution="\n".join((*steps, end))).steps == (*steps, "#### 2")
    given = (*steps, *end.split("\n"))
    assert with_answer(given, "2", own_step=True) == (*steps, "#### 2")
    assert with_answer(given[:-1], "2", own_step=True) == (*steps, "#### 2")


def test_a_formula_on_lines_of_its_own_is_left_out_whole() -> None:
    steps = ("So the sum is", "$$\n\\boxed{2}\n$$")
    assert with_answer(steps, "2", own_step=True) == (*steps, "#### 2")
    assert with_answer(("A is 1.", "B.\n\n$$\n\\boxed{2}\n$$"), "2") == ("A is 1.", "B.\n#### 2")


@pytest.mark.parametrize("tag", ["scratchpad", "scratch_pad", "Scratchpad", "Thought"])
@pytest.mark.parametrize("solution", ["A is 1.\nB is 2.", "<Output>\nA is 1.\nB is 2.\n</Output>"])
def test_a_scratchpad_is_a_thought(tag: str, solution: str) -> None:
    found = read(("lines",), solution=f"<{tag}>\nHm.\n</{tag}>\n{solution}")
    assert found.steps == ("A is 1.", "B is 2.") and found.thoughts == ("Hm.", "")
    given = read((), steps=[f"<{tag}>Hm.</{tag}> A is 1.", "B is 2."])
    assert (given.steps, given.thoughts) == (found.steps, found.thoughts)


@pytest.mark.parametrize("tag", ["output", "Output", "OUTPUT"])
def test_an_output_is_an_answer(tag: str) -> None:
    steps = ("A is 1.", "B is 2.")
    for solution in (
        f"<thinking>Hm.</thinking>\n<{tag}>\nA is 1.\nB is 2.\n</{tag}>",
        f"<thinking>Hm.</thinking>\n<{tag}>\nA is 1.\nB is 2.",
    ):
        found = read(("lines",), solution=solution)
        assert found.steps == steps and found.thoughts == ("Hm.", "")
    for solution in (
        f"A is 1.\nB is 2.\n<{tag}>2</{tag}>",
        f"<reasoning>A is 1.\nB is 2.</reasoning>\n<{tag}>2</{tag}>",
    ):
        assert read(("lines",), solution=solution).steps == (*steps, "#### 2")
    fence = f"```\n<{tag}>2</{tag}>\n```"
    assert read(("lines",), solution=f"{fence}\nThat is all.").steps == (fence, "That is all.")
