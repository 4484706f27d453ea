"""A PEFT LoRA folder as plain matrices: where its other forms on a device start from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from srl_edge.errors import InputError

Matrix = np.ndarray[Any, np.dtype[np.float32]]
PREFIX = "base_model.model.model."
# Settings under which an adapter is more than A and B, with the value at which it is not.
_PLAIN = {
    "use_dora": False, "bias": "none", "modules_to_save": None, "alpha_pattern": {},
    "rank_pattern": {}, "lora_bias": False, "trainable_token_indices": None,
}  # fmt: skip


def require_safetensors(adapter: Path) -> None:
    """Raise InputError, in one sentence, for a folder that is no PEFT adapter in safetensors."""
    if not (adapter / "adapter_model.safetensors").is_file():
        pickled = (adapter / "adapter_model.bin").is_file()
        raise InputError(
            f"{adapter}: "
            + ("pickled weights are not read; save the adapter as safetensors."
               if pickled else "no adapter_model.safetensors, so this is not a PEFT adapter.")
        )  # fmt: skip


def read(adapter: Path) -> dict[str, tuple[Matrix, Matrix]]:
    """A [r, in] and B [out, r], with the scaling in B, by module: `layers.0.self_attn.q_proj`.

    Raises InputError for what A and B alone do not say: DoRA, biases, modules saved whole.
    """
    require_safetensors(adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    for name, plain in _PLAIN.items():
        if config.get(name, plain) not in (plain, None):
            raise InputError(
                f"{adapter}: has {name} = {config[name]!r}, which only the merged model can carry; "
                "export it with export.adapter = 'merged'."
            )
    rank = config["r"]
    scaling = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    try:
        tensors = load_file(adapter / "adapter_model.safetensors")
    except SafetensorError as error:
        raise InputError(f"{adapter}/adapter_model.safetensors: {error}.") from None
    modules = {name.removeprefix(PREFIX).rsplit(".lora_", 1)[0] for name in tensors}
    return {
        module: (
            tensors[f"{PREFIX}{module}.lora_A.weight"].astype(np.float32),
            tensors[f"{PREFIX}{module}.lora_B.weight"].astype(np.float32) * np.float32(scaling),
        )
        for module in sorted(modules)
    }
