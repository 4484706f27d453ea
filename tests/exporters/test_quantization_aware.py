"""Artifacts of adapters that were trained rounded: the same weights, the same answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load as load_graph
from onnx import numpy_helper
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from srl_edge.artifact import load
from srl_edge.data import trajectories
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.check import check
from srl_edge.exporters.export import export
from srl_edge.exporters.onnx.weights import _modules
from srl_edge.exporters.parity.logits import agreement, references, teacher_forced
from srl_edge.exporters.subject import of_run
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.quantization.gptq import CODES_FILE, read_codes
from srl_edge.quantization.grid import HEAD, _codes, rounded_input
from srl_edge.recipe import Recipe
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.models import make_model
from tests.helpers.policies import divergence, open_policy, trainer_logits, trajectory_samples

CONTEXT = 256
TEXTS = [s.prompt_ids for s in trajectory_samples(count=2)]
EMBEDDING = "embed_tokens"


def exported(policy: TorchPolicy, model: Path, run: Path, **settings: Any) -> Path:
    """The artifact of a policy's adapter, made by the export stage."""
    artifact = AS_SHIPPED[policy.settings.quantization]
    policy.save_adapter(run / "adapter")
    recipe = Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": str(model)},
            "stages": [{"kind": "sft", "steps": 1}],
            "export": {"artifacts": [artifact], "context_length": CONTEXT} | settings,
        }
    )
    return export(recipe, run) / artifact


def of_the_trainer(policy: TorchPolicy) -> dict[str, torch.Tensor]:
    """What is multiplied by in each layer, and the two ends."""
    weights = {HEAD: policy.head, EMBEDDING: policy.decoder.embed.weight}
    for layer in policy.layers:
        assert layer.rounding
        parts = layer.rounding.weight().split(layer.sizes)
        weights |= {f"model.{n}": part for n, part in zip(layer.names, parts, strict=True)}
    return weights


def assert_answers_as_trained(policy: TorchPolicy, run: Path, artifact: Path) -> None:
    """An artifact's logits are the trainer's, not those of the merged floats."""
    ids = list(trajectory_samples()[0].prompt_ids)
    half = len(ids) // 2
    runtime = open_runtime(load(artifact), threads=1)
    got = torch.from_numpy(np.stack(teacher_forced(runtime, ids[:half], ids[half:])))
    trained = trainer_logits(policy, ids)[half - 1 : -1]
    floats = torch.from_numpy(TorchRuntime(run / "merged", 1).score(ids[:half], ids[half:]))
    assert 20 * divergence(trained, got) < divergence(floats, got)
    assert (trained.argmax(-1) == got.argmax(-1)).float().mean() > 0.95


def assert_graph_has(artifact: Path, weights: dict[str, torch.Tensor], scale: float) -> None:
    """The codes and scales of an ONNX graph, read back, are given weights to the bit."""
    graph = load_graph(artifact / "model.onnx").graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    left = dict(weights)
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            (bits,) = (a.i for a in node.attribute if a.name == "bits")
            codes, scales = (arrays[name] for name in node.input[1:3])
            if bits == 4:
                codes = np.stack([codes & 15, codes >> 4], -1).reshape(*scales.shape, -1)
            values = (codes.astype(np.float32) - 2 ** (bits - 1)) * scales[..., None]
            expected = torch.cat([left.pop(name) for name in _modules(node.name)])
            got = torch.from_numpy(values.reshape(expected.shape))
            assert torch.equal(got, expected)
    # A tied embedding reads the head's codes; any other is whole.
    table = arrays.get("model.embed_tokens.weight")
    rows = weights[HEAD] if table is None else torch.from_numpy(table.copy())
    assert torch.equal(rows * scale, left.pop(EMBEDDING)) and not left


def test_an_onnx_graph_has_the_weights_that_were_trained_on(
    family_model: Path, tmp_path: Path
) -> None:
    policy = open_policy(family_model, quantization="int4-onnx")
    policy.fit_rounding(TEXTS)
    artifact = exported(policy, family_model, tmp_path)
    config = AutoConfig.from_pretrained(family_model)
    scale = config.hidden_size**0.5 if config.model_type == "gemma3_text" else 1.0
    assert_graph_has(artifact, of_the_trainer(policy), scale)
    assert load(artifact).manifest["options"]["rounding"] == "as trained"
    assert_answers_as_trained(policy, tmp_path, artifact)


def test_an_untied_embedding_is_the_graphs(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    config = AutoConfig.from_pretrained(model)
    config.tie_word_embeddings = False
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(model)
    policy = open_policy(model, quantization="int4-onnx")
    assert_graph_has(exported(policy, model, tmp_path), of_the_trainer(policy), 1.0)


@torch.no_grad()
def test_what_executorch_lowers_has_the_weights_that_were_trained_on(
    family_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("executorch")
    from srl_edge.exporters.decoder.quantized import lowered_input, lowered_weight
    from srl_edge.exporters.decoder.weights import linears_of
    from srl_edge.exporters.executorch import build as executorch
    from srl_edge.exporters.executorch.model import build
    from srl_edge.exporters.merging.merge import merge

    policy = open_policy(family_model, quantization="8da4w")
    policy.fit_rounding(TEXTS)
    weights = of_the_trainer(policy)
    policy.save_adapter(tmp_path / "adapter")
    folder = merge(family_model, tmp_path / "adapter", tmp_path / "merged")
    shutil.copy(tmp_path / "adapter" / CODES_FILE, folder)
    config = AutoConfig.from_pretrained(folder)
    decoder = build(folder, config, executorch.PRECISIONS["8da4w"], CONTEXT)
    every = torch.arange(config.vocab_size)[None]
    assert torch.equal(decoder.embedding(every)[0], weights.pop(EMBEDDING))
    x = torch.randn(1, 5, 64) * torch.logspace(-2, 2, 5)[:, None]
    for linears in (linears for stage in decoder.stages for linears in linears_of(stage)):
        for i, name in enumerate(linears.names):
            name = HEAD if name == "model.embed_tokens" else name
            part = (linears.weights[i], linears.scales[i], linears.zeros[i], linears.bits)
            assert torch.equal(lowered_weight(*part), weights.pop(name)), name
    assert torch.equal(lowered_input(x), rounded_input("8da4w", x))
    assert not weights


@pytest.mark.parametrize("fitted", [True, False], ids=["fitted", "nearest"])
def test_an_executorch_program_has_the_weights_that_were_trained_on(
    tmp_path: Path, fitted: bool
) -> None:
    pytest.importorskip("executorch")
    model = make_model("gemma3", tmp_path / "model")
    policy = open_policy(model, quantization="8da4w")
    if fitted:
        policy.fit_rounding(TEXTS)
    artifact = exported(policy, model, tmp_path)
    trained = read_codes(tmp_path / "adapter")
    assert bool(trained) == fitted
    program = (artifact / "model.pte").read_bytes()
    floats = load_file(tmp_path / "merged" / "model.safetensors")
    for name, weight in of_the_trainer(policy).items():
        tied = floats["model.embed_tokens.weight"]
        start = {HEAD: tied, EMBEDDING: tied * 64**0.5}.get(name)
        key = name.removeprefix("model.")
        nearest = _codes("8da4w", name, floats[f"{name}.weight"] if start is None else start)
        codes, scales = trained.get(key, nearest)
        assert torch.equal(
            (codes.view(*scales.shape, -1) * scales[..., None]).view_as(codes), weight
        )
        if scales.shape[1] > 1:  # two codes a byte; ExecuTorch's embedding has the first one high
            nibbles = (codes + 8).to(torch.uint8)
            first, second = nibbles[:, ::2], nibbles[:, 1::2]
            codes = first << 4 | second if name == EMBEDDING else second << 4 | first
            scales = scales if name == EMBEDDING else scales.bfloat16().view(torch.int16)
        for part in (codes, scales):
            found = part.numpy().tobytes() in program
            assert found, name  # asserted apart, as pytest would explain it byte by byte
    assert_answers_as_trained(policy, tmp_path, artifact)


def test_other_bits_than_those_trained_on_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    policy = open_policy(tiny_model, quantization="int4-onnx")
    with pytest.raises(InputError, match=r"trained on other bits than export.int8_layers"):
        exported(policy, tiny_model, tmp_path, int8_layers=["*.down_proj"])


def test_the_gate_compares_with_what_was_trained(
    taught_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    policy = open_policy(taught_model, quantization="int4-onnx")
    policy.fit_rounding(TEXTS)
    exported(policy, taught_model, tmp_path)
    (tmp_path / "data").mkdir()
    problems = trajectories.parse_rows(word_problems, trajectories.ParseReport())
    trajectories.write_jsonl(tmp_path / "data" / "test.jsonl", problems)
    recipe = Recipe.model_validate(
        {
            "output": str(tmp_path),
            "model": {"name": str(taught_model)},
            "check": {"prompts": 3, "problems": 2, "greedy_tokens": 4},
            "export": {"context_length": CONTEXT},
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )
    folder = check(recipe, tmp_path)
    found = json.loads((folder / "onnx-int4.json").read_text())
    assert found["reference"] == "rounded as trained" and found["kl_divergence"] < 0.01
    cases, _ = references(of_run(recipe, tmp_path), tmp_path / "merged", "test")
    runtime = open_runtime(load(tmp_path / "artifacts" / "onnx-int4"), threads=1)
    floats = agreement(runtime, cases, policy.tokenizer, lambda *_: None, "")
    assert floats.kl_divergence > 5 * found["kl_divergence"]
