"""Models of odd settings: each route computes what transformers does, or refuses by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.executorch import build as executorch
from srl_edge.exporters.onnx import adapter as onnx_adapter
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.parity.logits import teacher_forced
from srl_edge.line import require_routes
from srl_edge.models import routes
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import Recipe
from tests.helpers.artifacts import make_adapter, token_ids
from tests.helpers.models import make_model

PROMPT, REPLY = token_ids(90), token_ids(40, seed=1)


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


LINEAR = rope("linear", factor=4.0)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=64)
DYNAMIC = rope("dynamic", factor=4.0)
LONGROPE = rope(
    "longrope",
    factor=4.0,
    original_max_position_embeddings=64,
    short_factor=[1.0] * 16,
    long_factor=[float(i + 1) for i in range(16)],
)
LLAMA3 = rope(
    "llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
GLOBAL = {
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
}
SLIDING = {"use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}
PARTIAL = rope("default", partial_rotary_factor=0.5)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("llama", LINEAR),
    "yarn": ("llama", YARN),
    "yarn of Qwen3": ("qwen3", YARN),
    "dynamic": ("llama", DYNAMIC),
    "longrope": ("llama", LONGROPE),
    "llama3": ("llama", LLAMA3),
    "Gemma 3's global factor": ("gemma3", GLOBAL),
    "a window in some layers": ("qwen2", SLIDING),
    "half of each head": ("llama", PARTIAL),
}


@pytest.fixture(scope="module", params=list(MODELS))
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    family, settings = MODELS[request.param]
    model = make_model(family, tmp_path_factory.mktemp("odd"), **settings)
    return request.param, model, TorchRuntime(model).score(PROMPT, REPLY)


def onnx_route(model: Path, out: Path) -> OnnxRuntime:
    onnx.export(model, out, "fp32", 256)
    return OnnxRuntime(out, 256, 1)


def separate_route(model: Path, out: Path) -> OnnxRuntime:
    """The graph with LoRA inputs, as the sampler has it, with none given."""
    onnx_adapter.export(model, make_adapter(model, out / "peft", 1), out, "fp32", 256)
    return OnnxRuntime(out, 256, 1)


def executorch_route(model: Path, out: Path) -> ExecuTorchRuntime:
    executorch.export(model, out, "fp32", 256)
    shutil.copy(model / "tokenizer.json", out)
    return ExecuTorchRuntime(out, 256, 1)


REFUSED: dict[Callable[[Path, Path], Any], tuple[str, ...]] = {
    onnx_route: ("longrope", "half of each head"),
    separate_route: ("longrope", "half of each head"),
    executorch_route: ("longrope", "dynamic"),
}


@pytest.mark.parametrize("route", [onnx_route, separate_route, executorch_route])
def test_a_route_computes_the_model_or_refuses_it(
    route: Callable[[Path, Path], Any], odd: Any, tmp_path: Path
) -> None:
    name, model, expected = odd
    if name in REFUSED[route]:
        with pytest.raises(InputError, match=r"rotary embeddings and cannot be|rotates 50% of"):
            route(model, tmp_path)
        return
    got = np.array(teacher_forced(route(model, tmp_path), PROMPT, REPLY))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "artifact", "words"),
    [
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            "onnx-int8",
            "already .gptq.; take the unq",
        ),
        ({"quantization_config": {"quant_method": "awq"}}, "onnx-int8", "already .awq."),
        ({"quantization": {"group_size": 64, "bits": 4}}, "onnx-int8", "already .MLX."),
        ({"hidden_size": 48}, "onnx-int4", "widths .48., which are no multiples of"),
        ({"intermediate_size": 100}, "executorch-8da4w", "widths .100., which are no multiples"),
        ({"max_position_embeddings": 128}, "onnx-int8", "512 is more than the 128 pos"),
        ({"max_position_embeddings": 128}, "mlx-fp16", "512 is more than the 128 pos"),
        (LONGROPE, "mlx-fp16", "has longrope rotary embeddings and cannot be made into mlx-fp16"),
        (
            {"model_type": "qwen2", "head_dim": 16, **SLIDING},
            "mlx-fp16",
            "sliding window, and cannot be made",
        ),
        ({"model_type": "qwen2"}, "mlx-fp16", "has head_dim = 32, and cannot be made into mlx"),
        ({"rope_scaling": {"type": "longrope"}}, "onnx-int8", "has longrope rotary embeddings"),
        (
            {"text_config": {"model_type": "gemma3_text"}, "model_type": "gemma3"},
            "gguf-q8_0",
            "sees as well as it reads .gemma3.",
        ),
        ({"head_dim": 128}, "onnx-fp32", "layers as wide as its vocabulary .512., and cannot be"),
        ({"intermediate_size": 512}, "onnx-int4", "layers as wide as its vocabulary .512."),
        ({"num_key_value_heads": 4, "vocab_size": 128}, "onnx-int8", "vocabulary .128., and"),
        ({"head_dim": 24}, "onnx-fp32", "head_dim = 24, and cannot be made into onnx-fp32"),
        ({"hidden_act": "gelu"}, "mlx-fp16", "has hidden_act = gelu, and cannot be made"),
        ({"model_type": "gemma3_text", "hidden_activation": "silu"}, "mlx-fp16", "hidden_activ"),
        ({"model_type": "gemma3_text", "final_logit_softcapping": 30.0}, "mlx-fp16", "softcapping"),
        ({"model_type": "qwen3", "attention_bias": True}, "mlx-fp16", "has attention_bias = True"),
        ({"use_bidirectional_attention": True}, "onnx-fp32", "has use_bidirectional_attention"),
        (rope("yarn", factor=4.0, attention_factor=1.5), "mlx-fp16", "rope attention_factor = 1.5"),
        (rope("yarn", factor=4.0, truncate=False), "mlx-fp16", "has rope truncate = False"),
        (
            {"model_type": "gemma3_text"} | GLOBAL,
            "mlx-fp16",
            "linear .* which takes default.",
        ),
        (
            {"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
            "mlx-int4",
            "has linear rotary embeddings and cannot be made into mlx-int4",
        ),
    ],
)
def test_what_no_route_can_do_is_said_before_anything_is_loaded(
    config: dict[str, Any], artifact: str, words: str, tmp_path: Path
) -> None:
    plain = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "vocab_size": 512,
        "num_attention_heads": 4,
        "head_dim": 32,
        "max_position_embeddings": 2048,
    }
    (tmp_path / "config.json").write_text(json.dumps(plain | config))
    recipe = Recipe.model_validate(
        {
            "output": "x",
            "model": {"name": str(tmp_path)},
            "stages": [{"kind": "sft", "steps": 1}],
            "export": {"artifacts": [artifact], "context_length": 512},
        }
    )
    with pytest.raises(InputError, match=words):
        require_routes(recipe)


@pytest.mark.parametrize(
    ("added", "refused"),
    [
        ({}, False),
        ({"sep_token": "<image>"}, False),  # of Gemma 3, whose text models have none
        ({"additional_special_tokens": ["<image>", "<audio>"]}, False),
        ({"pad_token": "<|mine|>"}, True),
        ({"additional_special_tokens": ["<|im_start|>"]}, True),  # the template writes it
        ({"plain": "thing"}, True),
    ],
)
def test_a_tokenizer_larger_than_its_model_is_refused(
    added: dict[str, Any], refused: bool, tiny_model: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = len(tokenizer)
    if "plain" in added:
        tokenizer.add_tokens([added["plain"]])
    else:
        tokenizer.add_special_tokens(added)
    if "<|im_start|>" in str(added):
        rows = tokenizer.convert_tokens_to_ids("<|im_start|>")
        tokenizer.chat_template = "<|im_start|>"
    if not refused:
        routes.require_vocabulary({"vocab_size": rows}, tokenizer, "m")
        return
    with pytest.raises(InputError, match=rf"knows {len(tokenizer)} tokens .* embeddings of {rows}"):
        routes.require_vocabulary({"vocab_size": rows}, tokenizer, "m")
