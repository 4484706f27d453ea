"""Adapters on disk: PEFT's folder, which PEFT reads, whatever trained them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

Matrix = np.ndarray[Any, np.dtype[np.float32]]
FROZEN = "frozen_weights.json"
_PREFIX = "base_model.model."


def write(
    folder: Path, weights: Mapping[str, Matrix], rank: int, alpha: float, base: str,
    prefix: str = "model.", frozen: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """Write matrices by name, `layers.0.self_attn.q_proj.lora_A.weight`; return the folder.

    prefix: the decoder's name inside the model. frozen: backend, quantization and dtype of the
    weights that the adapter was trained on, for `frozen_weights.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
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
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    if frozen:
        (folder / FROZEN).write_text(json.dumps(dict(frozen)) + "\n")
    named = {f"{_PREFIX}{prefix}{k}": np.ascontiguousarray(v) for k, v in weights.items()}
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def read(folder: Path, prefix: str = "model.") -> dict[str, Matrix]:
    """The matrices of a folder, by the names that `write` takes."""
    state = load_file(folder / "adapter_model.safetensors")
    return {name.removeprefix(f"{_PREFIX}{prefix}"): value for name, value in state.items()}
