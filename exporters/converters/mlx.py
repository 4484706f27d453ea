"""A folder for Apple silicon, through mlx-lm's converter."""

import json
import shutil
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import scratch_folder
from srl_edge.models import loading
from srl_edge.models.mlx_settings import mlx_settings
from srl_edge.models.routes import require
from srl_edge.owned import MARKER

QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "fp32": {"dtype": "float32"},
    "fp16": {"dtype": "float16"},
    "int8": {"quantize": True, "q_bits": 8, "q_group_size": 64, "dtype": "float16"},
    "int4": {"quantize": True, "q_bits": 4, "q_group_size": 64, "dtype": "float16"},
}


def export(merged: Path, out: Path, quantization: str) -> dict[str, Any]:
    """Write an MLX folder of a merged model into `out`; return the options used."""
    try:
        import mlx_lm
    except ImportError:
        raise InputError("MLX export needs mlx-lm: pip install 'srl-edge[mlx]'.") from None
    options = QUANTIZATIONS[quantization]
    require(loading.settings(merged).to_dict(), "mlx", merged, "exported to MLX")
    with scratch_folder(out.parent, "mlx") as scratch:
        source, made = scratch / "source", scratch / "mlx"
        settings = mlx_settings(merged, loading.settings(merged), "exported to MLX")
        shutil.copytree(merged, source, ignore=shutil.ignore_patterns(MARKER))
        (source / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
        mlx_lm.convert(str(source), str(made), **options)  # type: ignore[operator]
        for file in made.iterdir():
            if file.suffix != ".md":  # the converter's advertisement
                file.rename(out / file.name)
    return options
