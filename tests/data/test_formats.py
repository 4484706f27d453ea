"""Files of every format give the same rows, and broken ones one sentence."""

import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.formats import rows_of
from srl_edge.data.shapes import fields
from srl_edge.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"problem": 'Say "one", then two; three\tfour.', "solution": "a\nb", "answer": "1,000"},
    {"problem": "ü × 中", "solution": "c" * 200_000, "answer": None},
]


def written_csv(path: Path, delimiter: str, mark: str = "") -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(mark)
        table = csv.writer(out, delimiter=delimiter)
        table.writerow(ROWS[0])
        table.writerows(row.values() for row in ROWS)
    return path


def written(path: Path, form: str) -> Path:
    match form:
        case "jsonl":
            path.write_text(
                "\ufeff" + "\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8"
            )
        case "array" | "indented":
            path.write_text(
                json.dumps(ROWS, indent=2 if form == "indented" else None), encoding="utf-8"
            )
        case "parquet":
            pyarrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        case "with an index":  # as pandas writes a table
            first, *lines = written_csv(path, ",").read_bytes().split(b"\r\n")[:-1]
            path.write_bytes(b"\r\n".join([b"," + first, *(b"7," + line for line in lines)]))
        case _:
            written_csv(path, form, "\ufeff")
    return path


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("rows.jsonl", "jsonl"),
        ("rows.json", "jsonl"),
        ("rows.ndjson", "jsonl"),
        ("rows.txt", "jsonl"),
        ("rows.json", "array"),
        ("rows.json", "indented"),
        ("rows.csv", ","),
        ("rows.csv", ";"),
        ("rows.csv", "\t"),
        ("rows.TSV", "\t"),
        ("rows.csv", "with an index"),
        ("rows.parquet", "parquet"),
    ],
)
def test_every_format_gives_the_same_rows(name: str, form: str, tmp_path: Path) -> None:
    assert list(rows_of(written(tmp_path / name, form))) == ROWS


@pytest.mark.parametrize("between", ["\n", "", ",\n", "\n\n"])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_objects_over_several_lines_are_rows(name: str, between: str, tmp_path: Path) -> None:
    spread = [json.dumps(row, indent=2) for row in ROWS]
    hand = '{"problem": "a",\n "steps": [\n"b", "c"]}'
    (tmp_path / name).write_text("\ufeff" + between.join([*spread, hand]), encoding="utf-8")
    assert list(rows_of(tmp_path / name)) == [*ROWS, {"problem": "a", "steps": ["b", "c"]}]


def test_some_objects_may_take_a_line_and_others_several(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"a": 1}\n{\n  "a": 2\n}\n{"a": 3}\n{\n"a": 4\n}\n')
    assert [row["a"] for row in rows_of(tmp_path / "rows.json")] == [1, 2, 3, 4]


def test_cells_of_csv_are_texts_but_for_whole_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b,c,d\n12.0,12,1.50,\n-3.00,,\n\n")
    assert list(rows_of(file)) == [
        {"a": 12, "b": "12", "c": "1.50", "d": None},
        {"a": -3, "b": None, "c": None},
    ]


def test_lists_and_numbers_come_out_of_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"steps": ["a", "b"], "answer": 3.0}, {"steps": None, "answer": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert list(rows_of(tmp_path / "rows.parquet")) == rows


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("a.csv", b"What is 1 + 1?,2\nWhat is 2 + 2?,4\n", "first line is no header, since 'What"),
        ("a.csv", b"3,4\n5,6\n", "since '3' names no column; .* such as problem,solution,answer"),
        ("a.csv", b"problem,,answer\n", "since '' names no column"),
        ("a.csv", b"a,b,a\n", "two columns are named 'a'"),
        ("a.csv", b"a,b\n1,2,3\n", "a.csv, line 2: 3 cells, and the first line names 2 columns"),
        ("a.csv", b'a,b\n"1,2\n', r"a\.csv, line 2: not CSV \(unexpected end of data\)"),
        ("a.tsv", b'a\tb\nx\ty\n"Hi" he said\tb\n', "line 3: not CSV .* its own twice, or save"),
        ("a.csv", b'a,b\n"Hi" he said,b\n', "line 2: not CSV .*; put a cell that has a quote in"),
        ("a.csv", "a,b\n1,ü\n".encode("latin-1"), "not UTF-8"),
        ("a.json", b"[1, 2]", "an array of objects is needed"),
        ("a.json", b"[{", "not JSON"),
        (
            "a.json",
            b'{\n "a": 1\n}\n{\n "a": \n}',
            r"line 6: not JSON \(Expecting value\); .* as one",
        ),
        ("a.json", b'{\n "a": 1\n}\n]', "line 4: not JSON"),
        ("a.json", b'{\n "a": 1\n}\n7', "line 4: no object"),
        ("a.json", b'{\n "a": 1', "line 2: not JSON"),
        ("a.json", b'{\n "a": ' + b"[" * 99_999, "line 1: nested too deeply"),
        ("a.json", b'{\n "a": ' + b"1" * 9_999 + b"}", "line 1: a number of thousands of digits"),
        ("a.json", b'{\n "a": "\xff"}', "not UTF-8"),
        ("a.jsonl", b"3\n", "line 1: a JSON object is needed"),
        (
            "a.xlsx",
            b"PK\x03\x04",
            r"a\.xlsx: no format that is read; .* in \.jsonl, .* or \.p",
        ),
        ("a.parquet", b"PAR1 and no more", "not Parquet, or cut off"),
        ("a.parquet", b"", "not Parquet, or cut off"),
    ],
)
def test_a_broken_file_is_one_sentence(
    name: str, contents: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(contents)
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=message) as caught:
        list(rows_of(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_parquet_that_was_cut_off_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.parquet", "parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.parquet: not Parquet, or cut off"):
        list(rows_of(file))


def test_parquet_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "rows.parquet", "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="comes with datasets: pip install datasets; or save it"):
        list(rows_of(file))


def test_a_file_that_is_not_there_is_named_by_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/x.csv: no such file"):
        rows_of(tmp_path / "x.csv")


def test_damaged_parquet_is_one_sentence_or_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.parquet", "parquet")
    sound, refused = file.read_bytes(), 0
    for number in range(200):
        draw = random.Random(number)
        data = bytearray(sound)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data))
            data[at : at + draw.randrange(9)] = draw.randbytes(draw.randrange(4))
        file.write_bytes(data)
        try:
            list(rows_of(file))
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize(
    "whole",
    [
        {"data": ROWS},
        {"train": ROWS},
        {"version": "1.1", "about": {"by": "me"}, "items": ROWS, "tags": ["a", "b"]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_in_the_only_list_of_an_object_are_read(
    tmp_path: Path, whole: dict[str, Any], indent: int | None
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(whole, indent=indent))
    assert list(rows_of(tmp_path / "rows.json")) == ROWS


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": "5"}]},
        {"problem": "p", "steps": [{"text": "a"}]},
        {"train": ROWS, "test": ROWS},
        {"data": ["a", "b"]},
        {"other": {"x": 1}},
    ],
)
def test_a_single_row_stays_one(tmp_path: Path, row: dict[str, Any]) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(row))
    assert list(rows_of(tmp_path / "rows.json")) == [row]


@pytest.mark.parametrize("names", [("1", "2"), ("a/1", "a/2"), ("7", "problem")])
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_by_their_ids_are_read(
    tmp_path: Path, names: tuple[str, ...], indent: int | None
) -> None:
    rows = [ROWS[0], {"problem": "a", "steps": ["b", "c"]}]
    whole = dict(zip(names, rows, strict=True))
    (tmp_path / "rows.json").write_text(json.dumps(whole, indent=indent))
    named = [{"id": name, **row} for name, row in whole.items()]
    assert list(rows_of(tmp_path / "rows.json")) == named
    own = {name: {"id": "mine", **row} for name, row in whole.items()}
    (tmp_path / "rows.json").write_text(json.dumps(own, indent=indent))
    assert list(rows_of(tmp_path / "rows.json")) == list(own.values())


@pytest.mark.parametrize(
    "table",
    [
        {"problem": {"0": "p", "1": "q"}, "answer": {"0": 1, "1": 2}},
        {"problem": {"7": "p"}, "solution": {"7": "a"}},
        {"columns": ["problem"], "index": [0], "data": [["p"]]},
        {"problem": ["p", "q"], "answer": ["a", "b"]},
        {"frage": ["p"], "antwort": [3]},
        {"train": {"problem": ["p", "q"], "answer": [1, None]}},
    ],
)
def test_a_table_in_one_object_is_refused_with_the_way_out(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match='orient="records"'):
        list(rows_of(tmp_path / "rows.json"))


@pytest.mark.parametrize("nothing", ["nan", "NaN", "N/A", "None", "NULL", "<NA>", ""])
def test_cells_that_say_that_they_are_empty_are_none(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "rows.csv").write_text(f"problem,answer\np,{nothing}\nq,Nancy\n")
    assert [row["answer"] for row in rows_of(tmp_path / "rows.csv")] == [None, "Nancy"]


def test_short_floats_are_the_numbers_that_were_written(tmp_path: Path) -> None:
    pyarrow, parquet = map(pytest.importorskip, ("pyarrow", "pyarrow.parquet"))
    numbers = [0.1, 12345.1, -2.5, 1 / 1024, 3.0, None, 1e20]
    for kind in (pyarrow.float32(), pyarrow.float64()):
        column = pyarrow.array(numbers, kind)
        parquet.write_table(pyarrow.table({"answer": column}), tmp_path / "rows.parquet")
        assert [row["answer"] for row in rows_of(tmp_path / "rows.parquet")] == numbers


def test_steps_of_prm800k_are_read_from_a_table(tmp_path: Path) -> None:
    pyarrow, parquet = map(pytest.importorskip, ("pyarrow", "pyarrow.parquet"))
    by_hand = {"completions": None, "human_completion": {"text": "b"}, "chosen_completion": None}
    chosen = {"completions": [{"text": "a"}], "human_completion": None, "chosen_completion": 0}
    row = {
        "question": {"problem": "p", "ground_truth_answer": "5"},
        "label": {"finish_reason": "solution", "steps": [chosen, by_hand]},
    }
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "rows.parquet")
    assert [fields(row).steps for row in rows_of(tmp_path / "rows.parquet")] == [["a", "b"]]
