"""Adapters that train as an artifact rounds: the same weights, the same answers."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load as load_graph
from onnx import numpy_helper
from transformers import AutoConfig, AutoModelForCausalLM

from srl_edge import trajectories
from srl_edge.devices.runtimes import open_runtime
from srl_edge.devices.torch_runtime import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.executorch_model import build
from srl_edge.exporters.export import export
from srl_edge.exporters.onnx_fit import _modules
from srl_edge.exporters.parity_logits import teacher_forced
from srl_edge.recipe import Recipe
from srl_edge.trainers.fake_quantized import ARTIFACTS, GROUP, rounded, rounded_input
from srl_edge.trainers.policy import Loss
from srl_edge.trainers.torch_policy import TorchPolicy
from srl_edge.types import Sample

from .conftest import make_model
from .test_torch_policy import flat_gradient, open_policy, trajectory_samples

Weights = dict[str, torch.Tensor]
CONTEXT = 256


@pytest.fixture(params=ARTIFACTS)
def quantization(request: pytest.FixtureRequest) -> str:
    """Each kind in turn."""
    return str(request.param)


def exported(policy: TorchPolicy, model: Path, run: Path, **settings: Any) -> Path:
    """The artifact of a policy's adapter, made by the export stage."""
    kind = policy.settings.quantization
    policy.save_adapter(run / "adapter")
    recipe = Recipe.model_validate({
        "output": str(run), "model": {"name": str(model)}, "stages": [{"kind": "sft", "steps": 1}],
        "export": {"artifacts": [ARTIFACTS[kind]], "context_length": CONTEXT} | settings,
    })  # fmt: skip
    return export(recipe, run) / ARTIFACTS[kind]


def of_the_trainer(policy: TorchPolicy) -> Weights:
    """What each layer is multiplied by, and the two ends."""
    weights = {"lm_head": policy.head, "embed_tokens": policy.decoder.embed.weight}
    for layer in policy.layers:
        parts = layer.rounded_weight().split(layer.sizes)
        weights |= {
            f"model.{name}": part for name, part in zip(layer.names, parts, strict=True)
        }
    return weights
