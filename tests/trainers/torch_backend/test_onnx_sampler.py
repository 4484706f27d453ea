"""Rollouts from ONNX Runtime, the adapter as the graph's input, against those from PyTorch."""

from itertools import chain
from pathlib import Path

import pytest
import torch

from srl_edge.errors import InputError, StageError
from srl_edge.exporters.onnx.adapter import export_base
from srl_edge.method.types import Sample
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.decoding.onnx_sampler import OnnxDecoding
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.models import make_model
from tests.helpers.policies import flat_gradient, open_policy, trajectory_samples

PROMPTS = [s.prompt_ids for s in trajectory_samples(count=1)]


def with_base(model: Path, folder: Path, quantization: str = "fp32") -> TorchPolicy:
    def onnx_base(adapter: Path) -> Path:
        return export_base(model, adapter, folder / "base", quantization)

    return open_policy(model, onnx_base=onnx_base, sampler="onnx")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_it_samples_what_pytorch_samples(family: str, tmp_path: Path) -> None:
    model = make_model(family, tmp_path / "model")
    policy = with_base(model, tmp_path)
    for other in (False, True):
        if other:  # another adapter over the same session
            for layer in policy.layers:
                layer.lora_B.data.mul_(-1)
            policy._sampler = None
        plain = open_policy(model)
        plain.stop_ids = policy.stop_ids = list(range(3, 60))  # so that rows leave the batch
        for mine, theirs in zip(policy.layers, plain.layers, strict=True):
            theirs.lora_B.data.copy_(mine.lora_B.data)
        for temperature in (0.0, 1.0):
            ours = policy.sample(PROMPTS, 5, 30, temperature, seed=1)
            expected = plain.sample(PROMPTS, 5, 30, temperature, seed=1)
            assert isinstance(policy._sampler, OnnxDecoding)
            for one, two in zip(chain(*ours), chain(*expected), strict=True):
                assert one.completion_ids == two.completion_ids
                torch.testing.assert_close(one.logprobs, two.logprobs, atol=1e-3, rtol=1e-3)


def test_a_graph_of_another_model_is_refused_at_the_first_batch(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    other = make_model("llama", tmp_path / "other", seed=1)

    def onnx_base(adapter: Path) -> Path:
        return export_base(other, adapter, tmp_path / "base", "fp32")

    policy = open_policy(model, onnx_base=onnx_base, sampler="onnx", sampler_quantization="fp32")
    with pytest.raises(StageError, match=r"a token from those of the model that trains, more than"):
        policy.sample(PROMPTS, 2, 12, 1.0, seed=1)
    sound = with_base(model, tmp_path / "sound")
    assert sound.sample(PROMPTS, 2, 12, 1.0, seed=1) and sound._compared


def test_the_adapter_stays_exact_under_quantized_weights(tmp_path: Path) -> None:
    policy = with_base(make_model("llama", tmp_path / "model"), tmp_path, "int8")
    prompt = PROMPTS[0]

    def logits() -> torch.Tensor:
        decoding = policy._onnx
        decoding.load_adapter(policy.layers)
        out: torch.Tensor = decoding.prefill([prompt], 1, 1)[0]
        return out

    tuned = logits()
    reference = open_policy(tmp_path / "model")
    with_adapter, without = (_torch_logits(reference, prompt, on) for on in (True, False))
    for layer in policy.layers:
        layer.lora_B.data.zero_()
    delta = tuned - logits()
    assert torch.cosine_similarity(delta, with_adapter - without, dim=0) > 0.98


def _torch_logits(policy: TorchPolicy, prompt: tuple[int, ...], adapter: bool) -> torch.Tensor:
    from srl_edge.trainers.torch_backend.decoding.pytorch import prefill

    decoder = policy.decoder if adapter else policy.base
    with torch.inference_mode():
        _, hidden = prefill(decoder, [prompt], policy.device)
        return policy._sampling_head()(hidden)[0]


def test_the_weighted_objective_is_a_truncated_policy_gradient(tiny_model: Path) -> None:
    policy = open_policy(tiny_model)
    samples = trajectory_samples()
    # The policy's own log-probabilities: every weight is one, as if the numerics were the same.
    exact = [
        Sample(s.prompt_ids, s.completion_ids, _logprobs(policy, s), s.advantage) for s in samples
    ]
    policy.forward_backward([exact], Loss("clipped"))
    clipped = flat_gradient(policy)
    policy.optimizer.zero_grad()
    metrics = policy.forward_backward([exact], Loss("clipped", importance_cap=2.0))
    torch.testing.assert_close(flat_gradient(policy), clipped, atol=1e-6, rtol=1e-4)
    assert metrics["clip_ratio/region_mean"] == 0
    # A sampler that found every token a hundred times less likely: all weights are the cap.
    policy.optimizer.zero_grad()
    rare = [
        Sample(s.prompt_ids, s.completion_ids, tuple(x - 4.6 for x in s.old_logprobs), s.advantage)
        for s in exact
    ]
    metrics = policy.forward_backward([rare], Loss("clipped", importance_cap=2.0))
    torch.testing.assert_close(flat_gradient(policy), 2 * clipped, atol=1e-6, rtol=1e-4)
    assert metrics["clip_ratio/region_mean"] == 1


def _logprobs(policy: TorchPolicy, sample: Sample) -> tuple[float, ...]:
    from transformers import AutoModelForCausalLM

    from tests.helpers.policies import flat_logprobs

    model = AutoModelForCausalLM.from_pretrained(policy.model_name, dtype=torch.float32)
    with torch.no_grad():
        modules = dict(model.model.named_modules())
        for layer in policy.layers:
            merged = layer.merged_weight().split(layer.sizes)
            for name, weight in zip(layer.names, merged, strict=True):
                modules[name].weight.data.copy_(weight)
        return tuple(flat_logprobs(model, sample).tolist())


def test_gemma_3_is_refused_in_one_sentence(tmp_path: Path) -> None:
    model = make_model("gemma3", tmp_path / "model")
    with pytest.raises(InputError, match="'gemma3_text' cannot be sampled from with ONNX"):
        export_base(model, tmp_path, tmp_path / "base", "fp32")
    assert not (tmp_path / "base").exists()
