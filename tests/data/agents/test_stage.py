"""Tasks in worlds as a recipe's data."""

from pathlib import Path

import pytest

from srl_edge.data import trajectories
from srl_edge.data.agents import home_requests, shell_tasks
from srl_edge.data.stage import prepare
from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.recipe import Recipe


def recipe_of(run: Path, source: str, preset: str = "agent") -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": "none"},
            "prompt": {"preset": preset},
            "data": {
                "source": source,
                "agents": {"problems": 8},
                "validation_problems": 3,
                "test_problems": 4,
            },
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )


@pytest.mark.parametrize(
    ("source", "made"),
    [("agent-home", home_requests.problems), ("agent-shell", shell_tasks.problems)],
)
def test_splits_are_recorded_tasks(
    tmp_path: Path, source: str, made: object, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(tmp_path, source)
    folder = prepare(recipe, tmp_path)
    found = {n: trajectories.load(folder / f"{n}.jsonl") for n in ("train", "validation", "test")}
    assert {name: len(split) for name, split in found.items()} == {
        "train": 8,
        "validation": 3,
        "test": 4,
    }
    assert callable(made) and found["test"] == made("test", 4, 0)
    report = read_json(folder / "report.json", "DataReport")
    assert sum(report["families"]["train"].values()) == 8
    said = "commands are kept in their folder by" in capsys.readouterr().err
    assert said == (source == "agent-shell") == ("confinement" in report)


def test_another_way_of_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a step that says done; set prompt.preset = 'agent'"):
        prepare(recipe_of(tmp_path, "agent-home", "general"), tmp_path)
