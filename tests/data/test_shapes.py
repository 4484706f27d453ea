"""Rows of every shape that is known, of chats of every kind, and with columns of any names."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.reading import columns_for
from srl_edge.data.sources import open_source
from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport, load, parse_rows, write_jsonl
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory
from tests.helpers.rows import ROWS


def parsed(row: dict[str, Any], **how: Any) -> tuple[Trajectory | None, ParseReport]:
    report = ParseReport()
    found = list(parse_rows([row], report, form=None, **how))
    return (found[0] if found else None), report


@pytest.mark.parametrize("shape", ROWS)
def test_a_row_of_each_shape_is_recognized_and_read(shape: str, tmp_path: Path) -> None:
    row, expected = ROWS[shape]
    found, report = parsed(row)
    assert found == expected
    assert report.shapes == {shape.removesuffix(", metadata"): 1}
    assert load(write_jsonl(tmp_path / "t.jsonl", [expected])) == [expected]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "hub"])
@pytest.mark.parametrize("shape", ROWS)
def test_a_row_of_each_shape_is_the_same_out_of_a_file(
    shape: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, expected = ROWS[shape]
    name = str(tmp_path / f"train.{form}")
    if form == "jsonl":
        Path(name).write_text(json.dumps(row) + "\n", encoding="utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "train.parquet")
    if form == "hub":
        datasets = pytest.importorskip("datasets")
        datasets.disable_progress_bars()
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        name = f"hf:{tmp_path}"
    (table,) = open_source(name).chosen(("train",))
    assert list(parse_rows(table.rows(None), ParseReport(), form=None)) == [expected]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": {"steps": [], "finish_reason": "found_error"}}, "did not come to its end"),
        ({"label": {"steps": [{}], "finish_reason": "solution"}}, "none is chosen"),
        ({"label": {"steps": 5, "finish_reason": "solution"}}, "none is chosen"),
    ],
)
def test_solutions_of_prm800k_that_are_none_are_dropped(change: dict[str, Any], why: str) -> None:
    found, report = parsed(ROWS["PRM800K"][0] | change)
    assert found is None and why in next(iter(report.dropped))


def test_steps_that_are_labelled_wrong_are_dropped() -> None:
    found, report = parsed(ROWS["TRL stepwise"][0] | {"labels": [True, False]})
    assert found is None and report.dropped == {"a solution with a step that is labelled wrong": 1}


def turn(who: str, text: Any, **more: str) -> dict[str, Any]:
    return {"role": who, "content": text, **more}


@pytest.mark.parametrize(
    ("turns", "problem", "steps"),
    [
        # A greeting, several messages in a row, and what is asked after it.
        (
            [
                turn("assistant", "Hi."),
                turn("user", "Ann has 2."),
                turn("user", "And 3?"),
                turn("assistant", "a\nb"),
                turn("user", "Sure?"),
                turn("assistant", "c\nd"),
            ],
            "Ann has 2.\n\nAnd 3?",
            ("a", "b"),
        ),
        # A message in parts, as OpenAI's.
        (
            [
                turn("user", [{"type": "text", "text": "q"}, {"type": "text"}]),
                turn("assistant", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                turn("user", "Sure?"),
            ],
            "q",
            ("a", "b"),
        ),
        # A table of turns, a column each.
        ({"from": ["human", "gpt"], "value": ["q", "a\nb"]}, "q", ("a", "b")),
        # As a cell of CSV holds it.
        (json.dumps([turn("user", "q"), turn("assistant", "a\nb")]), "q", ("a", "b")),
        (
            "[{'role': 'user', 'content': 'q'}, {'role': 'assistant', 'content': 'a\\nb'}]",
            "q",
            ("a", "b"),
        ),
    ],
)
def test_the_first_exchange_of_a_chat_is_read(
    turns: Any, problem: str, steps: tuple[str, ...]
) -> None:
    found, report = parsed({"messages": turns})
    assert found and (found.problem, found.steps) == (problem, steps)
    more = isinstance(turns, list)
    said = "messages, the first exchange of several" if more else "messages"
    assert report.shapes == {said: 1}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": [turn("user", "q")]}, "no solution and no steps"),
        ({"messages": [turn("assistant", "a\nb")]}, "no problem text"),
        ({"messages": [turn("user", None), turn("assistant", "a\nb")]}, "no problem text"),
        ({"messages": [{"role": 5, "content": "q"}]}, "no problem text"),
        ({"messages": "no chat"}, "no problem text"),
        ({"conversations": [[["q"]]]}, "no problem text"),
        (
            {
                "prompt": [turn("user", "q"), turn("assistant", "a"), turn("user", "r")],
                "completion": [turn("assistant", "b\nc")],
            },
            "a completion of a chat of several questions",
        ),
    ],
)
def test_chats_without_use_are_dropped_with_their_reason(row: dict[str, Any], why: str) -> None:
    found, report = parsed(row)
    assert found is None and report.dropped == {why: 1}


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        (
            {"frage": "q", "lösung": "a\nb", "answer": "7"},
            {"problem": "frage", "solution": "lösung"},
            Trajectory("1", "q", ("a", "b")),
        ),
        (
            {"x": "q", "y": ["a", "b"], "z": 7.0, "t": ["one", ""]},
            {"problem": "x", "steps": "y", "answer": "z", "thought": "t"},
            Trajectory("1", "q", ("a", "b"), "7", ("one", "")),
        ),
        (
            {"x": "q", "y": "a\nb\n#### 7", "t": "one"},
            {"problem": "x", "answer": "y", "thought": "t"},
            Trajectory("1", "q", ("a", "b"), "7", ("one", "")),
        ),
        (
            {"x": "q", "y": "['a', 'b']"},
            {"problem": "x", "steps": "y"},
            Trajectory("1", "q", ("a", "b")),
        ),
        # Named columns alone count, whatever else the row looks like.
        (
            {"question": "no", "answer": "c\nd\n#### 8", "x": "q", "y": "a\nb"},
            {"problem": "x", "solution": "y"},
            Trajectory("1", "q", ("a", "b")),
        ),
    ],
)
def test_columns_of_any_names(
    row: dict[str, Any], columns: dict[str, str], expected: Trajectory
) -> None:
    found, report = parsed(row, columns=columns)
    assert found == expected and report.shapes == {"data.columns": 1}


@pytest.mark.parametrize("steps", [[3, 4.5, 0], ["3", "4.5", 0.0]])
def test_steps_may_be_numbers(steps: list[Any]) -> None:
    found, _ = parsed({"problem": "p", "steps": steps, "answer": 0})
    assert found == Trajectory("1", "p", ("3", "4.5", "0"), "0")


@pytest.mark.parametrize(
    ("row", "steps", "thoughts"),
    [
        ({"solution": "<think>t</think>a\nb"}, "a b", ("t", "")),
        ({"solution": "t\n</think>\na\nb"}, "a b", ("t", "")),
        ({"solution": "a\n<think>t</think>\nb"}, "a b", ("", "t")),
        ({"solution": "<think>s</think>\na\n<think>t\nu</think>\nb\n#### 5"}, "a b", ("s", "t\nu")),
        ({"solution": "a\nb\n<think>t</think>"}, "a b", ("", "t")),
        ({"solution": "1. a\n<think>t</think>\n2. b"}, "1. a|2. b", ("", "t")),
        ({"solution": "a\n#### 5\nb<think>t</think>"}, "a b", ("", "t")),
        ({"solution": "a <<1+1=2>>\n<<2=2>>b <thinking>t</thinking>c"}, "a|b c", ("", "t")),
        ({"solution": "a\nb", "thought": "<think>t</think>"}, "a b", ("t", "")),
        ({"solution": "<think>u</think>a\nb", "thought": "t"}, "a b", ("t\n\nu", "")),
        ({"steps": ["<think>t</think>a", "b"]}, "a b", ("t", "")),
        ({"steps": ["a", "<think>t</think>", "b"]}, "a b", ("", "t")),
        ({"steps": ["a", "b"], "thoughts": ["", "t"]}, "a b", ("", "t")),
        (
            {"steps": ["a", "<think>x</think>", "b"], "thoughts": ["s", "t", "u"]},
            "a b",
            ("s", "t\n\nx\n\nu"),
        ),
        ({"steps": ["a", "b"], "thought": ["s", "t", "u"]}, "a b", ("s\n\nt\n\nu", "")),
        ({"steps": ["a", "b"], "thought": "  "}, "a b", ()),
        ({"steps": ["a", "b"], "thoughts": [None, 5]}, "a b", ()),
    ],
)
def test_thoughts_stay_with_the_step_that_follows_them(
    row: dict[str, Any], steps: str, thoughts: tuple[str, ...]
) -> None:
    found, _ = parsed({"problem": "p", **row})
    assert found and " ".join(found.steps) == steps.replace("|", " ")
    assert found.thoughts == thoughts


def test_the_steps_of_an_answer_of_its_own_have_no_thought(tmp_path: Path) -> None:
    row = {"problem": "p", "solution": "<think>t</think>a\nb\n#### 5"}
    (found,) = parse_rows([row], ParseReport(), answer_step=True)
    assert found.steps == ("a", "b", "#### 5") and found.thoughts == ("t", "", "")
    file = write_jsonl(tmp_path / "t.jsonl", [found])
    assert json.loads(file.read_text())["thoughts"] == ["t", "", ""]
    assert load(file) == [found]


def source(folder: Path, **files: list[dict[str, Any]]) -> str:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("files", "columns", "message"),
    [
        (
            {"a": [{"x": 1}]},
            {"problem": "q"},
            r"data\.columns: \S*a\.jsonl has no column 'q' for the problem; it has x\.",
        ),
        (
            {"a": [{"text": "x", "n": 1}]},
            None,
            r"a\.jsonl: its rows are of no known shape, .*\(text, n\); name .* in data\.columns",
        ),
        (
            {"a": [{"question": "q", "answer": "a\nb\n#### 1"}], "b": [ROWS["messages"][0]]},
            None,
            r"a\.jsonl and \S*b\.jsonl are of different shapes: .* 'question' and 'messages'",
        ),
        ({"a": [{"problem": "q"}], "b": [{"text": "q"}]}, None, "'problem' and 'no known column'"),
        ({"a": []}, None, r"a\.jsonl: no rows in it"),
    ],
)
def test_sources_that_cannot_be_read_say_so_in_one_sentence(
    files: dict[str, list[dict[str, Any]]],
    columns: dict[str, str] | None,
    message: str,
    tmp_path: Path,
) -> None:
    tables = open_source(source(tmp_path / "rows", **files)).tables
    with pytest.raises(InputError, match=message) as caught:
        columns_for(tables, columns)
    assert "\n" not in str(caught.value)


def test_columns_of_another_source_count_where_they_are(tmp_path: Path) -> None:
    tables = open_source(source(tmp_path, a=[{"question": "q", "answer": "a\nb\n#### 1"}])).tables
    assert columns_for(tables, {"problem": "frage"}, "") is None
    assert columns_for(tables, {"problem": "question"}, "") == {"problem": "question"}


def reply(text: str) -> dict[str, Any]:
    asked = {"role": "user", "content": "What is 2 + 2, doubled?"}
    return {"messages": [asked, {"role": "assistant", "content": text}]}


TAGGED: list[tuple[str, list[str], str | None]] = [
    (
        "<think>Hm.</think>\n<answer>2 + 2 is 4.\nIt is 8.\n</answer>",
        ["2 + 2 is 4.", "It is 8."],
        None,
    ),
    (
        "<think>It goes into <answer> tags.</think><answer>2x = 8.\nSo x = \\boxed{4}.</answer>",
        ["2x = 8.", "So x = \\boxed{4}."],
        "4",
    ),
    ("2 + 2 is 4.\nIt is 8.\n<answer>8</answer>", ["2 + 2 is 4.", "It is 8."], "8"),
    ("2 + 2 is 4.\nIt is 8. <Answer> 8 apples </Answer>", ["2 + 2 is 4.", "It is 8."], "8 apples"),
    (
        "<solution>\n2 + 2 is 4.\nIt is 8.</solution> <answer>8</answer>",
        ["2 + 2 is 4.", "It is 8."],
        "8",
    ),
    ("<think>Hm.</think><answer>2 + 2 is 4.\nIt is 8.", ["2 + 2 is 4.", "It is 8."], None),
    (
        "So it is France.\nIts capital.\n<answer>Paris, which lies there</answer>",
        ["So it is France.", "Its capital.", "Paris, which lies there"],
        None,
    ),
    (
        "Write <answer>8</answer> there.\nThen stop.",
        ["Write <answer>8</answer> there.", "Then stop."],
        "8",
    ),
]


@pytest.mark.parametrize(("text", "steps", "answer"), TAGGED)
def test_tags_around_a_solution_or_its_answer_are_no_text(
    text: str, steps: list[str], answer: str | None
) -> None:
    found, _ = parsed(reply(text))
    assert found and list(found.steps) == steps and found.answer == answer


def test_a_thought_stays_where_it_was_when_tags_go() -> None:
    found, _ = parsed(reply("<answer>2 + 2 is 4.\n<think>Double it.</think>It is 8.</answer>"))
    assert found and found.thoughts == ("", "Double it.")


@pytest.mark.parametrize(
    "last", [["It is 8.\n<answer>8</answer>"], ["It is 8.", "<answer>8</answer>"]]
)
def test_the_answer_of_given_steps_is_no_step(last: list[str]) -> None:
    found, _ = parsed({"problem": "p", "steps": ["<answer>2 + 2 is 4.</answer>", *last]})
    assert found and found.steps == ("2 + 2 is 4.", "It is 8.") and found.answer == "8"


@pytest.mark.parametrize("mark", ["proof", "notfound", "Proof", "NotFound "])
@pytest.mark.parametrize(
    "columns", [None, {"problem": "problem", "solution": "solution", "answer": "answer"}]
)
def test_a_mark_of_no_answer_is_none(mark: str, columns: dict[str, str] | None) -> None:
    row = {"problem": "Show that ab is even.", "solution": "Let a = 2k.\nThen ab = 2kb."}
    row |= {"answer": mark, "question_type": "proof", "source": "olympiads"}
    found, _ = parsed(row, columns=columns)
    assert found and found.answer is None and found.steps == ("Let a = 2k.", "Then ab = 2kb.")


def test_a_solution_called_answer_is_cut_in_the_style_of_its_source() -> None:
    """Orca-Math's, of which most are one paragraph, beside one of several lines."""
    text = "There are 4 before him. With him it is 5. So 5 people ran."
    row = {"question": "How many ran?", "answer": text}
    assert parsed(row)[0] is None
    chosen = choose("auto", [row] * 3).styles
    found, _ = parsed(row, styles=chosen)
    assert found and len(found.steps) == 3 and found.answer is None
    same, _ = parsed({"question": row["question"], "solution": text}, styles=chosen)
    assert same and same.steps == found.steps
    value, _ = parsed({"question": "Who?", "answer": "The doctor of his town."}, styles=chosen)
    assert value is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"final_answer_correct": False, "label": 1}, "ends in a wrong answer"),
        ({"label": 0}, "a step that is labelled wrong"),
    ],
)
def test_wrong_solutions_of_processbench_are_dropped(change: dict[str, Any], why: str) -> None:
    row = {
        "problem": "p",
        "steps": ["2 + 2 is 4.", "So 8."],
        "final_answer_correct": True,
        "label": -1,
    }
    assert parsed(row)[0]
    _, report = parsed(row | change)
    assert why in report.reasons
