"""What a training will not be able to do is said before it begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import trajectories
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.foresight import foreseen
from tests.helpers.runs import make_run


def said(recipe: Recipe, run: Path, model: Path, positions: int = 4096) -> list[str]:
    config: dict[str, Any] = {"text_config": {"max_position_embeddings": positions}}
    return list(foreseen(recipe, run, load_tokenizer(model), config))


def test_nothing_is_said_of_what_fits(tmp_path: Path, tiny_model: Path) -> None:
    assert said(make_run(tmp_path), tmp_path, tiny_model) == []


def test_prompts_beyond_the_models_positions(tmp_path: Path, tiny_model: Path) -> None:
    first, *_ = said(make_run(tmp_path), tmp_path, tiny_model, positions=100)
    assert first.startswith("train: stage 1 (sft): a prompt of ")
    assert "are more than the 100 positions of the model" in first


def test_replies_that_sampling_would_cut_off(tmp_path: Path, tiny_model: Path) -> None:
    (srl,) = said(make_run(tmp_path, max_new_tokens=2), tmp_path, tiny_model)
    assert srl.startswith("train: stage 2 (srl): 12 of 12 of the expert's replies are longer than")


def test_data_without_answers(tmp_path: Path, tiny_model: Path) -> None:
    recipe = make_run(tmp_path)
    file = tmp_path / "data" / "train.jsonl"
    bare = [replace(t, answer=None) for t in trajectories.load(file)]
    trajectories.write_jsonl(file, bare)
    sentences = said(recipe, tmp_path, tiny_model)
    assert len(sentences) == 2
    assert all("accuracy is 0 whatever" in each for each in sentences)


@pytest.mark.parametrize(("artifacts", "found"), [(["onnx-int8"], 1), ([], 0)])
def test_test_problems_that_no_artifact_has_room_for(
    artifacts: list[str], found: int, tmp_path: Path, tiny_model: Path
) -> None:
    recipe = make_run(tmp_path)
    export = recipe.export.model_copy(update={"context_length": 100, "artifacts": artifacts})
    recipe = recipe.model_copy(update={"export": export})
    sentences = said(recipe, tmp_path, tiny_model)
    assert len(sentences) == found
    assert all("more than export.context_length = 100" in each for each in sentences)
