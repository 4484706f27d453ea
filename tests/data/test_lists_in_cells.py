"""Lists that a table of text holds: answers, steps and choices as somebody's library wrote them."""

from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.formats import rows_of
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.data.values import as_list
from srl_edge.method.verifiers import is_correct, same_value


def rows(folder: Path, *cells: str) -> list[dict[str, Any]]:
    quoted = "\t".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    (folder / "rows.tsv").write_text(f"problem\tsolution\tanswer\n{quoted}\n")
    return list(rows_of(folder / "rows.tsv"))


@pytest.mark.parametrize(
    ("cell", "answer"),
    [("['5']", "5"), ('["5"]', "5"), ("['$x+1$']", "x+1"), ("['2.50']", "2.50")],
)
def test_a_list_of_one_answer_is_the_answer(tmp_path: Path, cell: str, answer: str) -> None:
    (found,) = parse_rows(rows(tmp_path, "q", "a.\nb.", cell), ParseReport(), answer_step=True)
    assert found.answer == answer and found.steps[-1] == f"#### {answer}"


def test_a_list_of_several_answers_is_counted(tmp_path: Path) -> None:
    report = ParseReport()
    assert not list(parse_rows(rows(tmp_path, "q", "a.\nb.", "['3', '5']"), report))
    assert report.dropped == {"an answer that is a list or an object": 1}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('["27"]', "27"),
        ("['27']", "27"),
        ("[27]", "[27]"),
        ("['1', '1']", "['1', '1']"),
        ('["\\\\frac{3}{4}", "0.75"]', "\\frac{3}{4}"),
        *((nothing, None) for nothing in ("N/A", "nan", "null", "None", "[]")),
    ],
)
def test_a_text_is_the_same_answer_in_every_format(
    tmp_path: Path, text: str, answer: str | None
) -> None:
    row = {"problem": "q", "solution": "a.\nb.", "answer": text}
    for given in ([row], rows(tmp_path, *row.values())):
        (found,) = parse_rows(given, ParseReport(), answer_step=True)
        assert found.answer == answer
        assert found.steps == ("a.", "b.", *([f"#### {answer}"] if answer else []))


@pytest.mark.parametrize("text", ["['x']", '["a", "b"]', "None"])
def test_a_text_that_the_solution_states_is_the_answer_as_it_stands(text: str) -> None:
    row = {"problem": "q", "solution": f"It is sorted.\nThen printed.\n#### {text}", "answer": text}
    (found,) = parse_rows([row], ParseReport())
    assert found.answer == text


@pytest.mark.parametrize("cell", ["[1, 2]", "[0, 5)", "[a]", "[[1, 0], [0, 1]]", "[x] is it"])
def test_what_is_no_list_of_texts_stays(tmp_path: Path, cell: str) -> None:
    (found,) = parse_rows(rows(tmp_path, "q", "a.\nb.", cell), ParseReport())
    assert found.answer == cell


@pytest.mark.parametrize("text", ["[5]", "[-2.5]", "['1', '1']", "['x', 'y', 'x']"])
def test_a_list_that_code_gives_is_right_as_it_stands(text: str) -> None:
    row = {"problem": "q", "solution": "a.\nb.", "answer": text}
    (found,) = parse_rows([row], ParseReport(), answer_step=True)
    assert found.answer == text and is_correct(f"\\boxed{{{text}}}", text)
    assert not any(same_value(other, text) for other in ("7", "[]", "[5, 5]", "['1']", "x, y"))


@pytest.mark.parametrize("value", ["5", "-2.5", "0"])
def test_of_a_list_of_one_number_the_number_is_right_too(value: str) -> None:
    assert same_value(value, f"[{value}]") and same_value(f"[{value}]", f"[{value}]")
    assert not same_value("7", f"[{value}]") and not same_value(f"[{value}, 7]", f"[{value}]")
    assert not same_value(f"{value}, {value}", f"[{value}]")


def test_an_empty_list_is_no_answer(tmp_path: Path) -> None:
    (found,) = parse_rows(rows(tmp_path, "q", "a.\nb.", "[]"), ParseReport())
    assert found.answer is None and found.steps == ("a.", "b.")


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("['First, 2.' 'Then 3.']", ["First, 2.", "Then 3."]),
        ("['First.'\n 'Then.'\n 'End.']", ["First.", "Then.", "End."]),
        ('["It\'s 2." "Then 3."]', ["It's 2.", "Then 3."]),
        ("""['He said "a" "b".']""", ['He said "a" "b".']),
        ("['a', 'b']", ["a", "b"]),
    ],
)
def test_an_array_of_numpy_has_its_texts_one_by_one(cell: str, texts: list[str]) -> None:
    assert as_list(cell) == texts


@pytest.mark.parametrize("cell", ["[3x, 2]", "[5\\%]", "[1if 2 else 3]"])
def test_a_text_that_is_no_list_is_not_warned_of(
    cell: str, recwarn: pytest.WarningsRecorder
) -> None:
    as_list(cell)
    assert not recwarn.list
