"""A folder for Apple silicon, through mlx-lm's converter."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError

QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "fp32": {"dtype": "float32"},
    "fp16": {"dtype": "float16"},
    "int8": {"quantize": True, "q_bits": 8, "q_group_size": 64, "dtype": "float16"},
    "int4": {"quantize": True, "q_bits": 4, "q_group_size": 64, "dtype": "float16"},
}
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3_text")


def export(merged: Path, out: Path, quantization: str) -> dict[str, Any]:
    """Write an MLX folder of a merged model into `out`; return the options used."""
    try:
        import mlx_lm
    except ImportError:
        raise InputError("MLX export needs mlx-lm: pip install 'srl-edge[mlx]'.") from None
    options = QUANTIZATIONS[quantization]
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        source = flattened(merged, Path(scratch, "source"))
        made = Path(scratch, "mlx")
        mlx_lm.convert(str(source), str(made), **options)  # type: ignore[operator]
        for file in made.iterdir():
            if file.suffix != ".md":  # the converter's advertisement
                file.rename(out / file.name)
    return options


def flattened(model: Path, out: Path) -> Path:
    """A copy of a model folder whose rotary settings are where mlx-lm looks for them.

    transformers 5 nests them in `rope_parameters`, which mlx-lm (0.32) reads for Qwen3 alone; in
    the other families it falls back to defaults without a word. Raises InputError for a family that
    is not taken, or for rotary embeddings that have no flat form.
    """
    config = json.loads((model / "config.json").read_text())
    family = config["model_type"]
    if family not in FAMILIES:
        raise InputError(
            f"{model}: family {family!r} cannot be exported to MLX; only {', '.join(FAMILIES)}."
        )
    ropes = config["rope_parameters"]
    if family == "gemma3_text":
        config["rope_theta"] = ropes["full_attention"]["rope_theta"]
        config["rope_local_base_freq"] = ropes["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = _pattern(model, config["layer_types"])
    else:
        config["rope_theta"] = ropes["rope_theta"]
        config["rope_scaling"] = None if ropes["rope_type"] == "default" else ropes
    kinds = [r["rope_type"] for r in (ropes.values() if family == "gemma3_text" else [ropes])]
    if family == "gemma3_text" and set(kinds) != {"default"}:
        raise InputError(f"{model}: has {kinds} rotary embeddings, which MLX export does not take.")
    shutil.copytree(model, out)
    (out / "config.json").write_text(json.dumps(config, indent=2))
    return out


def _pattern(model: Path, kinds: list[str]) -> int:
    """Every how many layers one sees everything."""
    every = kinds.index("full_attention") + 1 if "full_attention" in kinds else 0
    full = [every > 0 and (i + 1) % every == 0 for i in range(len(kinds))]
    if full != [kind == "full_attention" for kind in kinds] or not any(full):
        raise InputError(f"{model}: has no regular pattern of layers, which MLX export needs.")
    return every
