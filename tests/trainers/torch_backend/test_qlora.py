"""Adapters that train on quantized frozen weights, on torch."""

from pathlib import Path

import pytest
import torch

from srl_edge.errors import InputError
from srl_edge.quantization.storage import Int8, Nf4, Whole
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import flat_gradient, open_policy, trajectory_samples

BITS = {"int8": 8.1, "nf4": 4.2}  # most that a weight may take, scales included


@pytest.fixture(params=BITS)
def quantization(request: pytest.FixtureRequest) -> str:
    """Each kind in turn."""
    if request.param == "nf4":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    return str(request.param)


def dequantized(policy: TorchPolicy, model: Path) -> TorchPolicy:
    """A policy with whole weights: those that a quantized one multiplies by."""
    plain = open_policy(model)
    for layer, other in zip(plain.layers, policy.layers, strict=True):
        layer.weight = Whole(other.weight())
    return plain


def test_losses_gradients_and_samples_are_those_of_the_dequantized_weights(
    family_model: Path, quantization: str
) -> None:
    policy = open_policy(family_model, quantization=quantization)
    plain = dequantized(policy, family_model)
    samples = trajectory_samples()
    metrics = [p.forward_backward([samples], Loss("clipped", kl=0.1)) for p in (policy, plain)]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-5)
    torch.testing.assert_close(flat_gradient(policy), flat_gradient(plain), atol=1e-5, rtol=1e-4)
    # One samples with the adapter on, the other with it merged in.
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    one, two = (p.sample(prompts, 2, 20, 0.0, seed=0) for p in (policy, plain))
    for groups in zip(one, two, strict=True):
        for got, expected in zip(*groups, strict=True):
            assert got.completion_ids == expected.completion_ids


@pytest.mark.parametrize("weights", ["merged", "adapter"])
def test_sampled_logprobs_are_those_of_the_loss(
    tiny_model: Path, quantization: str, weights: str
) -> None:
    policy = open_policy(tiny_model, quantization=quantization, sampling_weights=weights)
    for layer in policy.layers:
        torch.nn.init.normal_(layer.lora_B, std=0.2)
    (group,) = policy.sample([trajectory_samples()[0].prompt_ids], 4, 20, 1.0, seed=3)
    sample = type(trajectory_samples()[0])
    samples = [sample(r.prompt_ids, r.completion_ids, r.logprobs, 1.0) for r in group]
    metrics = policy.forward_backward([samples], Loss("clipped"))
    assert metrics["sampling/sampling_logp_difference/mean"] < 1e-4


def test_an_fp32_adapter_learns_on_few_bits(tiny_model: Path, quantization: str) -> None:
    policy = open_policy(tiny_model, quantization=quantization)
    before = policy.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    for _ in range(5):
        policy.optim_step(1e-2, 1.0)
        after = policy.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    assert after < before - 0.1
    assert {p.dtype for p in policy._trainable().values()} == {torch.float32}


def test_few_bits_are_what_is_kept(quantization: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(1536, 576)
    kept = (Int8 if quantization == "int8" else Nf4)(weight)
    if isinstance(kept, Int8):
        size = kept.codes.nbytes + kept.scales.nbytes
    else:
        state = kept.state
        tensors = (kept.codes, state.absmax, state.code, state.state2.absmax, state.state2.code)
        size = sum(x.nbytes for x in tensors)
    assert size * 8 / weight.numel() < BITS[quantization]
    error = float((kept() - weight).norm() / weight.norm())
    assert error < {"int8": 0.01, "nf4": 0.1}[quantization]


def test_a_quantization_of_the_other_backend_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"needs trainer.backend = 'mlx'"):
        open_policy(tiny_model, quantization="int4")


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_moments_in_8_bits_learn_and_survive_a_round_trip(
    optimizer: str, tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    samples = [trajectory_samples()]
    # Matrices of less than 4,096 entries keep fp32 moments; these have more.
    first = open_policy(tiny_model, optimizer=optimizer, lora_rank=64)
    before = first.forward_backward(samples, Loss("nll"))["loss"]
    for _ in range(3):
        first.optim_step(1e-2, 1.0)
        after = first.forward_backward(samples, Loss("nll"))["loss"]
    assert after < before - 0.1
    kept = [s["state1"].dtype for s in first.optimizer.state.values()]
    assert kept.count(torch.uint8) > len(kept) / 2
    first.save(tmp_path / "state")
    second = open_policy(tiny_model, optimizer=optimizer, lora_rank=64)
    second.load(tmp_path / "state")
    second.forward_backward(samples, Loss("nll"))
    losses = []
    for policy in (first, second):
        policy.optim_step(1e-2, 1.0)
        losses.append(policy.forward_backward(samples, Loss("nll"))["loss"])
    assert losses[0] == losses[1]
