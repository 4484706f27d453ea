from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.arithmetic import wrong_equations
from srl_edge.data.trajectories import (
    ParseReport,
    cut_solution,
    load,
    numbered_steps,
    parse_rows,
    read_jsonl,
    write_jsonl,
)
from srl_edge.errors import InputError

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
    steps, answer = cut_solution("He has 48/2 = <<48/2=24>>24 clips.\n\nIn all 72.\n#### 72")
    assert steps == ["He has 48/2 = 24 clips.", "In all 72."]
    assert answer == "72"


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
    }
    assert load(write_jsonl(tmp_path / "t.jsonl", kept)) == kept


@pytest.mark.parametrize("steps", ["First add.\nThen stop.", 5, ["one", 2]])
def test_steps_must_be_a_list_of_texts(steps: object) -> None:
    report = ParseReport()
    assert not list(parse_rows([{"problem": "p", "steps": steps, "answer": "3"}], report))
    assert report.dropped == {"steps are no list of texts": 1}


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "p"}', encoding="utf-16")
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        list(read_jsonl(path))


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"problem": "p"}\n\n{"problem": oops}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl, line 3: not JSON"):
        list(read_jsonl(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_jsonl(tmp_path / "absent.jsonl"))


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
    ],
)
def test_only_sums_that_can_be_judged_are_judged(text: str, wrong: list[str]) -> None:
    assert wrong_equations(text) == wrong
