# ruff: noqa: RUF001 - other scripts' punctuation is what is cut at
"""Which series of numbers a solution is cut at, where it has several."""

import time

import pytest

from srl_edge.data.cutting import cut_solution, numbered_steps
from srl_edge.data.style import choose


@pytest.mark.parametrize(
    "steps",
    [
        (
            "### Step 1: Read\n1. Eve has 4.\n2. Bob has 6.",
            "### Step 2: Add\n1. 4 + 6 is 10.",
            "### Step 3\nEnd.",
        ),
        ("Step 1: Read.\n1. one\n2. two\n3. three", "Step 2: Add.\n6", "Step 3: Halve.\n3"),
        ("### 1. Read\n1. Eve has 4.\n2. Bob has 6.", "### 2. Add\n10", "### 3. Halve\n5"),
        ("**1. Read**\n1. Eve has 4.\n2. Bob has 6.", "**2. Add**\n1. It is 10.\n2. Done."),
        ("## Part 1\n1. a\n2. b", "## Part 2\n1. c\n2. d\n3. e"),
        ("### Step 1 – Read\n1. a\n2. b", "### Step 2 – Add\n#### Step 1\nc\n#### Step 2\nd"),
        ("**Schritt 1:** Lesen\n1. a\n2. b", "**Schritt 2:** Rechnen\n1. c\n2. d"),
        ("### 步骤 1：读\n1. a\n2. b", "### 步骤 2：算\n1. c"),
    ],
)
def test_headings_of_one_series_are_the_steps(steps: tuple[str, ...]) -> None:
    text = "\n\n".join(steps)
    assert numbered_steps(text) == list(steps)
    assert cut_solution(f"So we go.\n\n{text}")[0] == [f"So we go.\n\n{steps[0]}", *steps[1:]]


@pytest.mark.parametrize(
    "headers",
    [
        ("第一步：", "第二步：", "第三步："),
        ("第1步，", "第2步，", "第3步，"),
        ("### 第一步：读", "### 第二步：算", "### 第三步：答"),
        ("步骤一：", "步骤二：", "步骤三："),
        ("手順1：", "手順2：", "手順3："),
        ("1단계:", "2단계:", "3단계:"),
        ("1、", "2、", "3、"),
        ("一、", "二、", "三、"),
        ("（1）", "（2）", "（3）"),
        ("（一）", "（二）", "（三）"),
        ("１．", "２．", "３．"),
        ("1\ufe0f\u20e3 ", "2\ufe0f\u20e3 ", "3\ufe0f\u20e3 "),
        ("Step One:", "Step Two:", "Step Three:"),
        ("**Step one:**", "**Step two:**", "**Step three:**"),
        ("**Step 1 (Read):**", "**Step 2 (Add):**", "**Step 3 (Halve):**"),
        ("### \U0001f539 Step 1: Read", "### \u2705 Step 2: Add", "### \u2b50 Step 3"),
        ("\U0001f7e2 **Step 1:**", "\U0001f7e2 **Step 2:**", "\U0001f7e2 **Step 3:**"),
        ("[Step 1]", "[Step 2]", "[Step 3]"),
        ("Step #1:", "Step #2:", "Step #3:"),
        ("- **Step 1:**", "- **Step 2:**", "- **Step 3:**"),
        ("> Step 1:", "> Step 2:", "> Step 3:"),
        ("*Step 1:*", "*Step 2:*", "*Step 3:*"),
        ("__1. Read__", "__2. Add__", "__3. Halve__"),
        ("Adım 1:", "Adım 2:", "Adım 3:"),
    ],
)
def test_headers_in_other_forms_are_a_series(headers: tuple[str, ...]) -> None:
    steps = [f"{header} It is said.\nThen it is done." for header in headers]
    assert numbered_steps("\n\n".join(steps)) == steps


def test_chinese_numbers_are_counted_beyond_ten() -> None:
    tens = "一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十 二十一"
    steps = [f"第{number}步：如此。" for number in tens.split()]
    assert numbered_steps("\n".join(steps)) == steps


@pytest.mark.parametrize(
    "text",
    [
        "1、2、3 are odd.\n2、4、6 are even.",
        "1．5 is more.\n2．5 is more yet.",
        "Step one by one.\nStep two by two.",
        "- 1. a\n- 2. b",
        "[1] a\n[2] b",
        "第一 a\n第二 b",
        "一 a\n二 b",
    ],
)
def test_other_numbers_are_no_headers(text: str) -> None:
    assert numbered_steps(text) == []


GIVEN = "1. Eve has 4.\n2. Bob has 6."
SOLVED = ["1. Both are added: 4 + 6 is 10.", "2. The half of 10 is 5.", "3. So each gets 5."]


@pytest.mark.parametrize(
    ("given", "solved"),
    [
        ("**Given:**\n", "**Solution:**\n"),
        ("## Data\n\n", "## Calculation\n\n"),
        ("Known:\n", "We compute:\n"),
        ("**Given:**\n", "---\n\n### Solution\n"),
    ],
)
def test_what_is_given_goes_with_the_first_step_of_the_solution(given: str, solved: str) -> None:
    text = "\n".join(SOLVED)
    steps = numbered_steps(f"{given}{GIVEN}\n\n{solved}{text}")
    assert steps == [f"{given}{GIVEN}\n\n{solved}{SOLVED[0]}", *SOLVED[1:]]
    longer = f"{given}{GIVEN}\n3. Ann has 1.\n4. She keeps it.\n\n{solved}{text}"
    assert numbered_steps(longer)[1:] == SOLVED[1:]


def test_what_is_summed_up_goes_with_the_last_step() -> None:
    end = "**Answers:**\n1. 5\n2. 10"
    assert numbered_steps("\n".join([*SOLVED, "", end])) == [*SOLVED[:2], f"{SOLVED[2]}\n\n{end}"]


@pytest.mark.parametrize(
    "steps",
    [
        ("1. Two:\n1. a", "2. Add.", "3. Halve."),
        ("1. Two cases:\n1) a\n2) b", "2. Add.", "3. Halve."),
        ("1. Find.\n\nThere are two:\n\n1. a\n2. b", "2. Add.", "3. Halve."),
        ("1. Find.", "2. There are two:\n1. a\n2. b"),
    ],
)
def test_a_list_inside_a_step_is_that_step_s(steps: tuple[str, ...]) -> None:
    text = "\n".join(steps)
    assert numbered_steps(text) == list(steps)


SQUARED = [
    "Squaring the first gives $a^2+2ab+b^2=25$.",
    "Subtracting four times the second gives $(a-b)^2=1$.",
    "Finally $a=3$ and $b=2$, or the other way round.",
]
A_LIST_IN_IT = [
    ["We are given:\n1. $a+b=5$\n2. $ab=6$", *SQUARED],
    [*SQUARED, "The two solutions are:\n1. $x=2$\n2. $x=3$"],
    [SQUARED[0], "There are two:\n1. even\n2. odd", *SQUARED[1:]],
    ["**Given**\n\n**1.** $a+b=5$\n\n**2.** $ab=6$", *SQUARED],
    [f"Case {n}: the number is {it}.\n1. It is so.\n2. It is done." for n, it in ((1, 0), (2, 4))],
]


@pytest.mark.parametrize("steps", A_LIST_IN_IT)
def test_a_list_that_is_not_most_of_a_solution_is_not_its_steps(steps: list[str]) -> None:
    text = "\n\n".join(steps)
    found, style, _ = cut_solution(text, ("numbered", "paragraphs"))
    assert style == "paragraphs" and "\n\n".join(found) == text and len(found) >= len(steps)
    assert choose("auto", [{"problem": "q", "solution": text}]).keeps["numbered"] == 0
    assert cut_solution(text, ("numbered",))[0] == numbered_steps(text)  # which was asked for


@pytest.mark.parametrize(
    "steps",
    [
        ["So we go:\n1. Add 2 and 3, which is 5.", "2. Double it.\n\nSo it is 10."],
        ["1. Short.", f"2. {'It is long. ' * 20}".strip()],
        ["1. **Read**\n\nHe has 5.", "2. **Add**\n\nNow it is 5 + 6.\n\nThis is 11."],
        ["**1. Read**\n\nHe has 5.", "**2. Add**\n\nNow it is 11."],
        [f"{' '.join(SQUARED)}\n\nStep 1: a", "Step 2: b"],
        [f"{' '.join(SQUARED)}\n\n### 1. Read\na", "### 2. Add\nb"],
    ],
)
def test_a_list_that_is_most_of_a_solution_is_its_steps(steps: list[str]) -> None:
    found, style, _ = cut_solution("\n".join(steps), ("numbered", "paragraphs"))
    assert (found, style) == (steps, "numbered")


def test_a_single_heading_or_number_is_no_series() -> None:
    assert numbered_steps("### Step 1: All\nIt is 5.") == []
    assert numbered_steps("1. a\n\nThen:\n\n1. b\n\nLast:\n\n1. c") == []
    assert numbered_steps("```\n### Step 1\n### Step 2\n```") == []


@pytest.mark.parametrize(
    "text", ["Step 1 (", "一", "1. a\n2. b\n\nX\n\n", "1. a\n1. b\n", "### 1. a\n9. b\n"]
)
def test_many_series_take_no_time(text: str) -> None:
    began = time.perf_counter()
    numbered_steps(text * 20_000)
    assert time.perf_counter() - began < 5
