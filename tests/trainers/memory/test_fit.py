"""The prediction of peak memory: its counts, its largest terms, and what `srl-edge fit` says."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.method.prompts import prompt_ids, step_prompts
from srl_edge.models.catalog import config_of, resolve
from srl_edge.models.shape import ModelShape, from_config
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.models.wheels import KNOWN
from srl_edge.recipe import Trainer
from srl_edge.trainers.memory import predict as memory
from srl_edge.trainers.memory.fit import fit, lengths_of, read_memory
from srl_edge.trainers.memory.predict import MIB, Machine, Work, predict
from srl_edge.trainers.policy.packing import pack
from srl_edge.trainers.torch_backend.attention.rows import RowAttention
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.command_line import srl_edge, write_recipe
from tests.helpers.sources import ROOT

RANK = 16


def shape_of(folder: Path) -> ModelShape:
    return from_config(config_of(str(folder)), str(folder))


def test_weights_and_adapters_are_counted_as_they_are(family_model: Path) -> None:
    shape = shape_of(family_model)
    network = AutoModelForCausalLM.from_pretrained(family_model)
    assert shape.parameters == sum(p.numel() for p in network.parameters())
    policy = TorchPolicy(family_model, Trainer(lora_rank=RANK, dtype="float32"), 0)
    adapter = sum(p.numel() for group in policy.optimizer.param_groups for p in group["params"])
    assert shape.adapter_parameters(RANK) == adapter


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(attention_bias=True, mlp_bias=True, num_hidden_layers=2, vocab_size=512),
        Qwen2Config(num_hidden_layers=2, num_key_value_heads=4, vocab_size=512),
        Gemma3TextConfig(num_hidden_layers=2, vocab_size=512),
    ],
    ids=lambda c: c.model_type,
)
def test_biases_and_output_layers_of_their_own_are_counted(config: Any) -> None:
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    shape = from_config(config.to_dict(), "config.json")
    assert shape.parameters == sum(p.numel() for p in network.parameters())


def test_a_multimodal_gemma_is_counted_as_its_text_model() -> None:
    # All that the file of gemma-3-4b-it says of it.
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    }
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(Gemma3TextConfig(**text))
    shape = from_config({"model_type": "gemma3", "text_config": text}, "config.json")
    assert shape.parameters == sum(p.numel() for p in network.parameters())


def test_the_backward_pass_keeps_what_is_predicted(family_model: Path) -> None:
    policy = TorchPolicy(family_model, Trainer(lora_rank=RANK, dtype="float32"), 0)
    rows, reply = 4, tuple(range(9, 20))
    packed = pack([tuple(range(20))] * rows, [reply] * rows)[0]
    trunk = policy.decoder.keys_values([packed.trunk])[0]
    leaves = [tuple(x.detach().requires_grad_() for x in layer) for layer in trunk]
    frozen = {x.weight().data_ptr() for x in policy.layers}
    frozen |= {p.data_ptr() for x in policy.layers for p in x.parameters()}
    frozen |= {x.untyped_storage().data_ptr() for layer in leaves for x in layer}
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in frozen and x.shape[:1] in ((len(reply) * rows + rows,), ()):
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        attention = RowAttention(packed.rows, packed.bounds, leaves, policy.device)  # type: ignore[arg-type]
        policy.decoder(attention.ids, attention)
    tokens = sum(map(len, packed.rows))
    predicted = tokens * memory._kept(shape_of(family_model), RANK, 4)
    assert predicted == pytest.approx(sum(kept.values()), rel=0.05)


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="reads /proc")
def test_no_weights_stay_mapped_from_their_file(tiny_model: Path, tmp_path: Path) -> None:
    # A copy: another test's model that is not yet let go of would map the file all of them use.
    model = shutil.copytree(tiny_model, tmp_path / "model")
    policy = TorchPolicy(model, Trainer(dtype="float32"), 0)
    assert str(model / "model.safetensors") not in Path("/proc/self/maps").read_text(
        encoding="utf-8"
    )
    assert policy.head.shape == (512, 64)


def test_less_of_anything_needs_less_memory() -> None:
    shape = from_config(KNOWN["smollm2-135m-instruct"].config, "")
    step = Work(8, 8, 256, 8, 96, 1024)
    whole = predict(shape, step, Machine()).peak
    for smaller in (
        Work(8, 8, 256, 8, 96, 512),
        Work(8, 8, 128, 8, 96, 1024),
        Work(1, 1, 256, 8, 96, 1024),
        Work(8, 8, 256, 8, 96, 1024, lora_rank=4),
        Work(8, 8, 256, 8, 96, 1024, checkpointed=True),
    ):
        assert predict(shape, smaller, Machine()).peak < whole
    words = ("none", "int8", "nf4")
    machines = [Machine(quantization=word, merged=word == "none") for word in words]
    peaks = [predict(shape, step, machine).peak for machine in machines]
    assert peaks == sorted(peaks, reverse=True)
    copied = [sum(predict(shape, step, Machine(merged=x)).sampling.values()) for x in (True, False)]
    assert copied[0] - copied[1] == 4 * shape.linear_weights
    # An output layer as large as Gemma's is not packed for ONNX Runtime.
    for name, packed in (("smollm2-135m-instruct", True), ("gemma-3-270m", False)):
        shape = from_config(KNOWN[name].config, "")
        for onnx in (True, False):
            terms = predict(shape, step, Machine(onnx=onnx)).sampling
            assert ("output layer, packed" in terms) == (packed or not onnx)
    shape = from_config(KNOWN["smollm2-135m-instruct"].config, "")
    assert predict(shape, step, Machine(bytes=2)).peak < whole
    assert predict(shape, step, Machine(quantization="8da4w")).peak > whole


@pytest.mark.parametrize("gigabytes", [1.5, 1.9, 2.4])
def test_a_proposal_fits_by_its_own_prediction(gigabytes: float) -> None:
    demo = recipe.load(ROOT / "recipes" / "demo.toml")
    shape = from_config(KNOWN[demo.model.name].config, "")
    amount = int(gigabytes * 1e9)
    found = fit(demo, shape, amount, "cpu", 4, prompt_tokens=256)
    assert found.changes and found.peak > amount
    flags = [
        [f"--{key}"] if value is True else [f"--{key}", str(value)]
        for key, value in found.changes.items()
    ]
    changed = recipe.load(ROOT / "recipes" / "demo.toml", [*chain(*flags)])
    again = fit(changed, shape, amount, "cpu", 4, prompt_tokens=256)
    assert again.changes == {} and again.peak <= amount
    # Nothing was changed for nothing.
    for at in range(len(flags)):
        rest = [*chain(*flags[:at], *flags[at + 1 :])]
        fewer = recipe.load(ROOT / "recipes" / "demo.toml", rest)
        assert fit(fewer, shape, amount, "cpu", 4, prompt_tokens=256).peak > amount


def test_amounts_of_memory() -> None:
    assert read_memory("8GB") == 8 * 10**9 and read_memory("1.5 GiB") == 3 * 2**29


def recipe_of(folder: Path, config: dict[str, Any]) -> Path:
    """A recipe whose model is a folder that holds a config.json alone."""
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(config))
    return write_recipe(folder, model, [])


def test_the_verb_needs_no_weights(tmp_path: Path) -> None:
    path = recipe_of(tmp_path, dict(KNOWN["gemma-3-270m"].config))
    shown = srl_edge("fit", path, "--memory", "64GB", "--device", "cpu")
    assert shown.returncode == 0, shown.stderr
    assert "256 tokens, assumed" in shown.stdout and "it fits." in shown.stdout
    tight = srl_edge("fit", path, "--memory", "3GB", "--device", "cpu")
    assert tight.returncode == 1 and f"srl-edge run {path} --" in tight.stdout


def test_a_hub_id_needs_its_config_alone(tmp_path: Path) -> None:
    config = {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": 1024,
        "head_dim": 128,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    }
    cached = tmp_path / "hub" / "models--Qwen--Qwen3-0.6B"
    snapshot = cached / "snapshots" / ("0" * 40)
    for folder in (snapshot, cached / "refs"):
        folder.mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text(json.dumps(config))
    path = write_recipe(tmp_path, Path("Qwen/Qwen3-0.6B"), [])
    command = [sys.executable, "-m", "srl_edge", "fit", str(path), "--memory", "24GB"]
    offline = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    shown = subprocess.run(
        [*command, "--device", "cuda"], env=offline, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "Qwen/Qwen3-0.6B" in shown.stdout and "it fits." in shown.stdout


@pytest.mark.parametrize(
    ("config", "flags", "code", "message"),
    [
        ({}, ["--memory", "100MB"], 1, "does not fit in 0.1 GB, whatever is halved"),
        ({}, ["--memory", "plenty"], 2, "--memory: 'plenty' is not an amount"),
        ({"model_type": "mamba"}, [], 2, "family 'mamba' cannot be made into"),
        ({"hidden_size": None}, [], 2, "'hidden_size' is missing"),
    ],
)
def test_a_mistake_is_one_sentence(
    config: dict[str, Any], flags: list[str], code: int, message: str, tmp_path: Path
) -> None:
    known = dict(KNOWN["smollm2-135m-instruct"].config) | config
    path = recipe_of(tmp_path, {k: v for k, v in known.items() if v is not None})
    failed = srl_edge("fit", path, "--device", "cpu", *flags)
    assert failed.returncode == code, failed.stderr
    assert message in failed.stderr and len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trainer.backend", "mlx"], "nothing is predicted for trainer.backend = 'mlx'"),
        (["--trainer.device", "mps"], "nothing is predicted for trainer.device = 'mps'"),
        (["--trainer.device", "cuda"], "there is no NVIDIA GPU here; say how much one has"),
    ],
)
def test_a_gpu_that_is_not_here_needs_words(flags: list[str], message: str, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is an NVIDIA GPU")
    failed = srl_edge(
        "fit", recipe_of(tmp_path, dict(KNOWN["smollm2-135m-instruct"].config)), *flags
    )
    assert failed.returncode == 2 and message in failed.stderr, failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_a_sampler_that_is_not_predicted_is_named(tmp_path: Path) -> None:
    path = recipe_of(tmp_path, dict(KNOWN["smollm2-135m-instruct"].config))
    flags = ("fit", path, "--device", "cpu", "--memory", "64GB")
    said = "What trainer.sampler = 'onnx' takes is not counted."
    assert said in srl_edge(*flags, "--trainer.sampler", "onnx").stdout
    assert "not counted" not in srl_edge(*flags).stdout


def test_prompts_are_measured_where_there_is_data(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    assert srl_edge("data", path).returncode == 0
    settings = recipe.load(path)
    tokenizer = load_tokenizer(tiny_model)
    split = trajectories.load(settings.run / "data" / "train.jsonl")
    prompts = [p for group in step_prompts(split, "all") for p in group]
    for stage in settings.stages:
        found = lengths_of(stage, settings.run, None)
        # The tiny tokenizer knows these texts better than a real one would.
        assert found.prompt >= max(len(prompt_ids(tokenizer, p)) for p in prompts)
        assert found.together == 3 and "train.jsonl" in found.said
        assert (found.reply == stage.max_new_tokens) == (stage.kind != "sft")
    assert lengths_of(settings.stages[1], settings.run, 77).prompt == 77
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"problem": "p" * 4000, "solution": "one\ntwo"}) + "\n")
    stage = settings.stages[0].model_copy(update={"data": str(own)})
    found = lengths_of(stage, settings.run, None)
    assert found.prompt > 1400 and "own.jsonl" in found.said


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_known_models_have_the_shape_that_is_written_down(name: str) -> None:
    file = resolve(name) / "config.json"
    assert from_config(json.loads(file.read_text()), name) == from_config(config_of(name), name)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="reads /proc")
@pytest.mark.parametrize(
    "work", [Work(1, 1, 128, 4, 16, 1024), Work(2, 2, 128, 8, 16, 256)], ids=["one", "two"]
)
def test_the_measured_peak_is_within_15_percent(work: Work) -> None:
    name = "smollm2-135m-instruct"
    command = [sys.executable, "benchmarks/fit.py", "child", name, json.dumps(asdict(work))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    measured = max(json.loads(done.stdout.splitlines()[-1]).values())
    predicted = predict(from_config(config_of(name), name), work, Machine(onnx=True)).peak / MIB
    assert predicted == pytest.approx(measured, rel=0.15)
