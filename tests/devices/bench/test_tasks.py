"""Problems of public test sets in their own formats, and of one's own files."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.hub import HubName, read_name
from srl_edge.devices.bench import tasks
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory

GSM8K = {
    "question": "Tom has 3 apples and eats 1.\nHow many?",
    "answer": "He has 3-1=<<3-1=2>>2 left.\nSo 2.\n#### 2",
}
SVAMP = {
    "ID": "chal-7",
    "Body": "There are 8 boxes of 4 pens",
    "Question": "How many pens?",
    "Answer": 32.0,
}
MATH = {
    "unique_id": "test/algebra/1.json",
    "problem": "Solve $x^2=4$ for positive $x$.",
    "solution": "Roots are $\\pm 2$.\n\nSo $x=\\boxed{2}$.",
    "answer": "2",
}
AIME = {"id": 60, "problem": "Find $n$.", "answer": 204}
OWN = {"problem": "1 + 1?", "steps": ["1 + 1 = 2.", "#### 2"], "answer": "2"}

CHAT = {
    "messages": [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "1 + 1 = 2.\nSo 2.\n#### 2"},
    ]
}


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        (
            "gsm8k",
            GSM8K,
            Trajectory("gsm8k-0", GSM8K["question"], ("He has 3-1=2 left.", "So 2."), "2"),
        ),
        (
            "svamp",
            SVAMP,
            Trajectory("chal-7", "There are 8 boxes of 4 pens. How many pens?", (), "32"),
        ),
        (
            "math500",
            MATH,
            Trajectory(
                "test/algebra/1.json",
                MATH["problem"],
                ("Roots are $\\pm 2$.", "So $x=\\boxed{2}$."),
                "2",
            ),
        ),
        ("aime24", AIME, Trajectory("60", "Find $n$.", (), "204")),
        ("mine", OWN, Trajectory("mine-0", "1 + 1?", ("1 + 1 = 2.", "#### 2"), "2")),
        ("mine", CHAT, Trajectory("mine-0", "1 + 1?", ("1 + 1 = 2.", "So 2."), "2")),
    ],
)
@pytest.mark.parametrize("array", [False, True])
def test_rows_of_each_kind(
    task: str, row: dict[str, Any], expected: Trajectory, array: bool, tmp_path: Path
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([row, row] if array else row) + "\n")
    assert tasks.problems(task, file, 1) == [expected]


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("gsm9k", None, "task 'gsm9k' is not known; choose from gsm8k, "),
        (
            "mine",
            '{"text": "no"}',
            r"no known shape, since no problem text is found in their columns \(text\); name",
        ),
        ("mine", "[{", r"rows\.json: not JSON \(.* line 1"),
        ("mine", "", "rows.json: no rows in it"),
    ],
)
def test_a_mistake_is_one_sentence(
    task: str, text: str | None, message: str, tmp_path: Path
) -> None:
    file = None
    if text is not None:
        file = tmp_path / "rows.json"
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        tasks.problems(task, file)


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(tasks.TASKS, "gsm8k", "hf:nobody/no-such-dataset::test")
    with pytest.raises(
        InputError, match=r"task gsm8k: hf:nobody/no-such-dataset::test: cannot be read"
    ):
        tasks.problems("gsm8k")


def test_rows_follow_the_rules_of_training_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [
        {"problem": "p", "answer": ["3"]},
        {"problem": "p", "answer": float("nan")},
        {"problem": "p\ud800", "answer": "3"},
        {"problem": "p", "answer": 2e-05},
        {"problem": "p", "solution": "so \\boxed{4}"},
        {"id": 7, "problem": "p", "answer": "1"},
        {"id": 7, "problem": "q", "answer": "1"},
        {"problem": "p", "answer": [1, 2]},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows))
    found = tasks.problems("mine", file)
    assert [t.answer for t in found] == ["3", "0.00002", "4", "1", "1"]
    assert len({t.id for t in found}) == len(found)
    assert "3 rows of" in (said := capsys.readouterr().err) and "1 for no answer" in said
    assert len(tasks.problems("mine", file, 2)) == 2


def test_rows_come_through_the_same_doors_as_training_data(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"frage": "no", "wert": 1}) + "\n")
    (tmp_path / "test.csv").write_text("frage,wert\n1 + 1?,2.0\n2 + 2?,\n")
    columns = {"problem": "frage", "answer": "wert"}
    expected = [Trajectory("mine-0", "1 + 1?", (), "2")]
    assert tasks.problems("mine", tmp_path / "test.csv", None, columns) == expected
    assert tasks.problems("mine", tmp_path, None, columns) == expected  # of a folder, its test part
    with pytest.raises(InputError, match=r"--columns: \S*test\.csv has no column 'answer' for the"):
        tasks.problems("mine", tmp_path, None, {"problem": "frage", "answer": "answer"})
    with pytest.raises(InputError, match=r"\(frage, wert\); name .* in --columns"):
        tasks.problems("mine", tmp_path)


def test_every_task_names_a_split_of_the_hub() -> None:
    names = {task: read_name(name) for task, name in tasks.TASKS.items()}
    assert all(name.split in ("test", "train") for name in names.values())
    assert names["gsm8k"] == HubName("openai/gsm8k", None, "main", "test")
    assert names["svamp"].config is None
