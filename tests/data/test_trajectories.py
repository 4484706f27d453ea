from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.arithmetic import wrong_equations
from srl_edge.data.cutting import numbered_steps
from srl_edge.data.final_step import with_answer
from srl_edge.data.formats import rows_of
from srl_edge.data.style import choose
from srl_edge.data.trajectories import (
    ParseReport,
    load,
    parse_rows,
    write_jsonl,
)
from srl_edge.errors import InputError
from srl_edge.method.answers.reading import final_answer
from srl_edge.method.prompt_form import DEFAULT

NUMBERED = """To solve this, factor first.

1. **Factor**: 20 = 4 * 5
   1. nested item
   - a bullet
2. **Count**: two factors
3. **Conclude**: \\boxed{2}"""


def test_numbered_steps_merge_the_preamble_and_keep_nested_lists() -> None:
    steps = numbered_steps(NUMBERED)
    assert len(steps) == 3
    assert steps[0].startswith("To solve this") and "1. nested item" in steps[0]
    assert steps[2] == "3. **Conclude**: \\boxed{2}"


def test_numbering_must_be_consecutive_from_one() -> None:
    assert numbered_steps("2. b\n3. c") == []
    assert len(numbered_steps("1. a\n1. again\n2. b\n4. d")) == 2


def test_gsm8k_lines_lose_annotations_and_give_the_answer() -> None:
    found = parsed_row(solution="He has 48/2 = <<48/2=24>>24 clips.\n\nIn all 72.\n#### 72")
    assert found.steps == ("He has 48/2 = 24 clips.", "In all 72.\n#### 72")
    assert found.answer == "72"


def test_rows_of_every_format_are_read_and_the_rest_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"problem": "p", "solution": NUMBERED, "answer": "2"},
        {"question": "q", "answer": "a\nb\n#### 1,200"},
        {"problem": "p", "steps": ["one", "two"], "answer": 3},
        {"problem": "p", "steps": ["one"], "answer": "3"},
        {"problem": "", "solution": "a\nb"},
        {"problem": "p"},
        {"problem": "p", "solution": "a\n" + "b" * 99},
    ]
    report = ParseReport()
    kept = list(parse_rows(rows, report, max_step_characters=90))
    assert [t.answer for t in kept] == ["2", "1,200", "3"]
    assert kept[1].steps == ("a", "b\n#### 1,200")
    assert report.as_dict() == {
        "read": 7,
        "kept": 3,
        "dropped": {
            "fewer than two steps": 1,
            "no problem text": 1,
            "no solution and no steps": 1,
            "a step longer than 90 characters": 1,
        },
        "examples": report.examples,
    }
    assert load(write_jsonl(tmp_path / "t.jsonl", kept)) == kept


@pytest.mark.parametrize("steps", ["First add.\nThen stop.", 5, ["one", ["two"]], [{"a": 1}]])
def test_steps_must_be_a_list_of_texts(steps: object) -> None:
    report = ParseReport()
    assert not list(parse_rows([{"problem": "p", "steps": steps, "answer": "3"}], report))
    assert report.dropped == {"steps are no list of texts": 1}


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "p"}', encoding="utf-16")
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        list(rows_of(path))


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"problem": "p"}\n\n{"problem": oops}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl, line 3: not JSON"):
        list(rows_of(path))
    with pytest.raises(InputError, match="no such file"):
        list(rows_of(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("so 12 x 2 = 24 cats and 3 + 4 = 8", ["3 + 4 = 8"]),
        ("42 / 12 = 3", ["42 / 12 = 3"]),
        ("it is $10 / 3 = $3.33 each", []),
        ("100 emails * 20/100 = 20", []),
        ("30% * 50 = 15", []),
        ("1,200 + 300 = 1,500", []),
        ("14/56 = 1/4", []),
        ("x + 2 = 5", []),
        ("3 1/2 + 1/2 = 4", []),
        ("1/2 + 3 1/2 = 4", []),
        ("3 + 1/2 = 3 1/2", []),
        ("so 3 + 1/2 = 4 and 1/2 is over", ["3 + 1/2 = 4"]),
    ],
)
def test_only_sums_that_can_be_judged_are_judged(text: str, wrong: list[str]) -> None:
    assert wrong_equations(text) == wrong


def parsed_row(**row: Any) -> Any:
    report = ParseReport()
    found = list(parse_rows([{"problem": "p", **row}], report))
    return found[0] if found else next(iter(report.dropped))


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (["5"], "5"),
        ([7], "7"),
        ({"value": "5"}, "5"),
        (float("nan"), None),
        (float("inf"), None),
        (2e-05, "0.00002"),
        (145.0, "145"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        ("", None),
        ([], None),
        ({}, None),
        (" 5 ", "5"),
        (["1", "2"], "an answer that is a list or an object"),
        ({"a": 1, "b": 2}, "an answer that is a list or an object"),
        ([{"value": [3]}], "3"),
        ({"name": "Tom"}, "Tom"),
        ({"answer": {"value": 5}}, "5"),
        ({"get_weather": {"city": "Paris"}}, '{"get_weather": {"city": "Paris"}}'),
        ([{"f": {"a": [1]}}, {"g": {}}], '[{"f": {"a": [1]}}, {"g": {}}]'),
        ({"name": "f", "arguments": {"a": "é"}}, '{"name": "f", "arguments": {"a": "é"}}'),
        ([{"name": "f", "arguments": {}}], '[{"name": "f", "arguments": {}}]'),
        (10**30, "1" + "0" * 30),
    ],
)
def test_answers_of_every_type(answer: object, read: str | None) -> None:
    found = parsed_row(steps=["a", "b"], answer=answer)
    if isinstance(found, str):
        assert found == read
    else:
        assert found.answer == read
        assert found.steps[-1] == ("b" if read is None else f"b\n#### {read}")


@pytest.mark.parametrize(
    ("solution", "answer", "steps"),
    [
        ("We write $1=\\frac77$.\nThe sum is $\\boxed{\\frac{8}{7}}$.", "\\frac{8}{7}", 2),
        ("#### Step 1: Read\nWe have 2 and 3.\n#### Step 2: Add\nSo it is \\boxed{5}.", "5", 2),
        ("Step 1: Read.\nStep 2: Add.\n\nThe answer is 5.", "5", 2),
        ("**Step 1** Read\n**Step 2** Add\n#### 5", "5", 2),
        ("### Step 1\nRead\n### Step 2\nAdd\n#### 1,200", "1,200", 2),
        ("one\ntwo\n#### blue", "blue", 2),
        ("one\r\ntwo\r\n#### 5\r\n", "5", 2),
        ("<think>\nOkay, add.\n</think>\n1. **Read**: 2.\n2. **Add**: 5.", None, 2),
        ("thinking\n</think>\none\ntwo", None, 2),
        ("one\n\u2028\ntwo\x85three", None, 2),
        ("1.\nRead\n2.\nAdd", None, 2),
        ("one\n#### Summary\ntwo", None, 2),
    ],
)
def test_a_solution_gives_its_answer_and_its_steps(
    solution: str, answer: str | None, steps: int
) -> None:
    found = parsed_row(solution=solution)
    assert (found.answer, len(found.steps)) == (answer, steps)
    assert not any("think>" in step or "\r" in step for step in found.steps)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"solution": "<think>\nwithout end\n1. a\n2. b"}, "a thought without an end"),
        ({"steps": ["a", "<think>b"]}, "a thought without an end"),
        ({"steps": ["a", "b\0"]}, "a NUL character"),
        ({"steps": ["a", "b\ud800"]}, "half of a character (a lone surrogate)"),
        ({"solution": "a\nb", "answer": "\udc00"}, "half of a character (a lone surrogate)"),
        ({"steps": ["<think>a</think>", "b"]}, "fewer than two steps"),
        ({"steps": ["<thinking>a</thinking>", "b"]}, "fewer than two steps"),
        ({"steps": ["a", "b<|begin_of_thought|>c"]}, "a thought without an end"),
        ({"steps": ["a", "b"], "answer": 10**5000}, "a number of thousands of digits"),
    ],
)
def test_what_cannot_be_taught_is_dropped_with_its_reason(row: dict[str, Any], why: str) -> None:
    assert parsed_row(**row) == why


def test_the_experts_solution_is_taken_before_the_reference() -> None:
    attempt = "1. **Read**: add 0 and 10.\n2. **Add**: the sum is \\boxed{10}."
    found = parsed_row(question="q", solution="10", deepseek_attempt=attempt)
    assert len(found.steps) == 2 and found.answer == "10"
    worked = parsed_row(question="q", solution="one\ntwo", deepseek_attempt="nothing of use")
    assert worked.steps == ("one", "two")
    bare = parsed_row(question="q", solution="12", deepseek_attempt="1. Read.\n2. Add.")
    assert bare.answer == "12"
    wrong = parsed_row(question="q", solution="128", deepseek_attempt="1. a\n2. b\n\\boxed{64}")
    assert wrong == "a solution that ends in another answer than the row's"
    long = parsed_row(
        question="q", solution="So $\\boxed{128}$.", deepseek_attempt="1. a\n2. b\n\\boxed{64}"
    )
    assert long == wrong
    assert parsed_row(steps=["a", "b\n#### 5"], answer="6") == wrong
    assert parsed_row(steps=["a", "b\n#### 5.0"], answer="5").answer == "5"


def test_an_answer_of_several_lines_is_kept(tmp_path: Path) -> None:
    matrix = "\\begin{pmatrix} 1 \\\\\n2 \\end{pmatrix}"
    kept = parsed_row(steps=["a", "b"], answer=matrix)
    assert kept.answer == matrix
    assert load(write_jsonl(tmp_path / "t.jsonl", [kept])) == [kept]
    call = parsed_row(steps=["a", "b"], answer="f(\n  x=1\n)")
    assert call.answer == "f(\n  x=1\n)"


def test_the_place_of_a_choice_is_no_answer() -> None:
    why = parsed_row(steps=["a", "b"], choices=["x", "y"], answer=1)
    assert why == "an answer that is the place of a choice"


def test_odd_ids_are_replaced(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": i, "problem": "p", "steps": ["a", "b"]} for i in ("\ud800", "a\0", 10**5000, True)
    ]
    kept = list(parse_rows(rows, ParseReport()))
    assert len({t.id for t in kept}) == 4 and load(write_jsonl(tmp_path / "t.jsonl", kept)) == kept


def test_equal_ids_are_told_apart() -> None:
    rows: list[dict[str, Any]] = [
        {"id": i, "problem": "p", "steps": ["a", "b"]} for i in (1, 1, "1-2", None, [2])
    ]
    ids = [t.id for t in parse_rows(rows, ParseReport())]
    assert ids[:2] == ["1", "1-2"] and len(set(ids)) == 5


def test_rows_beyond_what_json_can_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fine = '{"problem": "p", "steps": ["a", "b"]}\n'
    path.write_text(
        f'\ufeff{fine}{{"problem": "p", "steps": {"[" * 9999}{"]" * 9999}}}\n'
        f'{{"problem": "p", "steps": ["a", "b"], "answer": {"9" * 5000}}}\n{fine}'
    )
    report = ParseReport()
    assert len(list(parse_rows(rows_of(path, report.bad), report))) == 2
    assert report.dropped == {"nested too deeply": 1, "a number of thousands of digits": 1}
    assert report.read == report.kept + report.dropped.total() == 4


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        ("The answer is 35.", ()),
        ("Final answer: 35", ()),
        ("Add both.\nSo the final answer is \\boxed{35}.", ("Add both.",)),
        ("The answer is 36.", ("The answer is 36.",)),  # of something else
        ("Answer the phone: 35", ("Answer the phone: 35",)),
        ("30 + 5 = 35", ("30 + 5 = 35",)),
        ("**Final Answer**\n\n\\[\n\\boxed{35}\n\\]", ()),
        ("30 + 5 = 35.\n\n### Final Answer\n\n$\\boxed{35}$.", ("30 + 5 = 35.",)),
        ("\\boxed{35}", ()),
        ("## Answer: 35.", ()),
        ("## Answer\n**35**", ()),
        ("- Answer: 35", ()),
        ("3. **Answer:** 35", ()),
        ("$$\\boxed{35}$$", ()),
        ("35", ()),
        ("So $x = \\boxed{35}$", ("So $x = \\boxed{35}$",)),
        ("\\boxed{3} and \\boxed{35}", ("\\boxed{3} and \\boxed{35}",)),
        ("## Answer: 36.", ("## Answer: 36.",)),
        ("## Answer\nWe add 30 and 5:\n35", ("## Answer\nWe add 30 and 5:\n35",)),
        ("So we have\n\\[\\boxed{35}.\\]", ("So we have\n\\[\\boxed{35}.\\]",)),
        ("The answer is $\\boxed{35}$ ways.", ()),
        ("The answer is $5*7=\\boxed{35}$.", ("The answer is $5*7=\\boxed{35}$.",)),
        ("The answer is 30 + 5 = 35", ("The answer is 30 + 5 = 35",)),
        ("The answer is 5*7, or $\\boxed{35}$", ("The answer is 5*7, or $\\boxed{35}$",)),
        ("The answer is 35, since 5*7 is.", ("The answer is 35, since 5*7 is.",)),
        ("30 + 5 =\n35", ("30 + 5 =\n35",)),
        ("3. **Conclude**: \\boxed{35}", ("3. **Conclude**: \\boxed{35}",)),
    ],
)
def test_an_answer_is_stated_once(last: str, kept: tuple[str, ...]) -> None:
    assert with_answer(("One.", last), "35", own_step=True) == ("One.", *kept, "#### 35")


@pytest.mark.parametrize("before", ["The sum is", "It is, all in all:", "x =", "Hence,"])
def test_a_sentence_that_ends_in_the_answer_keeps_it(before: str) -> None:
    steps = (before, "\\[\\boxed{35}\\]")
    assert with_answer(steps, "35", own_step=True) == (*steps, "#### 35")


@pytest.mark.parametrize("style", ["lines", "paragraphs", "sentences"])
def test_the_end_of_a_models_reply_is_the_answer_step(style: str) -> None:
    solution = "<think>Hm.</think>First, 1+1=2.\n\nThen 2*6=12.\n\n"
    solution += "**Final Answer**\n\n\\[\n\\boxed{12}\n\\]"
    row = {"problem": "p", "solution": solution, "answer": "12"}
    (found,) = parse_rows([row], ParseReport(), (style,), answer_step=True)
    assert found.steps == ("First, 1+1=2.", "Then 2*6=12.", "#### 12")
    assert found.thoughts == ("Hm.", "", "")


def test_a_thought_before_an_answer_stays_with_the_step_that_states_it() -> None:
    row = {"problem": "p", "steps": ["one", "two", "**Answer**", "\\boxed{5}"], "answer": "5"}
    row["thoughts"] = ["a", "b", "c", "d"]
    own, joined = (
        next(parse_rows([row], ParseReport(), answer_step=step)) for step in (True, False)
    )
    assert (own.steps, own.thoughts) == (("one", "two", "#### 5"), ("a", "b", "c\n\nd"))
    assert (joined.steps, joined.thoughts) == (("one", "two\n#### 5"), ("a", "b\n\nc\n\nd"))


@pytest.mark.parametrize(
    "answer",
    [
        "def f(x):\n    return x + 1",
        "```python\ndef f(x):\n    return x\n```",
        "Roses are red,\n  violets are blue.",
        "a\n```\nb\n```",
    ],
)
def test_an_answer_of_several_lines_keeps_them(answer: str) -> None:
    steps = with_answer(("one", "two"), answer, own_step=True)
    assert steps[:2] == ("one", "two") and len(steps) == 3
    assert final_answer("\n".join(steps)) == answer
    assert with_answer(steps, answer, own_step=True) == steps


def test_an_answer_of_several_lines_that_no_mark_holds_is_counted() -> None:
    report = ParseReport()
    rows = [
        {"problem": "p", "steps": ["one", "two"], "answer": answer}
        for answer in ("def f(x):\n    return x", "f(\n  x=1\n)", "[1,\n2]")
    ]
    found = list(parse_rows(rows, report, form=replace(DEFAULT, answer="boxed")))
    assert [t.answer for t in found] == ["f(\n  x=1\n)", "[1,\n2]"] and report.kept == 2
    assert report.dropped == {"an answer of several lines, which only `####` can mark": 1}


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("<reasoning>\nAdd 2.\nAdd 3.\n</reasoning>\n<answer>\n5\n</answer>\n", "5"),
        ("<reasoning>Add 2.\nAdd 3.</reasoning><answer>blue</answer>", "blue"),
        ("<start_working_out>Add 2.\nAdd 3.<end_working_out><SOLUTION>5</SOLUTION>", "5"),
    ],
)
@pytest.mark.parametrize("style", ["lines", "sentences"])
def test_reasoning_that_an_answer_alone_follows_is_the_solution(
    solution: str, answer: str, style: str
) -> None:
    row = {"problem": "p", "solution": solution}
    (found,) = parse_rows([row], ParseReport(), (style,), answer_step=True)
    assert found.steps == ("Add 2.", "Add 3.", f"#### {answer}") and found.thoughts == ()
    assert choose("auto", [row]).keeps["lines"] == 1


@pytest.mark.parametrize(
    "solution",
    [
        "<reasoning>Hm.\nWell.</reasoning>\nAdd 2.\nAdd 3.",
        "<reasoning>Hm.\nWell.</reasoning><answer>Add 2.\nAdd 3.</answer>",
        "<think>Hm.\nWell.</think>Add 2.\nAdd 3.",
    ],
)
def test_reasoning_before_a_solution_is_a_thought(solution: str) -> None:
    found = parsed_row(solution=solution)
    assert found.steps == ("Add 2.", "Add 3.") and found.thoughts == ("Hm.\nWell.", "")


def test_a_mark_of_ones_own_is_read_from_rows_and_taught() -> None:
    form = replace(DEFAULT, answer="Antwort: (.+)")
    rows = [
        {"problem": "4 * 4?", "solution": "Rechne.\n4 * 4 = 16\nAntwort: 16"},
        {"problem": "3 * 3?", "solution": "Rechne.\n3 * 3 = 9", "answer": "9"},
    ]
    marked, unmarked = parse_rows(rows, ParseReport(), form=form, answer_step=True)
    assert (marked.answer, marked.steps[-1]) == ("16", "Antwort: 16")
    assert (unmarked.answer, unmarked.steps[-1]) == ("9", "Antwort: 9")
