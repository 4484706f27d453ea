"""Policies of both backends with one adapter."""

from pathlib import Path
from typing import Any

from srl_edge.recipe import Trainer
from srl_edge.trainers.mlx_backend.policy import MlxPolicy
from tests.helpers.policies import open_policy

SETTINGS = Trainer(backend="mlx", dtype="float32", lora_rank=4, lora_alpha=8)


def twins(model: Path, scratch: Path, **settings: Any) -> tuple[Any, MlxPolicy]:
    """A torch policy and an MLX one with the same adapter."""
    ours = open_policy(model, **{k: v for k, v in settings.items() if k == "micro_batch_tokens"})
    ours.save_adapter(scratch / "adapter")
    theirs = MlxPolicy(model, SETTINGS.model_copy(update=settings), seed=0)
    theirs.load_adapter(scratch / "adapter")
    return ours, theirs
