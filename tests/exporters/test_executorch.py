"""The ExecuTorch exporter against transformers (fp32) and against itself in torch (quantized)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
)

pytest.importorskip("executorch")

from srl_edge.errors import InputError
from srl_edge.exporters.decoder.quantized import Linears
from srl_edge.exporters.executorch import build as executorch
from srl_edge.exporters.executorch import delegates as executorch_delegates
from srl_edge.exporters.executorch.model import build

CONTEXT, WINDOW = 48, 8
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {"tie_word_embeddings": True}),
    "llama3_rope": (
        LlamaConfig,
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {"head_dim": 32}),
    "gemma3": (
        Gemma3TextConfig,
        {
            "head_dim": 32,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 48,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
}
BASE = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": [2, 5],
    "pad_token_id": 0,
}
TOKENS = [int(t) for t in np.random.default_rng(0).integers(3, 128, 24)]
PROMPT = 14  # longer than the window


def save_model(folder: Path, family: str, **changes: Any) -> Path:
    torch.manual_seed(0)
    kind, extra = CONFIGS[family]
    config = kind(**(BASE | extra | changes))
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        # Norms and biases start as ones and zeros, which would hide them.
        std = 0.2 if name.endswith(("norm.weight", "bias")) else 0.08
        parameter.data += torch.randn_like(parameter) * std
    model.save_pretrained(folder)
    return folder


def load(path: Path) -> Any:
    from executorch.extension.pybindings import portable_lib

    return portable_lib._load_for_executorch(str(path))


def run(path: Path, tokens: list[int], prompt: int) -> torch.Tensor:
    """Logits after the prompt, taken in one go, and after each later token, taken one by one."""
    module = load(path)

    def forward(ids: list[int], position: int) -> torch.Tensor:
        logits: torch.Tensor = module.forward((torch.tensor([ids]), torch.tensor([position])))[0]
        return logits

    rows = [forward(tokens[:prompt], 0)]
    rows += [forward([tokens[i]], i) for i in range(prompt, len(tokens))]
    return torch.cat(rows)


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_fp32_equals_transformers(tmp_path: Path, family: str) -> None:
    folder = save_model(tmp_path / "model", family)
    path = executorch.export(folder, tmp_path, "fp32", CONTEXT)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = model(torch.tensor([TOKENS])).logits[0, PROMPT - 1 :]
    got = run(path, TOKENS, PROMPT)
    assert torch.allclose(got, expected, atol=1e-4, rtol=1e-4)
    one_by_one = run(path, TOKENS, 1)[PROMPT - 1 :]
    assert torch.allclose(one_by_one, expected, atol=1e-4, rtol=1e-4)

    module = load(path)
    assert module.run_method("get_max_seq_len", ()) == [CONTEXT]
    assert module.run_method("get_vocab_size", ()) == [128]
    assert module.run_method("get_bos_id", ()) == [1]
    assert module.run_method("get_eos_ids", ()) == [2, 5]


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
@torch.no_grad()
def test_8da4w_equals_the_quantized_torch_model(tmp_path: Path, family: str) -> None:
    folder = save_model(tmp_path / "model", family)
    calibration = [TOKENS, TOKENS[::-1]]
    path = executorch.export(folder, tmp_path, "8da4w", CONTEXT, calibration)
    precision = executorch.PRECISIONS["8da4w"]
    decoder = build(folder, AutoConfig.from_pretrained(folder), precision, CONTEXT, calibration)
    expected = [decoder(torch.tensor([TOKENS[:PROMPT]]), torch.tensor([0]))]
    for i in range(PROMPT, len(TOKENS)):
        expected.append(decoder(torch.tensor([[TOKENS[i]]]), torch.tensor([i])))
    # An activation on the edge between two of its 8-bit steps may be rounded either way.
    error = (run(path, TOKENS, PROMPT) - torch.cat(expected)).abs()
    assert error.median() < 1e-4
    assert error.max() < 0.05 * torch.cat(expected).abs().max()


def test_exports_are_deterministic(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "qwen3")
    first = executorch.export(folder, tmp_path / "1", "8da4w", CONTEXT, [TOKENS])
    second = executorch.export(folder, tmp_path / "2", "8da4w", CONTEXT, [TOKENS])
    same = first.read_bytes() == second.read_bytes()
    assert same  # asserted apart, as pytest would explain a difference byte by byte


@pytest.mark.parametrize(
    ("family", "quantization"), [("qwen3", "fp32"), ("llama", "8da8w"), ("gemma3", "8da4w")]
)
def test_the_passes_that_are_left_out_would_change_nothing(
    tmp_path: Path, family: str, quantization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from executorch.backends.xnnpack import _passes, xnnpack_preprocess

    folder = save_model(tmp_path / "model", family)
    without = executorch.export(folder, tmp_path / "without", quantization, CONTEXT).read_bytes()
    assert b"XnnpackBackend" in without
    assert xnnpack_preprocess.XNNPACKPassManager is executorch_delegates._NoPasses
    monkeypatch.setattr(executorch_delegates, "_KNOWN", ())
    monkeypatch.setattr(xnnpack_preprocess, "XNNPACKPassManager", _passes.XNNPACKPassManager)
    same = without == executorch.export(folder, tmp_path, quantization, CONTEXT).read_bytes()
    assert same


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
@pytest.mark.parametrize(
    ("quantization", "backend"), [("vulkan-fp16", b"Vulkan"), ("coreml-fp16", b"CoreML")]
)
def test_programs_for_phones_are_wholly_lowered(
    tmp_path: Path, quantization: str, backend: bytes, family: str
) -> None:
    folder = save_model(tmp_path / "model", family)
    programs = [
        executorch.export(folder, tmp_path / str(i), quantization, CONTEXT).read_bytes()
        for i in range(2)
    ]
    stages = AutoConfig.from_pretrained(folder).num_hidden_layers + 1
    assert programs[0].count(backend + b"Backend") >= stages
    assert b"XnnpackBackend" not in programs[0]
    different = sum(a != b for a, b in zip(*programs, strict=True))
    assert different < (1000 * stages if backend == b"CoreML" else 1)  # the UUIDs of its packages


@torch.no_grad()
def test_calibration_brings_the_quantized_model_closer(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    generator = torch.Generator().manual_seed(1)
    texts = torch.randint(3, 128, (40, 32), generator=generator).tolist()
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = model(torch.tensor(texts[:8])).logits[:, -1]

    def error(calibration: list[list[int]]) -> float:
        precision = executorch.PRECISIONS["8da4w"]
        decoder = build(folder, config, precision, CONTEXT, calibration)
        got = torch.cat([decoder(torch.tensor([t]), torch.tensor([0])) for t in texts[:8]])
        return float((got - expected).square().mean())

    assert error(texts[8:]) < error([])


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@torch.no_grad()
def test_calibration_texts_that_begin_alike_are_computed_as_if_they_were_alone(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model(tmp_path / "model", family)
    config = AutoConfig.from_pretrained(folder)
    texts = [TOKENS, TOKENS[:15] + TOKENS[:7], TOKENS[:10], TOKENS[3:]]
    reached: list[tuple[torch.Tensor, torch.Tensor]] = []
    monkeypatch.setattr(
        Linears, "quantize", lambda linears, x, times: reached.append((x[0], times))
    )
    build(folder, config, executorch.PRECISIONS["fp32"], CONTEXT, texts)
    found, times = reached[-1]  # by the projection to the vocabulary
    model = AutoModelForCausalLM.from_pretrained(folder).model
    alone = [model(torch.tensor([text])).last_hidden_state[0] for text in texts]
    expected = torch.cat([alone[0], alone[1][15:], alone[3]])
    assert torch.allclose(found, expected, atol=1e-4)
    counted, all_tokens = found * times.sqrt()[:, None], torch.cat(alone)
    assert times.sum() == len(all_tokens)
    assert torch.allclose(counted.T @ counted, all_tokens.T @ all_tokens, atol=1e-2, rtol=1e-4)


@torch.no_grad()
def test_layers_named_by_the_user_are_in_8_bits(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    expected = AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([TOKENS])).logits[0]

    def exported(name: str, *layers: str) -> tuple[float, int]:
        path = executorch.export(
            folder, tmp_path / name, "8da4w", CONTEXT, [TOKENS], int8_layers=layers
        )
        error = (run(path, TOKENS, 1) - expected).square().mean()
        return float(error), path.stat().st_size

    plain, some, every = exported("plain"), exported("some", "*.down_proj"), exported("every", "*")
    assert every[0] < 0.8 * plain[0]  # what is left comes from the embedding, the head and inputs
    assert plain[1] < some[1] < every[1]
    with pytest.raises(InputError, match=r"'down_proj' matches no linear layer"):
        exported("none", "down_proj")


@pytest.mark.parametrize(
    ("quantization", "context_length", "changes", "message"),
    [
        ("int4", CONTEXT, {}, "int4"),
        ("fp32", 512, {}, "256"),
        ("8da4w", CONTEXT, {"intermediate_size": 80}, "80"),
        ("fp32", CONTEXT, {"hidden_act": "relu"}, "relu"),
    ],
)
def test_refusals(
    tmp_path: Path, quantization: str, context_length: int, changes: dict[str, Any], message: str
) -> None:
    folder = save_model(tmp_path / "model", "llama", **changes)
    with pytest.raises(InputError, match=message):
        executorch.export(folder, tmp_path, quantization, context_length)
