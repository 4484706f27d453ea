"""The policy on MLX against the one on torch, for every family."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from srl_edge.errors import InputError
from srl_edge.recipe import Trainer
from srl_edge.trainers.open import open_policy as open_by_recipe
from srl_edge.trainers.policy.contract import Loss, Policy
from tests.helpers.models import make_model
from tests.helpers.policies import trajectory_samples

pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")

import mlx.core as mx

from srl_edge.trainers.mlx_backend.policy import MlxPolicy
from tests.helpers.mlx import SETTINGS, twins


def torch_gradients(policy: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in policy.layers:
        found |= layer.members(layer.lora_A.grad, layer.lora_B.grad)
    return {name: value.numpy() for name, value in found.items()}


def assert_same_gradients(ours: Any, theirs: MlxPolicy) -> None:
    expected = torch_gradients(ours)
    assert expected.keys() == theirs._gradients.keys()
    for name, gradient in expected.items():
        got = np.array(theirs._gradients[name])
        np.testing.assert_allclose(got, gradient, atol=1e-4, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("loss", [Loss("nll"), Loss("clipped", kl=0.1, temperature=0.8)])
def test_losses_and_gradients_are_those_of_torch(
    family_model: Path, tmp_path: Path, loss: Loss
) -> None:
    ours, theirs = twins(family_model, tmp_path)
    samples = trajectory_samples()
    expected, got = (p.forward_backward([samples], loss) for p in (ours, theirs))
    assert got["token_ratio"] > 2  # 1.8 without a trunk
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert abs(got[name] - value) < 1e-4 * max(1, abs(value)), name
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("settings", [{"micro_batch_tokens": 90}, {"gradient_checkpointing": True}])
def test_passes_and_checkpoints_do_not_change_the_gradient(
    family_model: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    ours, theirs = twins(family_model, tmp_path, **settings)
    groups = [trajectory_samples(0), trajectory_samples(1, count=1)]
    for policy in (ours, theirs):
        policy.forward_backward(groups, Loss("clipped"))
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_greedy_samples_are_those_of_torch(
    family_model: Path, tmp_path: Path, checkpointing: bool
) -> None:
    ours, theirs = twins(family_model, tmp_path, gradient_checkpointing=checkpointing)
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    for one, two in zip(
        *(p.sample(prompts, 2, 40, 0.0, seed=0) for p in (ours, theirs)), strict=True
    ):
        for expected, got in zip(one, two, strict=True):
            assert got.completion_ids == expected.completion_ids
            np.testing.assert_allclose(got.logprobs, expected.logprobs, atol=1e-3)


def test_divergence_is_that_of_torch(family_model: Path, tmp_path: Path) -> None:
    ours, theirs = twins(family_model, tmp_path)
    # MLX reads a text's first token as the trunk, so no distribution is taken there.
    text = list(range(3, 40))
    first = ours.divergence([text[:1]])
    whole = ours.divergence([text])
    assert theirs.divergence([text]) == pytest.approx(
        (whole * len(text) - first) / (len(text) - 1), rel=0.02
    )


def test_sampled_logprobs_are_those_of_the_loss(family_model: Path, tmp_path: Path) -> None:
    _, policy = twins(family_model, tmp_path)
    policy.stop_ids = list(range(3, 100))  # so that rows finish early and leave the batch
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    groups = policy.sample(prompts, 6, 30, 0.7, seed=3)
    assert len({len(r.completion_ids) for g in groups for r in g}) > 3
    assert policy.sample(prompts, 6, 30, 0.7, seed=3) == groups
    samples = trajectory_samples()
    for group in groups:
        samples = [type(samples[0])(r.prompt_ids, r.completion_ids, r.logprobs, 1.0) for r in group]
        metrics = policy.forward_backward([samples], Loss("clipped", temperature=0.7))
        assert metrics["sampling/sampling_logp_difference/mean"] < 1e-4


def test_samples_follow_the_distribution(tiny_model: Path, tmp_path: Path) -> None:
    _, policy = twins(tiny_model, tmp_path)
    (group,) = policy.sample([trajectory_samples()[0].prompt_ids], 3000, 1, 1.0, seed=0)
    ids = [r.completion_ids[0] for r in group]
    likely = max(set(ids), key=ids.count)
    logprob = next(r.logprobs[0] for r in group if r.completion_ids[0] == likely)
    assert abs(ids.count(likely) / 3000 - np.exp(logprob)) < 0.03


def test_the_same_batches_give_the_same_adapter(family_model: Path, tmp_path: Path) -> None:
    ours, theirs = twins(family_model, tmp_path)
    for policy in (ours, theirs):
        for seed in range(3):
            policy.forward_backward([trajectory_samples(seed)], Loss("clipped"))
            policy.optim_step(1e-3, 1.0)
        policy.save_adapter(tmp_path / type(policy).__name__)
    from srl_edge.models import adapter_folder

    one, two = (adapter_folder.read(tmp_path / n) for n in ("TorchPolicy", "MlxPolicy"))
    start = adapter_folder.read(tmp_path / "adapter")
    assert one.keys() == two.keys()
    assert max(float(abs(one[n] - start[n]).max()) for n in one) > 2e-3  # it did move
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-3, err_msg=name)


def test_training_state_survives_a_round_trip(tiny_model: Path, tmp_path: Path) -> None:
    _, first = twins(tiny_model, tmp_path)
    samples = trajectory_samples()
    first.forward_backward([samples], Loss("nll"))
    first.optim_step(1e-2, 1.0)
    first.save(tmp_path / "state")
    second = MlxPolicy(tiny_model, SETTINGS, seed=5)
    second.load(tmp_path / "state")
    losses = []
    for policy in (first, second):
        policy.forward_backward([samples], Loss("nll"))
        policy.optim_step(1e-2, 1.0)
        losses.append(policy.forward_backward([samples], Loss("nll"))["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("quantization", "close"), [("int8", 0.02), ("int4", 0.5)])
def test_quantized_layers_train_an_fp32_adapter(
    tiny_model: Path, tmp_path: Path, quantization: str, close: float
) -> None:
    ours, theirs = twins(tiny_model, tmp_path, quantization=quantization)
    losses = [
        policy.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
        for policy in (ours, theirs)
    ]
    assert 0 < abs(losses[0] - losses[1]) < close  # quantized, and yet the same model
    before = theirs.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    for _ in range(5):
        theirs.optim_step(1e-2, 1.0)
        after = theirs.forward_backward([trajectory_samples()], Loss("nll"))["loss"]
    assert after < before
    assert all(value.dtype == mx.float32 for value in theirs._trainable().values())
    linear = theirs.layers["layers.0.mlp.up_proj"].linear
    assert linear.weight.dtype == mx.uint32


def test_rotary_settings_are_read_as_transformers_5_writes_them(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    config = (model / "config.json").read_text()
    assert '"rope_theta": 10000' in config
    (model / "config.json").write_text(config.replace('"rope_theta": 10000.0', '"rope_theta": 5e5'))
    ours, theirs = twins(model, tmp_path)
    losses = [
        p.forward_backward([trajectory_samples()], Loss("nll"))["loss"] for p in (ours, theirs)
    ]
    assert abs(losses[0] - losses[1]) < 1e-4


@pytest.mark.parametrize("wrong", ["rope", "scale"])
def test_a_model_that_is_not_what_its_configuration_says_is_refused(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from srl_edge.trainers.mlx_backend import decoder as mlx_decoder
    from srl_edge.trainers.mlx_backend import loading as mlx_loading

    model = make_model("gemma3", tmp_path / "model")
    if wrong == "rope":  # what happens where settings are left nested
        monkeypatch.setattr(
            mlx_loading,
            "mlx_settings",
            lambda _, config, *rest: (
                config.to_dict()
                | {"rope_theta": 500.0, "sliding_window_pattern": 3, "rope_local_base_freq": 300.0}
            ),
        )
    else:
        embedded = mlx_decoder.MlxDecoder._embedded
        monkeypatch.setattr(
            mlx_decoder.MlxDecoder, "_embedded", lambda self, ids: embedded(self, ids) / self.scale
        )
    with pytest.raises(InputError, match="differs from what its configuration says"):
        MlxPolicy(model, SETTINGS, seed=0)


def test_the_recipe_chooses_the_backend(tiny_model: Path) -> None:
    policy: Policy = open_by_recipe(tiny_model, SETTINGS, seed=0)
    assert isinstance(policy, MlxPolicy)
    auto = open_by_recipe(tiny_model, Trainer(), seed=0)
    assert isinstance(auto, MlxPolicy) == mx.metal.is_available()
    for sampler in ("onnx", "vllm"):
        with pytest.raises(InputError, match=f"{sampler}.* need trainer.backend = 'torch'"):
            open_by_recipe(tiny_model, SETTINGS.model_copy(update={"sampler": sampler}), seed=0)


def test_a_family_that_mlx_does_not_have_is_refused(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    config = (model / "config.json").read_text()
    (model / "config.json").write_text(config.replace('"llama"', '"mistral"'))
    with pytest.raises(InputError, match="family 'mistral' cannot be trained on MLX"):
        MlxPolicy(model, SETTINGS, seed=0)


def test_without_mlx_a_sentence_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srl_edge.trainers.open.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs mlx-lm: pip install 'srl-edge\[mlx\]'"):
        open_by_recipe(tiny_model, SETTINGS, seed=0)


@pytest.mark.parametrize("change", ["lacks", "left over"])
def test_weights_that_are_not_the_models_are_refused(change: str, tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    file = model / "model.safetensors"
    weights = load_file(file)
    if change == "lacks":
        weights.pop("model.layers.2.mlp.up_proj.weight")
    else:
        weights["model.layers.2.mlp.up_proj.bias"] = weights["model.norm.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"mlx-lm does not load it: .*layers\.2\.mlp\.up_proj"):
        MlxPolicy(model, SETTINGS, seed=0)
