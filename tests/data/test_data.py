import json
import re
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import trajectories
from srl_edge.data.arithmetic import wrong_equations
from srl_edge.data.splits import SPLITS
from srl_edge.data.stage import prepare
from srl_edge.errors import InputError
from srl_edge.recipe import Recipe


def make_recipe(**data: object) -> Recipe:
    return Recipe.model_validate(
        {
            "output": "x",
            "model": {"name": "m"},
            "stages": [{"kind": "sft", "steps": 1}],
            "data": data,
        }
    )


def test_gsm_symbolic_is_split_by_template_without_wrong_sums(tmp_path: Path) -> None:
    folder = prepare(make_recipe(rows_per_template=4, max_step_characters=160), tmp_path)
    splits = {name: trajectories.load(folder / f"{name}.jsonl") for name in SPLITS}
    templates = {n: {t.id.split("-")[1] for t in split} for n, split in splits.items()}
    assert not templates["train"] & templates["validation"]
    assert not (templates["train"] | templates["validation"]) & templates["test"]
    steps = [step for split in splits.values() for t in split for step in t.steps]
    assert not [s for s in steps if wrong_equations(s)] and max(map(len, steps)) <= 180
    assert all(t.answer and f"#### {t.answer}" in t.steps[-1] for t in splits["test"])
    report = json.loads((folder / "report.json").read_text())
    assert report["read"] == report["kept"] + sum(report["dropped"].values())
    assert report["kept"] == sum(map(len, splits.values()))
    assert any("wrong arithmetic" in reason for reason in report["dropped"])


def test_the_same_seed_gives_the_same_data(tmp_path: Path) -> None:
    recipe = make_recipe(rows_per_template=3)
    first, second = (prepare(recipe, tmp_path / name) for name in "ab")
    for name in SPLITS:
        assert (first / f"{name}.jsonl").read_bytes() == (second / f"{name}.jsonl").read_bytes()


def test_jsonl_is_split_by_problem(tmp_path: Path) -> None:
    rows = [{"problem": f"p{i % 20}", "steps": ["a", "b"], "answer": "1"} for i in range(24)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe = make_recipe(source=str(source), validation_problems=4, test_problems=6)
    folder = prepare(recipe, tmp_path)
    split = {
        name: [t.problem for t in trajectories.load(folder / f"{name}.jsonl")] for name in SPLITS
    }
    assert [len(split[name]) for name in SPLITS] == [10, 4, 6]
    assert len({p for problems in split.values() for p in problems}) == 20
    report = json.loads((folder / "report.json").read_text())
    assert report["dropped"] == {"the same problem twice": 4}


def gsm8k(numbers: range, text: str = "Q{0}") -> str:
    """Rows of GSM8K's shape, of which none is another's with other numbers."""
    words = {n: "".join("abcdefghij"[int(digit)] for digit in str(n)) for n in numbers}
    row = '{{"question": "{1}?", "answer": "a {0}\\nb\\n#### {0}"}}\n'
    return "".join(row.format(n, text.format(words[n])) for n in numbers)


def prepared(recipe: Recipe, run: Path) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The problems of each split, and the report."""
    folder = prepare(recipe, run)
    found = {name: trajectories.load(folder / f"{name}.jsonl") for name in SPLITS}
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {name: [t.problem for t in split] for name, split in found.items()}, report


def test_forty_rows_are_enough_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(gsm8k(range(40)))
    found, report = prepared(make_recipe(source=str(tmp_path / "rows.jsonl")), tmp_path)
    assert [len(found[name]) for name in SPLITS] == [32, 4, 4]
    assert report["shapes"] == {"GSM8K": 40} and report["style"]["used"] == {"lines": 40}
    found, _ = prepared(
        make_recipe(source=str(tmp_path / "rows.jsonl"), validation_problems=0.2, test_problems=6),
        tmp_path,
    )
    assert [len(found[name]) for name in SPLITS] == [26, 8, 6]


def test_splits_may_be_files_of_the_source_or_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(gsm8k(range(30)) + gsm8k(range(30, 31), "Take 5 {0}"))
    (folder / "dev.jsonl").write_text(gsm8k(range(28, 33)))
    (folder / "test.jsonl").write_text(gsm8k(range(40, 45)))
    own = tmp_path / "held.csv"
    own.write_text('Frage,Antwort\nTake 7 da?,"a\nb\n#### 7"\nOther?,"a\nb\n#### 8"\n')
    recipe = make_recipe(source=str(folder), validation="dev", test="test.jsonl")
    found, report = prepared(recipe, tmp_path)
    assert {name: len(split) for name, split in found.items()} == {
        "train": 29,
        "validation": 5,
        "test": 5,
    }
    assert report["dropped"] == {"a problem of a held-out split": 2}
    assert report["read"] == report["kept"] + 2 == 41 and report["unused"] == []
    columns = {"problem": "Frage", "answer": "Antwort"}
    with pytest.raises(InputError, match=r"train\.jsonl has no column 'Frage' for the problem; it"):
        prepare(make_recipe(source=str(folder), columns=columns), tmp_path)
    own.write_text(own.read_text().replace("Frage,Antwort", "question,answer"))
    recipe = make_recipe(source=str(folder), test=str(own), validation_problems=3, test_problems=1)
    found, report = prepared(recipe, tmp_path)
    assert [len(found[name]) for name in SPLITS] == [27, 3, 1]
    assert set(found["test"]) < {"Take 7 da?", "Other?"}
    assert report["dropped"]["more than data.test_problems"] == 1
    assert [Path(file).name for file in report["unused"]] == ["dev.jsonl", "test.jsonl"]
    assert "not used: " in capsys.readouterr().err


def test_thoughts_and_named_columns_come_through(tmp_path: Path) -> None:
    rows = [
        {"frage": f"{'x' * i}?", "weg": "<think>hm</think>\nFirst add. Then stop.", "lösung": i}
        for i in range(1, 9)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    columns = {"problem": "frage", "solution": "weg", "answer": "lösung"}
    recipe = make_recipe(source=str(tmp_path / "rows.json"), columns=columns)
    _, report = prepared(recipe, tmp_path)
    assert report["thoughts"] == report["kept"] == 8
    assert report["shapes"] == {"data.columns": 8} and report["style"]["used"] == {"sentences": 8}
    (first, *_) = trajectories.load(tmp_path / "data" / "validation.jsonl")
    assert first.steps == ("First add.", "Then stop.", f"#### {first.answer}")
    assert first.thoughts == ("hm", "", "")


def test_what_was_dropped_is_counted_with_three_examples(tmp_path: Path) -> None:
    rows = [{"problem": f"{'x' * i}", "solution": "a\nb"} for i in range(1, 11)]
    rows += [{"problem": f"{'y' * 500}{i}", "solution": "a"} for i in range(5)]
    rows += [{"problem": "", "solution": "a\nb\ud800"}]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, report = prepared(make_recipe(source=str(source)), tmp_path)
    assert report["dropped"] == {"fewer than two steps": 5, "no problem text": 1}
    few, empty = report["examples"]["fewer than two steps"], report["examples"]["no problem text"]
    assert len(few) == 3 and few[0].startswith('rows.jsonl, row 11: {"problem": "yyy')
    assert all(len(text) <= 201 for text in few)
    assert empty == [r'rows.jsonl, row 16: {"problem": "", "solution": "a\nb\ud800"}']


@pytest.mark.parametrize(("rows", "shown"), [(1990, False), (2010, True)])
def test_many_rows_show_how_far_they_are(
    rows: int, shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gsm8k.jsonl").write_text(gsm8k(range(rows)))
    kept, _ = prepared(make_recipe(source=str(tmp_path / "gsm8k.jsonl")), tmp_path)
    assert (f"data: rows: {rows}/{rows}" in capsys.readouterr().err) == shown
    assert sum(map(len, kept.values())) == rows


def test_a_style_of_the_recipe_is_the_one_that_cuts(tmp_path: Path) -> None:
    rows = [{"problem": "x" * i, "solution": "A b. C d.\n\nE f. G h."} for i in range(1, 13)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for style, steps in (("sentences", 4), ("paragraphs", 2), ("lines", 2)):
        recipe = make_recipe(source=str(source), style=style)
        _, report = prepared(recipe, tmp_path)
        assert report["style"]["used"] == {style: 12}
        assert report["splits"]["train"]["steps"] == 10 * steps
    with pytest.raises(InputError, match="none of 12 rows can be used; dropped: 12 for fewer t"):
        prepare(make_recipe(source=str(source), style="numbered"), tmp_path)


def test_too_few_rows_say_what_was_dropped(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"problem": "p", "steps": ["only one"]}\n')
    with pytest.raises(InputError, match="fewer than two steps"):
        prepare(make_recipe(source=str(source)), tmp_path)
    assert not (tmp_path / "data").exists()


def test_stories_are_held_out_by_setting_and_as_hard_as_asked(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "output": str(tmp_path / "run"),
            "model": {"name": "none"},
            "data": {
                "source": "stories",
                "stories": {"problems": 24, "events": 2, "largest": 12},
                "validation_problems": 6,
                "test_problems": 8,
            },
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )
    recipe.run.mkdir()
    folder = prepare(recipe, recipe.run)
    load = trajectories.load
    found = {name: load(folder / f"{name}.jsonl") for name in ("train", "validation", "test")}
    assert {name: len(split) for name, split in found.items()} == {
        "train": 24,
        "validation": 6,
        "test": 8,
    }
    things = {name: {t.id.partition("/")[0] for t in split} for name, split in found.items()}
    assert not things["train"] & things["test"] and not things["train"] & things["validation"]
    for t in (t for split in found.values() for t in split):
        assert len(t.steps) == 3 and t.steps[-1] == f"#### {t.answer}"
        assert all(int(n) <= 12 for step in t.steps for n in re.findall(r"\d+", step))
    again = prepare(recipe, recipe.run)
    assert load(again / "train.jsonl") == found["train"]


def test_solutions_that_no_attempt_can_finish_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"problem": f"Add {n}.", "steps": [f"step {i}" for i in range(9 + n % 4)], "answer": n}
        for n in range(24)
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {"source": str(source), "validation_problems": 2, "test_problems": 2}
    prepare(make_recipe(**splits), tmp_path / "run")
    # An answer of its own is a step, too.
    said = "24 of 24 solutions have more than stages.max_steps = 8 steps (the longest: 13)"
    assert said in capsys.readouterr().err
    for stage in ({"max_steps": 13}, {"reply": "whole"}):
        stages = {0: stage}
        prepare(make_recipe(**splits).changed(stages=stages), tmp_path / f"{len(stage)}{stage}")
        assert "stages.max_steps" not in capsys.readouterr().err
