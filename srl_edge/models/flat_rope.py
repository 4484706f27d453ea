"""Rotary settings for tools that are older than transformers 5."""

import json
import shutil
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.models.families import Place, family_of


def flattened(model: Path, out: Path, place: Place, to: str) -> Path:
    """A copy of a model folder that transformers 5 wrote, with the configuration of `flat`."""
    config = read_json(model / "config.json", "ModelConfig")
    config = flat(config, model, place, to)
    shutil.copytree(model, out)
    (out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return out


def flat(config: dict[str, Any], model: Path, place: Place, to: str) -> dict[str, Any]:
    """A model's configuration with its rotary settings where older tools look for them.

    transformers 5 nests them in `rope_parameters`, where mlx-lm (0.32, but for Qwen3) and
    transformers 4 do not look: they fall back to defaults without a word. to: what the model cannot
    do, for messages. Raises InputError for a family that does not go to that place, or for rotary
    embeddings that have no flat form.
    """
    config = dict(config)
    family = family_of(config["model_type"], place, model, to)
    ropes = config["rope_parameters"]
    if family.two_ropes:
        config["rope_theta"] = ropes["full_attention"]["rope_theta"]
        config["rope_local_base_freq"] = ropes["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = _pattern(model, config["layer_types"], to)
    else:
        config["rope_theta"] = ropes["rope_theta"]
        config["rope_scaling"] = None if ropes["rope_type"] == "default" else ropes
    kinds = [r["rope_type"] for r in (ropes.values() if family.two_ropes else [ropes])]
    if family.two_ropes and set(kinds) != {"default"}:
        raise InputError(f"{model}: has {kinds} rotary embeddings, which cannot be {to}.")
    return config


def _pattern(model: Path, kinds: list[str], to: str) -> int:
    """Every how many layers one sees everything."""
    every = kinds.index("full_attention") + 1 if "full_attention" in kinds else 0
    full = [every > 0 and (i + 1) % every == 0 for i in range(len(kinds))]
    if full != [kind == "full_attention" for kind in kinds] or not any(full):
        raise InputError(f"{model}: without a regular pattern of layers it cannot be {to}.")
    return every
