# ruff: noqa: RUF001 - other scripts' punctuation is what is cut at
"""Styles of cutting, and the one that is chosen for a source."""

import pytest

from srl_edge.data.cutting import cut_solution, sensible
from srl_edge.data.style import choose


def cut(text: str, *styles: str) -> list[str]:
    return cut_solution(text, styles)[0]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is 3.5 m long. So 7 m.", ["It is 3.5 m long.", "So 7 m."]),
        ("Take two, e.g. 3 and 5. Then add.", ["Take two, e.g. 3 and 5.", "Then add."]),
        ("Use Eq. 3. Dr. Ng agrees.", ["Use Eq. 3.", "Dr. Ng agrees."]),
        ("J. K. Ray has 72. Why? Nobody knows!", ["J. K. Ray has 72.", "Why?", "Nobody knows!"]),
        ("We set $x = 2. Y$ here. Done.", ["We set $x = 2. Y$ here.", "Done."]),
        ("Thus $x=3.$  Also $y=4.$ End.", ["Thus $x=3.$", "Also $y=4.$", "End."]),
        (
            "So \\(a. B\\) is it. \\[x = 1. Y\\] And \\[z.\\]Then $$w. V$$ ends.",
            ["So \\(a. B\\) is it.", "\\[x = 1. Y\\] And \\[z.\\]", "Then $$w. V$$ ends."],
        ),
        (
            "It costs $5. She has $10. He has $3.50. All pay.",
            ["It costs $5.", "She has $10.", "He has $3.50.", "All pay."],
        ),
        ("The cost is \\$5. It fell.", ["The cost is \\$5.", "It fell."]),
        ("A. First is odd. B. Second is even.", ["A. First is odd.", "B. Second is even."]),
        (
            'He said "no." Then he left. (It rained.) So.',
            ['He said "no."', "Then he left.", "(It rained.)", "So."],
        ),
        ("One\ntwo. Three\n\nFour", ["One\ntwo.", "Three", "Four"]),
        (
            "We have\n\n\\[x = 1\\]\n\nand so on. End.",
            ["We have\n\n\\[x = 1\\]\n\nand so on.", "End."],
        ),
        (
            "Look. [asy] draw(A. B); [/asy] Here. Now.",
            ["Look. [asy] draw(A. B); [/asy] Here.", "Now."],
        ),
        ("no end", ["no end"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    assert cut(text, "sentences") == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["先算2+3=5。", "再乘以2，得$5*2。0$？", "对！", "答案是10。"],
        [
            "まず2+3=5です。",
            "彼は「正しい。」と言った。",
            "次に10になる．",
            "3．5ではない．",
            "終わり！？",
        ],
        ["पहले 2+3=5 जोड़ें।", "फिर दोगुना करें।", "उत्तर 10 है॥"],
        ["كم المجموع؟", "هو 10."],
        ["他说：“不。”", "然后走了（真的。）", "完。"],
    ],
)
@pytest.mark.parametrize("between", ["", " ", "\n"])
def test_sentences_of_other_scripts_need_no_space_between_them(
    sentences: list[str], between: str
) -> None:
    text = between.join(sentences)
    assert cut(text, "sentences") == sentences
    found = choose("auto", [{"problem": "p", "solution": text.replace("\n", " ")}] * 3)
    assert found.styles == ("numbered", "sentences") and found.keeps["sentences"] == 3


@pytest.mark.parametrize(
    ("text", "paragraphs"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("one\n \n\n\ntwo", ["one", "two"]),
        ("We have\n\n$$x$$\n\nso y.\n\nNext.", ["We have\n\n$$x$$\n\nso y.", "Next."]),
        (
            "**Head**\n\nBody.\n\n## Other\n\nMore:\n\n- a",
            ["**Head**\n\nBody.", "## Other\n\nMore:\n\n- a"],
        ),
        ("Code:\n\n```\na\n\nb\n```\n\nEnd.", ["Code:\n\n```\na\n\nb\n```", "End."]),
    ],
)
def test_paragraphs_keep_what_belongs_together(text: str, paragraphs: list[str]) -> None:
    assert cut(text, "paragraphs") == paragraphs


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\n\ntwo\n", ["one", "two"]),
        ("So\n\\[\nx\n\\]\nend", ["So", "\\[\nx\n\\]", "end"]),
        ("It is $5\nand 5$\nmore", ["It is $5", "and 5$", "more"]),
        (
            "\\begin{gather}\na\\\\\nb\n\\end{gather}\nend",
            ["\\begin{gather}\na\\\\\nb\n\\end{gather}", "end"],
        ),
    ],
)
def test_lines_keep_formulas_whole(text: str, lines: list[str]) -> None:
    assert cut(text, "lines") == lines


def test_a_style_that_gives_no_steps_gives_way_to_the_next() -> None:
    assert cut_solution("a\nb", ("numbered", "lines"))[:2] == (["a", "b"], "lines")
    assert cut_solution("1. a\n2. b", ("numbered", "lines"))[1] == "numbered"
    assert cut("a\nb", "numbered") == []


@pytest.mark.parametrize(
    "steps",
    [
        ["one"],
        ["one", "---"],
        ["one", "two:"],
        ["**Head**", "two"],
        ["it goes", "on here"],
        ["one", "x" * 30],
        ["a", "b", "c", "d"],
    ],
)
def test_steps_without_sense(steps: list[str]) -> None:
    assert not sensible(steps, 20, 3)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("He has 48/2 = <<48/2=24>>24.", "He has 48/2 = 24."),
        (
            "It is $.5*(40+2)=<<.5*(40+2)=21>>21, or -3+5=<<-3+5=2>>2",
            "It is $.5*(40+2)=21, or -3+5=2",
        ),
        ("All 5<<5=5>> of 1,200*2=<<1,200*2=2,400>>2,400", "All 5 of 1,200*2=2,400"),
    ],
)
def test_the_notes_of_a_calculator_are_left_out(text: str, left: str) -> None:
    assert cut(f"{text}\nEnd.", "lines") == [left, "End."]


@pytest.mark.parametrize(
    "text",
    [
        "std::cout << a; std::cin >> a;",
        "`$a<<b$ we drop it, as $b>>a$`",
        "For x << 1 and y >> 1 the bits move.",
        "16 << 1 = 32 and 32 >> 2 = 8.",
        "A list<list<int>> and a map<int, list<int>>.",
        "`cout<<x=1;` and `cin>>x`",
        "He said <<non = no>>.",
    ],
)
def test_what_else_has_such_brackets_stays(text: str) -> None:
    assert cut(f"{text}\nEnd.", "lines") == [text, "End."]
    over_lines = "1 << 2\nThen = 4.\nSo 4 >> 1"
    assert cut(over_lines, "lines") == over_lines.split("\n")


LINES = "First 2 + 3 = 5\nSo 5 * 2 = 10.\n#### 10"
PARAGRAPHS = "First we add:\n2 + 3 = 5.\n\nSecond we\nmultiply.\n\nSo it is 10."
SENTENCES = "First add. Then take half. It is $\\boxed{5}$."
NUMBERED = "1. **Add**: 2 + 3\n- so 5\n2. **Half**: 2.5\n- done"
WRAPPED = "First we add the\nnumbers of both\nbags. Then we take\nhalf of that."


@pytest.mark.parametrize(
    ("solutions", "style"),
    [
        ([LINES] * 10, "lines"),
        ([PARAGRAPHS] * 10, "paragraphs"),
        ([SENTENCES] * 10, "sentences"),
        ([WRAPPED] * 10, "sentences"),
        ([NUMBERED] * 9 + [LINES], "lines"),
        ([LINES] * 19 + [SENTENCES], "lines"),
        ([LINES] * 5 + [SENTENCES] * 15, "sentences"),
        ([], "lines"),
    ],
)
def test_the_style_that_keeps_most_solutions_is_chosen(solutions: list[str], style: str) -> None:
    chosen = choose("auto", [{"problem": "p", "solution": text} for text in solutions])
    assert chosen.styles == ("numbered", style)
    assert chosen.looked_at == len(solutions)
    assert chosen.keeps.get("numbered") == solutions.count(NUMBERED)


def test_limits_of_the_recipe_count_in_the_choice() -> None:
    rows = [{"problem": "p", "solution": f"{'One two. ' * 9}\nThen five."}] * 3
    assert choose("auto", rows).styles == ("numbered", "lines")
    assert choose("auto", rows, longest=50).styles == ("numbered", "sentences")
    assert choose("auto", rows, longest=50, most=5).keeps["sentences"] == 0


def test_a_style_that_is_asked_for_is_the_only_one() -> None:
    assert choose("paragraphs", [{"problem": "p", "solution": LINES}]).styles == ("paragraphs",)
