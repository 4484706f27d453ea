"""Problems are kept by how often the untrained model solves them, and each is asked once."""

import json
from pathlib import Path

import pytest

from srl_edge.data.stage import prepare
from srl_edge.errors import InputError
from srl_edge.recipe import Recipe
from srl_edge.run_folder import settings_of
from srl_edge.trainers.loop.difficulty import solved_counts
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD


def recipe_of(folder: Path, *keep: str, k: int = 4) -> Recipe:
    rows = [
        {"problem": f"problem {name}", "steps": ["one", "two"], "answer": "3"}
        for name in "abcdefghijkl"
    ]
    rows.append({"problem": "problem without", "steps": ["one", "two"]})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Recipe.model_validate(
        {
            "output": str(folder / "run"),
            "model": {"name": "none"},
            "data": {
                "source": str(folder / "rows.jsonl"),
                "validation_problems": 1,
                "test_problems": 1,
                "difficulty": {"keep": keep, "k": k},
            },
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )


def test_training_problems_are_kept_by_how_often_they_are_solved(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "never", "sometimes")
    recipe.run.mkdir()
    asked: list[str] = []

    def solved(problems):  # type: ignore[no-untyped-def]
        asked.extend(t.problem for t in problems)
        return [(0, 4, 2)[i % 3] for i, _ in enumerate(problems)]

    prepare(recipe, recipe.run, solved)
    report = json.loads((recipe.run / "data" / "report.json").read_text())
    count = len(asked)
    assert "problem without" not in asked and 9 <= count <= 11
    assert report["splits"]["train"]["problems"] == count - (count + 1) // 3
    assert report["dropped"]["a problem that is always solved"] == (count + 1) // 3
    assert sum(report["difficulty"].values()) == count
    assert report["splits"]["test"]["problems"] == 1


def test_a_recipe_that_keeps_all_asks_nobody(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    recipe.run.mkdir()
    prepare(recipe, recipe.run, lambda _: pytest.fail("asked"))
    assert "model.name" not in settings_of(recipe, "data")
    assert "model.name" in settings_of(recipe_of(tmp_path, "never"), "data")


def test_where_nothing_is_left_it_says_why(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "never")
    recipe.run.mkdir()
    with pytest.raises(InputError, match=r"the train split is empty .*always solved"):
        prepare(recipe, recipe.run, lambda problems: [4] * len(problems))


def test_each_problem_is_asked_once_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    from srl_edge.method.types import Trajectory

    recipe = recipe_of(tmp_path, "never")
    problems = [Trajectory(str(i), f"problem {i}", ("one",), "3") for i in range(6)]
    model, policy = tmp_path / "model", TablePolicy([GOOD, BAD])
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    first = solved_counts(model, lambda: policy, recipe, problems[:4])
    assert policy.sampled == 16 and all(0 <= count <= 4 for count in first)
    both = solved_counts(model, lambda: policy, recipe, problems)
    assert both[:4] == first and policy.sampled == 24
    assert solved_counts(model, lambda: pytest.fail("opened"), recipe, problems) == both
    (model / "model.safetensors").write_bytes(b"others")
    solved_counts(model, lambda: policy, recipe, problems[:1])
    assert policy.sampled == 28
    other = recipe_of(tmp_path, "never", k=2)
    solved_counts(model, lambda: policy, other, problems[:1])
    assert policy.sampled == 30


def test_problems_are_asked_again_of_another_verifier_or_chat_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    from srl_edge.method.types import Trajectory

    recipe, policy = recipe_of(tmp_path, "never"), TablePolicy([GOOD, BAD])
    model, judge = tmp_path / "model", tmp_path / "judge.py"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    problems = [Trajectory("one", "problem", ("one",), "3")]
    asked = []

    def count(verifier: str) -> None:
        prompt = recipe.prompt.model_copy(update={"verifier": verifier})
        changed = recipe.model_copy(update={"prompt": prompt})
        solved_counts(model, lambda: policy, changed, problems)
        asked.append(policy.sampled // 4)

    count("auto")
    for text in ("def same(a, b): return False", "def same(a, b): return True"):
        judge.write_text(text)
        count(f"{judge}:same")
        count(f"{judge}:same")
    (model / "tokenizer_config.json").write_text('{"chat_template": "other"}')
    count(f"{judge}:same")
    assert asked == [1, 2, 2, 3, 3, 4]
