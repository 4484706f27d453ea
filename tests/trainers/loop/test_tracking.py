"""Metrics in a tracker: TensorBoard's own reader finds what was logged."""

import json
from pathlib import Path

import pytest

from srl_edge.errors import InputError
from srl_edge.recipe import Model, Recipe, Stage, Trainer
from srl_edge.trainers.loop.tracking import open_tracker


def recipe_with(tracker: str) -> Recipe:
    trainer = Trainer.model_validate({"tracker": tracker})
    stages = (Stage(kind="sft", steps=2), Stage(kind="srl", steps=3))
    return Recipe(output="runs/x", model=Model(name="m"), trainer=trainer, stages=stages)


def row(stage: int, step: int, loss: float) -> dict[str, object]:
    return {"stage": stage, "kind": "srl", "step": step, "loss": loss}


def test_tensorboard_counts_steps_over_stages_and_over_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = [row(0, 1, 3.0), row(0, 2, 2.0), row(1, 1, 1.0)]
    with open_tracker(recipe_with("tensorboard"), tmp_path) as track:
        for item in first:
            track(item)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in first))
    with open_tracker(recipe_with("tensorboard"), tmp_path) as track:  # after a resume
        track(row(1, 2, 0.5))
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    events = [(e.step, e.value) for e in read.Scalars("loss")]
    assert events == [(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.5)]


def test_a_missing_tracker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trackio", None)
    with (
        pytest.raises(InputError, match="pip install trackio"),
        open_tracker(recipe_with("trackio"), tmp_path),
    ):
        pass
