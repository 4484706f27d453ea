"""Run folders for the loop, and replies that it scores."""

import json
from pathlib import Path
from typing import Any

from srl_edge import owned
from srl_edge.data.trajectories import write_jsonl
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Data, Recipe
from srl_edge.run_folder import STAGES, begin, finish, inputs_of, outdated, outputs_of

GOOD = "<think>hm</think>\nadd 1 and 2 to get 3"


BAD = "<think>hm</think>\nzzz"


BROKEN = "add 1 and 2 to get 3"


def make_run(run: Path, **stage: Any) -> Recipe:
    (run / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        trajectories = [
            Trajectory(f"{split}-{i}", f"problem {i}", ("add 1 and 2 to get 3", "so 3"), "3")
            for i in range(12)
        ]
        write_jsonl(run / "data" / f"{split}.jsonl", trajectories)
    srl = {
        "kind": "srl",
        "steps": 8,
        "prompts_per_step": 4,
        "learning_rate": 0.02,
        "targets": "paper",
        "reward": {} if stage.get("kind") == "rlvr" else {"characters": 1.0},
    } | stage
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": "none"},
            "trainer": {"checkpoint_every": 2},
            "data": {"answer_step": False},
            "stages": [{"kind": "sft", "steps": 2, "learning_rate": 0.01, "targets": "paper"}, srl],
        }
    )


def rows(run: Path, name: str = "metrics") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "train" / f"{name}.jsonl").open()]


def noted_run(folder: Path) -> Recipe:
    """A run whose stages are all noted as done."""
    recipe = make_run(folder / "run")
    source = folder / "source.jsonl"
    source.write_text("{}\n")
    recipe = recipe.model_copy(update={"data": Data(source=str(source))})
    for name in STAGES:
        for output in outputs_of(recipe, name):
            file = recipe.run / output
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text() if file.is_file() else ""
            file.unlink(missing_ok=True)
            owned.write(file, text)
    for name in STAGES:
        begin(recipe, name)
        finish(recipe, name, inputs_of(recipe, name))
    assert [outdated(recipe, name) for name in STAGES] == [None] * 6
    return recipe
