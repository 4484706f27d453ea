import json
from pathlib import Path

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


def test_too_few_rows_say_what_was_dropped(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"problem": "p", "steps": ["only one"]}\n')
    with pytest.raises(InputError, match="fewer than two steps"):
        prepare(make_recipe(source=str(source)), tmp_path)
    assert not (tmp_path / "data").exists()
