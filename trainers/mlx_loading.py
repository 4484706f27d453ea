"""A model folder as an MLX decoder, through mlx-lm, held against what its configuration says."""

import contextlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import psutil
import torch
import transformers
from mlx_lm.utils import load_model
from transformers import AutoConfig, AutoModelForCausalLM

from srl_edge.errors import InputError
from srl_edge.flat_rope import flat
from srl_edge.trainers.mlx_decoder import MlxDecoder

GROUP = 64  # weights that share a scale
BITS = {"int8": 8, "int4": 4}
PROBE = 48  # tokens of the text on which logits are compared


def load(model: Path, dtype: mx.Dtype, quantization: str, checkpointed: bool) -> MlxDecoder:
    """Load a folder of safetensors; `quantization` is of the layers' linear maps: affine, by 64.

    Raises InputError for a family that mlx-lm's configuration does not fit, and where the loaded
    model does not compute what transformers does by the same configuration.
    """
    if quantization not in ("none", *BITS):
        raise InputError(
            f"trainer.quantization = {quantization!r} needs trainer.backend = 'torch'; mlx has "
            "none, int8 and int4."
        )
    config = AutoConfig.from_pretrained(model)
    settings = flat(config.to_dict(), model, "trained on MLX")
    loaded, _ = load_model(model, lazy=True, model_config=settings)
    loaded.set_dtype(dtype)
    loaded.freeze()
    loaded.eval()
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    window = getattr(config, "sliding_window", None)
    decoder = MlxDecoder(
        loaded,
        config.hidden_size**0.5 if config.model_type.startswith("gemma") else 1.0,
        tuple(window if kind == "sliding_attention" else None for kind in kinds),
        checkpointed,
    )
    _check(decoder, model, config, kinds, dtype)
    if quantization != "none":
        nn.quantize(
            loaded, GROUP, BITS[quantization],
            class_predicate=lambda path, module: ".layers." in path and _linear(model, module),
        )  # fmt: skip
    mx.eval(loaded.parameters())
    return decoder


def limit_memory() -> None:
    """Let MLX take no more memory than this machine recommends, or has."""
    total = psutil.virtual_memory().total
    if mx.metal.is_available():
        mx.set_wired_limit(int(mx.device_info()["max_recommended_working_set_size"]))
    mx.set_memory_limit(int(0.9 * total))


def _linear(model: Path, module: nn.Module) -> bool:
    if not isinstance(module, nn.Linear):
        return False
    if module.weight.shape[1] % GROUP:
        raise InputError(
            f"{model}: has a layer of {module.weight.shape[1]} inputs, and quantized weights come "
            f"in groups of {GROUP}; use trainer.quantization = 'none'."
        )
    return True


def _check(
    decoder: MlxDecoder, model: Path, config: Any, kinds: list[str], dtype: mx.Dtype
) -> None:
    """Compare logits through the first layers, a layer of each kind among them."""
    count = max(kinds.index(kind) for kind in kinds) + 1
    short = deepcopy(config)
    short.num_hidden_layers = count
    if getattr(config, "layer_types", None):
        short.layer_types = kinds[:count]
    wide = dtype == mx.float32
    with _quiet(), torch.no_grad():
        reference = AutoModelForCausalLM.from_pretrained(
            model, config=short, dtype=torch.float32 if wide else torch.bfloat16
        )
        ids = np.arange(PROBE) * 7 % config.vocab_size
        expected = reference(torch.from_numpy(ids)[None]).logits[0].float().numpy()
    from srl_edge.trainers.mlx_attention import Causal

    first = replace(decoder, windows=decoder.windows[:count], checkpointed=False)
    logits = first(mx.array(ids), Causal(PROBE)) @ decoder.head.T
    error = np.linalg.norm(np.array(logits.astype(mx.float32)) - expected)
    error /= np.linalg.norm(expected)
    if error > (1e-3 if wide else 0.1):
        raise InputError(
            f"{model}: what MLX computes differs from what its configuration says by {error:.1%}; "
            "this model is not supported on MLX."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remark that the other layers' weights are not used."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
