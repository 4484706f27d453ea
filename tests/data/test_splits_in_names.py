"""Splits that are a part of the names of files, of folders and of lists in a file."""

import json
from pathlib import Path

import pytest

from srl_edge.data.generate import problems_of
from srl_edge.data.sources import open_source, part_of
from srl_edge.data.stage import prepare
from srl_edge.devices.bench.tasks import problems
from srl_edge.errors import InputError
from srl_edge.recipe import Recipe

WORDS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")


def row(name: str, word: str = "ant") -> dict[str, str]:
    told = f"What does the {word} of {name} eat?"
    return {"question": told, "answer": f"The {word} is hungry.\nIt eats 4.\n#### 4"}


def fill(folder: Path, names: tuple[str, ...]) -> str:
    """Write files that ask after their own names; return the folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row(name, word)) + "\n" for word in WORDS))
    return str(folder)


FOLDERS = [
    ("phase1_train.jsonl", "phase2_train.jsonl", "phase1_test.jsonl", "phase2_test.jsonl"),
    ("riddles-train.jsonl", "riddles-test.jsonl", "riddles-dev.jsonl"),
    ("Riddles.Train.jsonl", "Riddles.Test.jsonl", "Riddles.Valid.jsonl"),
    ("riddles_train/a.jsonl", "riddles_train/b.jsonl", "riddles_test/a.jsonl"),
    ("train-00000-of-00002-5f0c.jsonl", "train-00001-of-00002-ab12.jsonl", "test-0-9c.jsonl"),
    ("easy/train_v2.jsonl", "hard/train_v2.jsonl", "easy/test_v2.jsonl", "hard/eval_v2.jsonl"),
]


def used(folder: str, *names: str) -> list[str]:
    tables = open_source(folder).chosen(names)
    return [Path(table.where).relative_to(folder).as_posix() for table in tables]


@pytest.mark.parametrize("names", FOLDERS)
def test_files_of_other_splits_are_not_mixed_in(names: tuple[str, ...], tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", names)
    train = sorted(name for name in names if "train" in name.lower())
    test = sorted(name for name in names if "test" in name.lower())
    assert used(folder, "train") == train
    assert used(folder, "test", "train") == test
    asked = [t.where for t in part_of(open_source(folder), "test", "test")]
    assert asked == [str(Path(folder, name)) for name in test]
    assert {p.problem for p in problems("mine", folder)} == {
        row(name, word)["question"] for name in test for word in WORDS
    }
    assert len(problems_of(folder, None, 0)) == len(train) * len(WORDS)


@pytest.mark.parametrize(
    ("names", "train"),
    [
        (("a.jsonl", "b.jsonl"), ("a.jsonl", "b.jsonl")),
        (("more.jsonl", "my_test.jsonl"), ("more.jsonl", "my_test.jsonl")),
        (("contest.jsonl", "trainers.jsonl"), ("contest.jsonl", "trainers.jsonl")),
        (("train-test-splits.jsonl", "b.jsonl"), ("b.jsonl", "train-test-splits.jsonl")),
        (("train.jsonl", "my_train.jsonl", "my_test.jsonl"), ("train.jsonl",)),
        (("train/my_test.jsonl", "test/my_train.jsonl"), ("train/my_test.jsonl",)),
        (("train/algebra/1.jsonl", "test/algebra/1.jsonl"), ("train/algebra/1.jsonl",)),
        (
            ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "test-00000-of-1.jsonl"),
            ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"),
        ),
    ],
)
def test_names_of_their_own_come_first_and_folders_without_a_split_are_read_whole(
    names: tuple[str, ...], train: tuple[str, ...], tmp_path: Path
) -> None:
    assert used(fill(tmp_path / "set", names), "train") == list(train)


def test_lists_of_one_file_have_splits_in_their_names(tmp_path: Path) -> None:
    lists = {name: [row(name)] for name in ("riddles_test", "riddles_train", "riddles_dev")}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(lists))
    source = open_source(str(path))
    assert [table.names[0] for table in source.chosen(("train",))] == ["riddles_train"]
    assert [table.names[0] for table in part_of(source, "dev", "validation")] == ["riddles_dev"]
    with pytest.raises(InputError, match=r"there is no 'val': .* has riddles_test, riddles_train"):
        part_of(source, "val", "validation")


def test_files_that_are_not_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "set", FOLDERS[0])
    recipe = Recipe.model_validate(
        {
            "output": "x",
            "model": {"name": "m"},
            "stages": [{"kind": "sft", "steps": 1}],
            "data": {"source": folder, "validation_problems": 2, "test_problems": 2},
        }
    )
    report = json.loads((prepare(recipe, tmp_path / "run") / "report.json").read_text())
    assert report["read"] == report["kept"] == 2 * len(WORDS)
    assert [Path(name).name for name in report["unused"]] == list(sorted(FOLDERS[0]))[::2]
    assert "not used: " in capsys.readouterr().err
