"""Every recipe that is shipped trains, with the trainer and the kinds of stages that it names."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge import recipe
from srl_edge.line import run_stage

RECIPES = sorted(Path("recipes").glob("*.toml"))
NEEDS = {"laptop_gpu": "bitsandbytes", "apple_silicon": "mlx_lm"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains(
    path: Path, taught_model: Path, word_problems: list[dict[str, str]], tmp_path: Path
) -> None:
    if needed := NEEDS.get(path.stem):
        pytest.importorskip(needed)
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in word_problems))
    asked = recipe.load(path)
    few: dict[str, Any] = {
        "output": tmp_path / "run",
        "model.name": taught_model,
        "data.source": tmp_path / "data.jsonl",
        "data.validation_problems": 4,
        "data.style": "auto",
        "data.test_problems": 4,
        "trainer.threads": 1,
        "trainer.validation_prompts": 4,
        "trainer.validation_problems": 2,
        "export.context_length": 512,
    }
    for index in range(len(asked.stages)):
        sizes = {"steps": 2, "prompts_per_step": 2, "group_size": 4, "max_rounds": 10}
        sizes["max_new_tokens"] = min(asked.stages[index].max_new_tokens, 96)
        few |= {f"stages.{index}.{name}": size for name, size in sizes.items()}
        if asked.stages[index].reply == "whole" and asked.prompt.form.think:
            few[f"stages.{index}.reply"] = "step"  # the tiny model was taught no other format
        if asked.stages[index].epochs:
            few[f"stages.{index}.epochs"] = None
    flags = [word for name, value in few.items() for word in (f"--{name}", str(value))]
    settings = recipe.load(path, flags)
    assert settings.trainer.quantization == asked.trainer.quantization
    for stage in ("data", "train"):
        run_stage(settings, stage)
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    rows = [
        json.loads(line) for line in (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()
    ]
    trained = [row for row in rows if "loss" in row]
    assert {row["kind"] for row in trained} == {stage.kind for stage in asked.stages}
