"""Families that mlx-lm's own forward pass trains, against transformers and PEFT."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
)

from srl_edge.errors import InputError
from srl_edge.models.mlx_settings import mlx_settings
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import Loss
from tests.helpers.models import MLX_FAMILIES, make_model, make_tokenizer
from tests.helpers.policies import flat_logprobs, flat_loss, trajectory_samples

pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")

import mlx.core as mx

from srl_edge.trainers.mlx_backend.policy import MlxPolicy

IRREGULAR = ["full_attention", "linear_attention", "linear_attention", "linear_attention"]
SETTINGS = Trainer(backend="mlx", dtype="float32", lora_rank=4, lora_alpha=8)


@pytest.fixture(scope="module", params=MLX_FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(request.param, tmp_path_factory.mktemp(request.param))


def policy_of(model: Path, **settings: Any) -> MlxPolicy:
    """A policy whose adapter does something."""
    policy = MlxPolicy(model, SETTINGS.model_copy(update=settings), seed=0)
    keys = iter(mx.random.split(mx.random.key(1), 1000))
    for layer in policy.layers.values():
        layer.lora_B = 0.05 * mx.random.normal(layer.lora_B.shape, key=next(keys))
    return policy


def tuned(model: Path, policy: MlxPolicy, scratch: Path) -> PeftModel:
    """The same model and adapter in transformers and PEFT."""
    policy.save_adapter(scratch / "adapter")
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return PeftModel.from_pretrained(base, scratch / "adapter", is_trainable=True).eval()


def assert_same_gradients(expected: PeftModel, policy: MlxPolicy) -> None:
    found = {
        name.removeprefix("base_model.model.model.").replace(".default.", "."): p.grad
        for name, p in expected.named_parameters()
        if p.requires_grad
    }
    assert found.keys() == policy._gradients.keys()
    for name, gradient in found.items():
        got = np.array(policy._gradients[name])
        assert abs(got).max() > 0, name
        np.testing.assert_allclose(got, gradient, atol=1e-4, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("tokens", [4096, 90])  # in one pass, and in several
def test_losses_and_gradients_are_those_of_flat_sequences(
    model: Path, tmp_path: Path, tokens: int
) -> None:
    policy = policy_of(model, micro_batch_tokens=tokens)
    samples = trajectory_samples()
    got = policy.forward_backward([samples], Loss("clipped"))
    reference = tuned(model, policy, tmp_path)
    loss = flat_loss(reference, samples, True)
    loss.backward()
    assert got["token_ratio"] > 2  # 1.8 without a trunk
    assert abs(got["loss"] - float(loss)) < 1e-4
    assert_same_gradients(reference, policy)


def test_temperature_and_divergence_are_those_of_flat_sequences(
    model: Path, tmp_path: Path
) -> None:
    policy = policy_of(model)
    samples = trajectory_samples()
    got = policy.forward_backward([samples], Loss("nll", kl=0.3, temperature=0.7))
    reference = tuned(model, policy, tmp_path)

    def logprobs(sample: Any) -> torch.Tensor:
        ids = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
        logits = reference(input_ids=ids).logits[0, len(sample.prompt_ids) - 1 : -1] / 0.7
        chosen = torch.tensor(sample.completion_ids)[:, None]
        return torch.log_softmax(logits, -1).gather(1, chosen)[:, 0]

    total = torch.zeros(())
    for sample in samples:
        ours = logprobs(sample)
        with torch.no_grad(), reference.disable_adapter():
            gap = logprobs(sample) - ours.detach()
        gap = gap + ours.detach() - ours
        total = total + (-ours + 0.3 * (torch.exp(gap) - gap - 1)).mean() / len(samples)
    total.backward()
    assert abs(got["loss"] - float(total)) < 1e-4
    assert_same_gradients(reference, policy)


def test_greedy_samples_are_those_of_transformers(model: Path, tmp_path: Path) -> None:
    policy = policy_of(model)
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    groups = policy.sample(prompts, 2, 40, 0.0, seed=0)
    reference = tuned(model, policy, tmp_path)
    for prompt, group in zip(prompts, groups, strict=True):
        expected = reference.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=40,
            do_sample=False,
        )[0, len(prompt) :]
        assert [list(r.completion_ids) for r in group] == [expected.tolist()] * 2


def test_sampled_logprobs_are_those_of_the_loss(model: Path) -> None:
    policy = policy_of(model)
    policy.stop_ids = list(range(3, 100))  # so that rows finish early and leave the batch
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    groups = policy.sample(prompts, 6, 30, 0.7, seed=3)
    assert len({len(r.completion_ids) for g in groups for r in g}) > 3
    assert policy.sample(prompts, 6, 30, 0.7, seed=3) == groups
    kind = type(trajectory_samples()[0])
    for group in groups:
        samples = [kind(r.prompt_ids, r.completion_ids, r.logprobs, 1.0) for r in group]
        metrics = policy.forward_backward([samples], Loss("clipped", temperature=0.7))
        assert metrics["sampling/sampling_logp_difference/mean"] < 1e-4


def test_training_lowers_the_loss_and_its_adapter_is_pefts(model: Path, tmp_path: Path) -> None:
    policy, samples = policy_of(model), trajectory_samples()
    losses = []
    for _ in range(6):
        losses.append(policy.forward_backward([samples], Loss("nll"))["loss"])
        policy.optim_step(1e-2, 1.0)
    assert losses[-1] < losses[0] - 0.1
    reference = tuned(model, policy, tmp_path)
    with torch.no_grad():
        flat = torch.stack([-flat_logprobs(reference, s).mean() for s in samples]).mean()
    after = policy.forward_backward([samples], Loss("nll"))["loss"]
    assert abs(after - float(flat)) < 1e-4
    policy.save(tmp_path / "state")
    other = MlxPolicy(model, SETTINGS, seed=5)
    other.load(tmp_path / "state")
    assert other.forward_backward([samples], Loss("nll"))["loss"] == after


def test_layers_are_not_computed_again(model: Path) -> None:
    with pytest.raises(InputError, match="gradient_checkpointing is not to be had for"):
        policy_of(model, gradient_checkpointing=True)


def test_quantized_layers_train_an_fp32_adapter(tmp_path: Path) -> None:
    model, samples = make_model("qwen3_5", tmp_path / "model"), trajectory_samples()
    whole, policy = policy_of(model), policy_of(model, quantization="int4")
    losses = [p.forward_backward([samples], Loss("nll"))["loss"] for p in (whole, policy)]
    assert 0 < abs(losses[0] - losses[1]) < 0.5  # quantized, and yet the same model
    assert policy.layers["layers.0.linear_attn.in_proj_qkv"].linear.weight.dtype == mx.uint32
    assert all(x.dtype == mx.float32 for x in policy._gradients.values())


@pytest.mark.parametrize(
    ("family", "name", "value", "sentence"),
    [
        (
            "gemma4",
            "enable_moe_block",
            True,
            "experts, or as an encoder, cannot be trained on MLX",
        ),
        (
            "qwen3_5",
            "layer_types",
            IRREGULAR,
            "without a regular pattern of layers it cannot be",
        ),
    ],
)
def test_variants_that_mlx_lm_does_not_run_are_refused(
    family: str, name: str, value: Any, sentence: str, tmp_path: Path
) -> None:
    model = make_model(family, tmp_path / "model")
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(InputError, match=sentence):
        policy_of(model)


def test_a_model_that_is_not_what_its_configuration_says_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from srl_edge.trainers.mlx_backend import loading as mlx_loading

    def other(*given: Any) -> dict[str, Any]:
        settings = mlx_settings(*given)
        ropes = json.loads(json.dumps(settings["rope_parameters"]).replace("10000", "77"))
        return settings | {"rope_parameters": ropes}

    monkeypatch.setattr(mlx_loading, "mlx_settings", other)
    with pytest.raises(InputError, match="differs from what its configuration says"):
        policy_of(model)


def test_the_language_part_of_a_model_that_also_sees_is_trained(tmp_path: Path) -> None:
    text = AutoConfig.from_pretrained(make_model("qwen3_5", tmp_path / "text"))
    seeing = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 4,
        "out_hidden_size": 64,
        "num_position_embeddings": 16,
    }
    config = Qwen3_5Config(
        text_config=text.to_dict(), vision_config=seeing, tie_word_embeddings=True
    )
    model = tmp_path / "model"
    Qwen3_5ForConditionalGeneration(config).save_pretrained(model)
    make_tokenizer(model)
    assert "model.language_model.norm.weight" in load_file(model / "model.safetensors")
    policy, samples = policy_of(model), trajectory_samples(count=1)
    got = policy.forward_backward([samples], Loss("clipped"))
    reference = tuned(model, policy, tmp_path)
    loss = flat_loss(reference, samples, True)
    loss.backward()
    assert abs(got["loss"] - float(loss)) < 1e-4
    assert_same_gradients(reference, policy)
