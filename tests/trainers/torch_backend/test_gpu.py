"""What only a GPU shows: `pytest -m cuda` on NVIDIA's, `pytest -m mps` on Apple's."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from srl_edge.method.types import Sample
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import flat_gradient, trajectory_samples

ON_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU"),
]
ON_MPS = [
    pytest.mark.mps,
    pytest.mark.skipif(not torch.backends.mps.is_available(), reason="there is no Apple GPU"),
]
NF4 = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
GPUS = [
    pytest.param("cuda", "none", marks=ON_CUDA),
    pytest.param("cuda", "int8", marks=ON_CUDA),
    pytest.param("cuda", "nf4", marks=[*ON_CUDA, NF4]),
    pytest.param("mps", "none", marks=ON_MPS),
    pytest.param("mps", "int8", marks=ON_MPS),
]


def policy_on(device: str, model: Path, **settings: Any) -> Any:
    """A policy in fp32 on a device, with the same adapter wherever it is."""
    chosen = {"dtype": "float32", "lora_rank": 4, "lora_alpha": 8, "device": device, **settings}
    policy = TorchPolicy(model, Trainer.model_validate(chosen), seed=0)
    generator = torch.Generator().manual_seed(1)
    for layer in policy.layers:
        for weight, spread in ((layer.lora_A, 0.1), (layer.lora_B, 0.2)):
            weight.data.copy_(torch.randn(weight.shape, generator=generator) * spread)
    return policy


@pytest.mark.parametrize(("gpu", "quantization"), GPUS)
def test_losses_gradients_and_greedy_texts_are_those_of_the_cpu(
    gpu: str, quantization: str, family_model: Path
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    metrics, gradients, texts = [], [], []
    for device in ("cpu", gpu):
        policy = policy_on(device, family_model, quantization=quantization)
        metrics.append(policy.forward_backward([trajectory_samples()], Loss("clipped", kl=0.1)))
        gradients.append(flat_gradient(policy).cpu())
        prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
        replies = policy.sample(prompts, 2, 20, 0.0, seed=0)
        texts.append([r.completion_ids for group in replies for r in group])
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-3, rtol=1e-2)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("gpu", "quantization"), GPUS)
def test_sampled_logprobs_are_those_of_the_loss_in_bfloat16(
    gpu: str, quantization: str, tiny_model: Path
) -> None:
    settings = {"quantization": quantization, "device": gpu, "dtype": "bfloat16"}
    policy = TorchPolicy(tiny_model, Trainer.model_validate(settings), seed=0)
    (group,) = policy.sample([trajectory_samples()[0].prompt_ids], 8, 30, 1.0, seed=0)
    samples = [Sample(r.prompt_ids, r.completion_ids, r.logprobs, 1.0) for r in group]
    metrics = policy.forward_backward([samples], Loss("clipped"))
    assert metrics["sampling/sampling_logp_difference/mean"] < 0.05
    policy.optim_step(1e-4, 1.0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")
def test_a_full_gpu_halves_the_passes(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [
        Sample(tuple(range(3, 60)), tuple(range(3, 203)), (-5.0,) * 200, (-1.0) ** i)
        for i in range(64)
    ]
    wide = 16384
    expected = policy_on("cuda", tiny_model, micro_batch_tokens=1024)
    expected.forward_backward([samples], Loss("clipped"))
    policy = policy_on("cuda", tiny_model, micro_batch_tokens=wide)
    torch.cuda.empty_cache()
    room = torch.cuda.memory_allocated() + 200 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.mem_get_info()[1])
    try:
        policy.forward_backward([samples], Loss("clipped"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert policy.micro_batch_tokens < wide
    assert "out of memory" in capsys.readouterr().err
    torch.testing.assert_close(flat_gradient(policy), flat_gradient(expected), atol=1e-4, rtol=1e-3)
