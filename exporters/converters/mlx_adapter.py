"""Adapters as mlx-lm's folders, from PEFT's and back; neither PEFT nor mlx-lm is needed."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.models import adapter_folder
from srl_edge.models.loading import require_inside

FILE = "adapters.safetensors"
_PREFIX = "model."
_OF_QWEN3_5 = "language_model."  # before all names, as mlx-lm has it for the language alone too


def write(adapter: Path, out: Path) -> Path:
    """Write a PEFT folder as a folder for `mlx_lm --adapter-path`; return it.

    Layers that the adapter leaves out get no matrices, and so mlx-lm's own, which do nothing. The
    scaling is in B. Raises InputError for what A and B alone do not say.
    """
    found = adapter_folder.of_one_rank(adapter_folder.pairs(adapter))
    tensors = {}
    prefix = _PREFIX
    if any(".linear_attn." in module for module in found):
        prefix = f"{_OF_QWEN3_5}{_PREFIX}"
    for module, (a, b) in found.items():
        tensors[f"{prefix}{module}.lora_a"] = np.ascontiguousarray(a.T)
        tensors[f"{prefix}{module}.lora_b"] = np.ascontiguousarray(b.T)
    rank = len(next(iter(found.values()))[0])
    config = {
        "fine_tune_type": "lora",
        "num_layers": -1,  # all
        "lora_parameters": {
            "rank": rank,
            "scale": 1.0,
            "dropout": 0.0,
            "keys": sorted({module.split(".", 2)[2] for module in found}),
        },
    }
    out.mkdir(parents=True)
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_file(tensors, out / FILE)
    return out


@contextmanager
def as_peft(adapter: Path, out: Path) -> Iterator[Path]:
    """The PEFT folder that `to_peft` writes; what is wrong with it is said of the adapter."""
    made = to_peft(adapter, out)
    try:
        yield made
    except InputError as error:
        raise InputError(str(error).replace(str(made), str(adapter))) from None


def to_peft(adapter: Path, out: Path) -> Path:
    """Write a folder of mlx-lm as a PEFT folder; return it.

    Raises InputError for DoRA, whole weights, anything but matrices on the layers' linear maps, and
    where the files leave open which scale the matrices were trained with.
    """
    require_inside(adapter)
    config = read_json(adapter / "adapter_config.json", "MlxAdapter")
    kind = config.get("fine_tune_type", "lora")
    if kind != "lora":
        raise InputError(f"{adapter}: fine_tune_type is {kind!r}; only 'lora' can be converted.")
    weights: dict[str, np.ndarray] = {}  # type: ignore[type-arg]
    for name, tensor in adapter_folder.tensors(adapter / FILE).items():
        module, _, side = name.removeprefix(_OF_QWEN3_5).removeprefix(_PREFIX).rpartition(".lora_")
        if side not in ("a", "b") or not re.match(r"layers\.\d+\.", module) or tensor.ndim != 2:
            raise InputError(f"{adapter}: {name} is no LoRA matrix of a linear map in a layer.")
        if not np.isfinite(tensor).all():
            raise InputError(f"{adapter}: {name} holds what is no finite number.")
        name = f"{module}.lora_{side.upper()}.weight"
        weights[name] = np.ascontiguousarray(tensor.T)
    if (parameters := config.get("lora_parameters")) is None:
        raise InputError(f"{adapter}/adapter_config.json: has no lora_parameters.")
    rank, base = parameters["rank"], config.get("model")
    _require_one_scale(adapter, config)
    layers = sorted({int(name.split(".")[1]) for name in weights})
    ranks = {len(matrix) for name, matrix in weights.items() if name.endswith("lora_A.weight")}
    if ranks != {rank}:
        raise InputError(f"{adapter}: says rank {rank}, and its matrices have {sorted(ranks)}.")
    return adapter_folder.write(
        out, weights, rank, parameters["scale"] * rank, base, only_layers=layers
    )


def _require_one_scale(adapter: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError where an alpha may count, or may not.

    mlx-lm 0.12 to 0.14 multiplied the scale by alpha / rank; 0.18 wrote the same alpha by
    default, and left it alone. Those since 0.20 also name the `fine_tune_type`.
    """
    parameters = config["lora_parameters"]
    rank, scale, alpha = parameters["rank"], parameters["scale"], parameters.get("alpha")
    if alpha is not None and alpha != rank and "fine_tune_type" not in config:
        raise InputError(
            f"{adapter}/adapter_config.json: has alpha {alpha:g} beside scale {scale:g}. mlx-lm "
            "multiplied them up to version 0.14, and no longer in 0.18: write scale "
            f"{scale * alpha / rank:g} or leave {scale:g}, and take alpha out."
        )
