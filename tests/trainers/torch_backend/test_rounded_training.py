"""Adapters that train as an artifact rounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from srl_edge.errors import InputError
from srl_edge.method.types import Sample
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.quantization.grid import merged, rounded, rounded_input
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.lora import LoraLinear
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import (
    divergence,
    flat_gradient,
    open_policy,
    trainer_logits,
    trajectory_samples,
)


@pytest.fixture(params=AS_SHIPPED)
def quantization(request: pytest.FixtureRequest) -> str:
    """Each kind in turn."""
    return str(request.param)


TEXTS = [s.prompt_ids for s in trajectory_samples(count=2)]


Opened = Callable[[Path], TorchPolicy]


@pytest.fixture(params=["nearest", "fitted"])
def opened(request: pytest.FixtureRequest, quantization: str) -> Opened:
    """Opens a policy whose weights are rounded to the nearest codes, or to fitted ones."""

    def policy_of(model: Path) -> TorchPolicy:
        policy = open_policy(model, quantization=quantization)
        if request.param == "fitted":
            policy.fit_rounding(TEXTS)
        return policy

    return policy_of


def layer_weights(policy: TorchPolicy) -> list[torch.Tensor]:
    return [layer.rounding.weight() for layer in policy.layers if layer.rounding]


def straight_through(policy: TorchPolicy) -> TorchPolicy:
    """The same policy by plain autograd: what is rounded adds a constant to what is not."""

    def through(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return x + (other - x).detach()

    def linear(layer: LoraLinear) -> Any:
        def call(x: torch.Tensor) -> torch.Tensor:
            assert layer.rounding
            artifact = layer.rounding.artifact
            parts = zip(
                layer.names,
                layer.weight().split(layer.sizes),
                layer.lora_A.split(layer.rank),
                layer.lora_B.split(layer.sizes),
                strict=True,
            )
            rows = []
            for name, w, a, b in parts:
                exact = merged(w, a.detach(), b.detach(), layer.scaling)
                rows.append(through(w + b @ a * layer.scaling, rounded(artifact, name, exact)))
            x = through(x, rounded_input(artifact, x))
            return functional.linear(x, torch.cat(rows), layer.bias)

        return call

    policy.decoder = policy.decoder.with_linears(linear)
    return policy


def test_gradients_are_those_of_plain_autograd(family_model: Path, quantization: str) -> None:
    policies = [open_policy(family_model, quantization=quantization) for _ in range(2)]
    straight_through(policies[1])
    metrics = [p.forward_backward([trajectory_samples()], Loss("clipped")) for p in policies]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)
    mine, plain = map(flat_gradient, policies)
    # An activation on the edge between two of its 8-bit steps may be rounded either way.
    assert float((mine - plain).norm() / plain.norm()) < 1e-2


def test_sampled_logprobs_are_those_of_the_loss(family_model: Path, opened: Opened) -> None:
    policy = opened(family_model)
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    found = []
    for rollout in (r for group in policy.sample(prompts, 4, 20, 1.0, seed=3) for r in group):
        sample = Sample(rollout.prompt_ids, rollout.completion_ids, rollout.logprobs, 1.0)
        metrics = policy.forward_backward([[sample]], Loss("clipped"))
        found.append(metrics["sampling/sampling_logp_difference/mean"])
    # An activation on the edge between two of its 8-bit steps may be rounded either way.
    assert np.median(found) < 1e-5 and np.mean(found) < 2e-3


def test_an_adapter_learns_on_the_grid(tiny_model: Path, opened: Opened) -> None:
    policy = opened(tiny_model)
    first = policy.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    for _ in range(8):
        policy.optim_step(1e-2, 1.0)
        last = policy.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    assert last < first - 0.1


def test_without_an_adapter_nothing_diverges(tiny_model: Path, opened: Opened) -> None:
    policy = opened(tiny_model)
    for layer in policy.layers:
        layer.lora_B.data.zero_()
    policy._adapter_changed()
    metrics = policy.forward_backward([trajectory_samples()], Loss("clipped", kl=0.1))
    assert abs(metrics["kl"]) < 1e-4


def test_weights_follow_the_adapter(tiny_model: Path, tmp_path: Path, opened: Opened) -> None:
    policy = opened(tiny_model)
    policy.save(tmp_path / "state")
    ids = list(trajectory_samples()[0].prompt_ids)

    def now() -> tuple[list[torch.Tensor], torch.Tensor]:
        policy.sample([tuple(ids)], 1, 2, 0.0, seed=0)  # so that there is something stale
        return layer_weights(policy), trainer_logits(policy, ids)

    weights, logits = now()
    assert all(map(torch.equal, now()[0], weights))
    restores: tuple[Callable[[], None], ...] = (
        lambda: policy.load(tmp_path / "state"),
        lambda: policy.load_adapter(tmp_path / "state" / "adapter"),
    )
    for restore in restores:
        policy.forward_backward([trajectory_samples()], Loss("nll"))
        policy.optim_step(1e-2, 1.0)
        moved, other = now()
        assert not any(map(torch.equal, moved, weights)) and not torch.equal(other, logits)
        restore()
        again, same = now()
        assert all(map(torch.equal, again, weights)) and torch.equal(same, logits)


def test_another_policy_goes_on_with_fitted_rounding(
    family_model: Path, tmp_path: Path, quantization: str
) -> None:
    policy = open_policy(family_model, quantization=quantization)
    nearest = policy.rounding.head if policy.rounding else None
    policy.fit_rounding(TEXTS)
    policy.save(tmp_path)

    def weights(policy: TorchPolicy) -> list[torch.Tensor]:
        return [policy.head, *layer_weights(policy)]

    def updated(policy: TorchPolicy) -> list[torch.Tensor]:
        policy.forward_backward([trajectory_samples()], Loss("nll"))
        policy.optim_step(1e-2, 1.0)
        return weights(policy)

    assert nearest is not None
    assert torch.equal(policy.head, nearest) == (quantization == "int4-onnx")  # 8 bits there
    resumed = open_policy(family_model, quantization=quantization)
    resumed.load(tmp_path)
    given = open_policy(family_model, quantization=quantization)
    given.load_adapter(tmp_path / "adapter")
    for other in (resumed, given):
        assert all(map(torch.equal, weights(other), weights(policy)))
    before = weights(policy)
    after = updated(policy)
    assert not all(map(torch.equal, before, after))
    assert all(map(torch.equal, updated(resumed), after))


def test_fitted_rounding_answers_better(family_model: Path, quantization: str) -> None:
    floats = open_policy(family_model)
    policy = open_policy(family_model, quantization=quantization)

    def far() -> float:
        pairs = [(trainer_logits(floats, list(t)), trainer_logits(policy, list(t))) for t in TEXTS]
        return sum(divergence(*pair) for pair in pairs)

    nearest = far()
    policy.fit_rounding(TEXTS)
    assert far() < 0.7 * nearest


def test_what_would_not_be_shipped_is_refused(tiny_model: Path, quantization: str) -> None:
    for sampler in ("onnx", "vllm"):
        with pytest.raises(InputError, match=f"{quantization}.*set trainer.sampler to torch"):
            open_policy(tiny_model, quantization=quantization, sampler=sampler)
    with pytest.raises(InputError, match=f"{quantization}.*set trainer.dtype to auto"):
        open_policy(tiny_model, quantization=quantization, dtype="bfloat16")
    with pytest.raises(InputError, match=r"inputs are multiples of 32; layers.0.mlp.down_proj"):
        rounded(quantization, "layers.0.mlp.down_proj", torch.zeros(4, 80))


def test_mlx_refuses(tiny_model: Path, quantization: str) -> None:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    from srl_edge.trainers.mlx_backend.policy import MlxPolicy

    settings = Trainer(backend="mlx", quantization=quantization)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"{quantization}.* needs trainer.backend = 'torch'"):
        MlxPolicy(tiny_model, settings, 0)
