"""Adapters on disk: PEFT's folder, which PEFT reads, whatever trained them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.models.loading import require_inside

Matrix = np.ndarray[Any, np.dtype[np.float32]]
FROZEN = "frozen_weights.json"
PREFIX = "base_model.model.model."
# Settings under which an adapter is more than A and B, with the value at which it is not.
_PLAIN = {
    "use_dora": False,
    "bias": "none",
    "modules_to_save": None,
    "lora_bias": False,
    "trainable_token_indices": None,
    "layer_replication": None,
    "alora_invocation_tokens": None,
    "use_qalora": False,
    "target_parameters": None,
    "kasa_config": None,
}
# How A and B may begin without changing the base's own weights, as PiSSA and OLoRA do.
_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")
# Beginnings that changed the base in a way which PEFT does not repeat when it loads an adapter.
OF_ANOTHER_BASE = ("loftq", "pissa_niter", "lora_ga", "corda")
MATRIX = re.compile(r"(?:^|\.)(layers\.\d+\..+)\.lora_([AB])(?:\.default)?\.weight")
_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def write(
    folder: Path,
    weights: Mapping[str, Matrix],
    rank: int,
    alpha: float,
    base: str | None,
    frozen: Mapping[str, str] | None = None,
    only_layers: Sequence[int] | None = None,
) -> Path:
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
    (folder / "adapter_config.json").write_text(
        json.dumps(config, indent=1) + "\n", encoding="utf-8"
    )
    if frozen:
        (folder / FROZEN).write_text(json.dumps(dict(frozen)) + "\n", encoding="utf-8")
    named = {f"{PREFIX}{k}": np.ascontiguousarray(v) for k, v in weights.items()}
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def read(folder: Path) -> dict[str, Matrix]:
    """The matrices of a folder, by the names that `write` takes; raises InputError for another."""
    require_safetensors(folder)
    state = tensors(folder / "adapter_model.safetensors")
    return {name.removeprefix(PREFIX): value for name, value in state.items()}


def tensors(file: Path) -> dict[str, Matrix]:
    """All tensors of a safetensors file in fp32; numpy alone has no bfloat16."""
    found: dict[str, Matrix] = {}
    try:
        for name, kept in deserialize(file.read_bytes()):  # type: ignore[no-untyped-call]
            shape, data = kept["shape"], kept["data"]
            if kept["dtype"] == "BF16":
                wide = np.frombuffer(data, "<u2").astype("<u4") << 16
                found[name] = wide.view("<f4").reshape(shape)
            else:
                values = np.frombuffer(data, _KINDS[kept["dtype"]])
                found[name] = values.astype(np.float32).reshape(shape)
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{file}: {error}.") from None
    except KeyError as kind:
        raise InputError(f"{file}: has weights of type {kind}, which no adapter is of.") from None
    return found


def pairs(adapter: Path) -> dict[str, tuple[Matrix, Matrix]]:
    """A [r, in] and B [out, r], with the scaling in B, by module: `layers.0.self_attn.q_proj`.

    Ranks may differ. Raises InputError for what A and B alone do not say: DoRA, biases, modules
    saved whole, embeddings, and beginnings that change the base's own weights.
    """
    require_safetensors(adapter)
    config = read_json(adapter / "adapter_config.json", "Adapter")
    _require_plain(adapter, config)
    sides: dict[str, dict[str, Matrix]] = {}
    for name, matrix in sorted(read(adapter).items()):
        found = MATRIX.search(name)
        if not found or matrix.ndim != 2 or of_another_sense(name):
            raise InputError(
                f"{adapter}: has {name}, which is no matrix of a layer's linear map; only the "
                "merged model can carry it (export.adapter = 'merged')."
            )
        both = sides.setdefault(found[1], {})
        if found[2] in both:
            raise InputError(f"{adapter}: has {found[2]} of {found[1]} twice.")
        if not np.isfinite(matrix).all():
            raise InputError(f"{adapter}: {name} holds what is no finite number.")
        both[found[2]] = matrix
    if not sides:
        raise InputError(f"{adapter}: has no matrices of any layer.")
    made = {}
    for module, both in sorted(sides.items()):
        if both.keys() != {"A", "B"} or len(both["A"]) != both["B"].shape[1]:
            raise InputError(f"{adapter}: A and B of {module} are no pair.")
        rank = int(_by_pattern(config.get("rank_pattern"), module, config.get("r", 8)))
        if rank != len(both["A"]):
            raise InputError(
                f"{adapter}: says r = {rank} of {module}, whose matrices have {len(both['A'])}."
            )
        alpha = _by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8))
        if not alpha:
            raise InputError(
                f"{adapter}: its lora_alpha is 0, so that it adds nothing; write the alpha that it "
                "was trained with into adapter_config.json."
            )
        scaling = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        made[module] = both["A"], both["B"] * np.float32(scaling)
    return made


def of_another_sense(name: str) -> bool:
    """Whether a matrix belongs to what a multimodal model sees or hears with."""
    return any(part in name for part in ("vision", "visual", "audio"))


def of_one_rank(found: Mapping[str, tuple[Matrix, Matrix]]) -> dict[str, tuple[Matrix, Matrix]]:
    """Pairs padded with zeros to the largest rank, which changes no product."""
    most = max(len(a) for a, _ in found.values())
    return {
        module: (np.pad(a, ((0, most - len(a)), (0, 0))), np.pad(b, ((0, 0), (0, most - len(a)))))
        for module, (a, b) in found.items()
    }


def _require_plain(adapter: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError where settings say that an adapter is more than its A and B."""
    kind = str(config.get("peft_type", "LORA"))
    if kind.upper() != "LORA":
        raise InputError(f"{adapter}: is of the kind {kind}; only LORA can be converted.")
    for name, plain in _PLAIN.items():
        if config.get(name, plain) not in (plain, None, [], {}):
            raise InputError(
                f"{adapter}: has {name} = {config[name]!r}, which only the merged model can carry; "
                "export it with export.adapter = 'merged'."
            )
    begun = config.get("init_lora_weights", True)
    if begun not in _BEGINNINGS:
        merged = "export it with export.adapter = 'merged', or "
        raise InputError(
            f"{adapter}: was begun as {begun!r}, which changes the base's own weights, so A and B "
            f"alone do not carry it; {'' if str(begun).startswith(OF_ANOTHER_BASE) else merged}"
            "convert it with PEFT where it was trained (path_initial_model_for_weight_conversion)."
        )


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, otherwise: Any) -> Any:
    """The value for a module, as PEFT finds it: by the end of its name, else the common one."""
    for pattern, value in (patterns or {}).items():
        try:
            if regex.fullmatch(rf"(.*\.)?({pattern})", f"model.{module}", timeout=1.0):
                return value
        except (TimeoutError, regex.error):
            raise InputError(f"adapter: {pattern!r} is no usable pattern of modules.") from None
    return otherwise


def require_safetensors(adapter: Path) -> None:
    """Raise InputError, in one sentence, for a folder that is no PEFT adapter in safetensors.

    Nor may its files be links that lead out of it.
    """
    require_inside(adapter)
    if not (adapter / "adapter_model.safetensors").is_file():
        pickled = (adapter / "adapter_model.bin").is_file()
        raise InputError(
            f"{adapter}: "
            + (
                "pickled weights are not read; save the adapter as safetensors."
                if pickled
                else "no adapter_model.safetensors, so this is not a PEFT adapter."
            )
        )
    if not (adapter / "adapter_config.json").is_file():
        raise InputError(f"{adapter}: no adapter_config.json, so this is not a PEFT adapter.")
