"""A model folder as an MLX decoder, through mlx-lm, held against what its configuration says."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import psutil
import torch
import transformers
from mlx.utils import tree_map_with_path
from mlx_lm.utils import load_model
from safetensors import safe_open

from srl_edge.errors import InputError
from srl_edge.models import loading
from srl_edge.models.families import family_of
from srl_edge.models.mlx_settings import mlx_settings
from srl_edge.quantization.formats import Trainable, require_trainable
from srl_edge.trainers.mlx_backend.attention import Causal
from srl_edge.trainers.mlx_backend.cached_decoder import MlxCachedDecoder
from srl_edge.trainers.mlx_backend.decoder import MlxDecoder
from srl_edge.trainers.mlx_backend.logprobs import bent_logits

GROUP = 64  # weights that share a scale
BITS = {"int8": 8, "int4": 4}
# Of Gemma 4: matrices that hold a part for each layer, one after another.
_BY_LAYER = ("embed_tokens_per_layer.weight", "per_layer_model_projection.weight")
PROBE = 48  # tokens of the text on which logits are compared


def load(
    model: Path, dtype: mx.Dtype, quantization: Trainable, checkpointed: bool
) -> MlxDecoder | MlxCachedDecoder:
    """Load a folder of safetensors; `quantization` is of the layers' linear maps: affine, by 64.

    Raises InputError for a family that mlx-lm's configuration does not fit, and where the loaded
    model does not compute what transformers does by the same configuration.
    """
    require_trainable(quantization, "mlx")
    config = loading.settings(model)
    text = config.get_text_config()
    family = family_of(text.model_type, "mlx", model, "trained on MLX")
    cached = family.own_forward
    if cached and checkpointed:
        raise InputError(
            f"{model}: trainer.gradient_checkpointing is not to be had for {text.model_type} on "
            "MLX; use a smaller trainer.micro_batch_tokens."
        )
    settings = mlx_settings(model, config, "trained on MLX")
    try:
        loaded, _ = load_model(model, lazy=True, model_config=settings)
    except ValueError as error:  # weights that are missing, left over, or of another shape
        said = " ".join(str(error).splitlines()[:2]).rstrip(".,")
        raise InputError(
            f"{model}: mlx-lm does not load it: {said}; give the config.json that belongs to its "
            "weights, or save the whole model again."
        ) from None
    loaded = getattr(loaded, "language_model", loaded)
    _cast(loaded, dtype)
    loaded.freeze()
    loaded.eval()
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    decoder: MlxDecoder | MlxCachedDecoder
    if cached:
        decoder = MlxCachedDecoder(loaded, getattr(text, "final_logit_softcapping", None))
    else:
        window = getattr(text, "sliding_window", None)
        decoder = MlxDecoder(
            loaded,
            family.embedding_scale(text.hidden_size),
            tuple(window if kind == "sliding_attention" else None for kind in kinds),
            checkpointed,
        )
    _check(decoder, model, text, kinds, dtype)
    if quantization != "none":
        nn.quantize(
            loaded,
            GROUP,
            BITS[quantization],
            class_predicate=lambda path, module: ".layers." in path and _linear(model, module),
        )
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


def _cast(loaded: nn.Module, dtype: mx.Dtype) -> None:
    """Keep weights in a type, but for those that mlx-lm says lose too much by it."""
    may = getattr(loaded, "cast_predicate", lambda path: True)

    def cast(path: str, x: mx.array) -> mx.array:
        return x.astype(dtype) if may(path) and mx.issubdtype(x.dtype, mx.floating) else x

    loaded.update(tree_map_with_path(cast, loaded.parameters()))


def _check(
    decoder: MlxDecoder | MlxCachedDecoder,
    model: Path,
    config: Any,
    kinds: list[str],
    dtype: mx.Dtype,
) -> None:
    """Compare logits through the first layers, a layer of each kind among them."""
    count = max(kinds.index(kind) for kind in kinds) + 1
    wide = dtype == mx.float32
    ids = np.arange(PROBE) * 7 % config.vocab_size
    with _quiet(), torch.no_grad():
        reference = _first_layers(
            model, config, kinds[:count], torch.float32 if wide else torch.bfloat16
        )
        expected = reference(torch.from_numpy(ids)[None]).logits[0].float().numpy()
    if isinstance(decoder, MlxDecoder):
        first = replace(decoder, windows=decoder.windows[:count], checkpointed=False)
        hidden = first(mx.array(ids), Causal(PROBE))
    else:
        hidden = decoder.first_layers(count, mx.array(ids))
    logits, _ = bent_logits(hidden, decoder.head, decoder.softcap)
    error = np.linalg.norm(np.array(logits) - expected)
    error /= np.linalg.norm(expected)
    if error > (1e-3 if wide else 0.1):
        raise InputError(
            f"{model}: what MLX computes differs from what its configuration says by {error:.1%}; "
            "this model is not supported on MLX."
        )


def _first_layers(model: Path, config: Any, kinds: list[str], dtype: torch.dtype) -> Any:
    """transformers' model of the first layers alone."""
    settings = config.to_dict() | {"num_hidden_layers": len(kinds)}
    if getattr(config, "layer_types", None):
        settings["layer_types"] = kinds
    if config.model_type == "gemma4_text":
        own = settings["per_layer_config"]
        settings["per_layer_config"] = {i: x for i, x in own.items() if int(i) < len(kinds)}
        settings["num_kv_shared_layers"] = 0
    found = loading.network(
        model,
        partly=True,
        config=type(config).from_dict(settings),
        dtype=dtype,
        ignore_mismatched_sizes=True,
    )
    for name in _BY_LAYER:  # made anew, as they are too long: take the part of the first layers
        if getattr(config, "hidden_size_per_layer_input", 0):
            weight = found.get_parameter(f"model.{name}")
            weight.copy_(_tensor(model, f"model.{name}")[tuple(map(slice, weight.shape))])
    return found


def _tensor(model: Path, name: str) -> torch.Tensor:
    """A tensor of a folder of safetensors."""
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if name in file.keys():  # noqa: SIM118 - a file of tensors is no mapping
                found: torch.Tensor = file.get_tensor(name)
                return found
    raise InputError(f"{model}: has no tensor {name}.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remark that the other layers' weights are not used."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
