"""Adapters on disk: PEFT's folder, which PEFT reads, whatever trained them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from srl_edge.errors import InputError
from srl_edge.files import read_json

Matrix = np.ndarray[Any, np.dtype[np.float32]]
FROZEN = "frozen_weights.json"
PREFIX = "base_model.model.model."
# Settings under which an adapter is more than A and B, with the value at which it is not.
_PLAIN = {
    "use_dora": False, "bias": "none", "modules_to_save": None, "alpha_pattern": {},
    "rank_pattern": {}, "lora_bias": False, "trainable_token_indices": None,
}  # fmt: skip


def write(
    folder: Path, weights: Mapping[str, Matrix], rank: int, alpha: float,
    base: str | None, frozen: Mapping[str, str] | None = None,
    only_layers: Sequence[int] | None = None,
) -> Path:  # fmt: skip
    """Write matrices by name, `layers.0.self_attn.q_proj.lora_A.weight`; return the folder.

    frozen: backend, quantization and dtype of the weights that the adapter was trained on, for
    `frozen_weights.json`. only_layers: those that have an adapter, where not all have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({name.rsplit(".", 3)[1] for name in weights}),
        "inference_mode": True,
    }
    if only_layers is not None:
        config["layers_to_transform"] = list(only_layers)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    if frozen:
        (folder / FROZEN).write_text(json.dumps(dict(frozen)) + "\n")
    named = {f"{PREFIX}{k}": np.ascontiguousarray(v) for k, v in weights.items()}
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def read(folder: Path) -> dict[str, Matrix]:
    """The matrices of a folder, by the names that `write` takes; raises InputError for another."""
    require_safetensors(folder)
    try:
        state = load_file(folder / "adapter_model.safetensors")
    except (SafetensorError, TypeError, KeyError) as error:  # also a type that numpy has not
        raise InputError(f"{folder}/adapter_model.safetensors: {error}.") from None
    return {name.removeprefix(PREFIX): value for name, value in state.items()}


def pairs(adapter: Path) -> dict[str, tuple[Matrix, Matrix]]:
    """A [r, in] and B [out, r], with the scaling in B, by module: `layers.0.self_attn.q_proj`.

    Raises InputError for what A and B alone do not say: DoRA, biases, modules saved whole.
    """
    matrices = read(adapter)
    config = read_json(adapter / "adapter_config.json", "Adapter")
    for name, plain in _PLAIN.items():
        if config.get(name, plain) not in (plain, None):
            raise InputError(
                f"{adapter}: has {name} = {config[name]!r}, which only the merged model can carry; "
                "export it with export.adapter = 'merged'."
            )
    modules = {name.rsplit(".lora_", 1)[0] for name in matrices}
    try:
        rank = config["r"]
        scaling = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
        return {
            module: (
                matrices[f"{module}.lora_A.weight"].astype(np.float32),
                matrices[f"{module}.lora_B.weight"].astype(np.float32) * np.float32(scaling),
            )
            for module in sorted(modules)
        }
    except KeyError as error:
        raise InputError(f"{adapter}: has no matrix {error}, so A and B are no pairs.") from None
    except OverflowError:
        raise InputError(f"{adapter}: has r = {config['r']}, which no matrix is of.") from None


def require_safetensors(adapter: Path) -> None:
    """Raise InputError, in one sentence, for a folder that is no PEFT adapter in safetensors."""
    if not (adapter / "adapter_model.safetensors").is_file():
        pickled = (adapter / "adapter_model.bin").is_file()
        raise InputError(
            f"{adapter}: "
            + ("pickled weights are not read; save the adapter as safetensors."
               if pickled else "no adapter_model.safetensors, so this is not a PEFT adapter.")
        )  # fmt: skip
