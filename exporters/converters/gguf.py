"""A GGUF file for llama.cpp, through llama.cpp's own converter."""

import ctypes
import sys
from pathlib import Path
from typing import Any

from srl_edge import attended
from srl_edge.artifact import GGUF
from srl_edge.errors import InputError, StageError
from srl_edge.files import scratch_folder
from srl_edge.quantization.formats import converter

# What the converter writes itself.
QUANTIZATIONS = {"fp32": "f32", "fp16": "f16", "q8_0": "q8_0"}
# What llama.cpp's own quantizer makes of an fp16 file, by its name of the file's type.
QUANTIZED = {"q4_0": "Q4_0", "q4_1": "Q4_1", "q4_k_m": "Q4_K_M"}


def export(merged: Path, out: Path, quantization: str) -> dict[str, Any]:
    """Write `out/model.gguf` of a merged model; return the options used.

    4-bit files are rounded by llama.cpp, through llama-cpp-python. Raises InputError where that or
    the converter is missing, StageError where it fails: it knows tokenizers by their fingerprint,
    and refuses others.
    """
    if quantization in QUANTIZED:
        return _quantized(merged, out, QUANTIZED[quantization])
    found = converter()
    kind = QUANTIZATIONS[quantization]
    python = [sys.executable] if found.endswith(".py") else []
    done = attended.run(
        [*python, found, "--outtype", kind, "--outfile", str(out / GGUF), str(merged)]
    )
    if done.returncode or not (out / GGUF).is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise StageError(f"gguf {quantization}: llama.cpp's converter failed: {lines[-1].strip()}")
    return {"outtype": kind, "converter": Path(found).name}


def _quantized(merged: Path, out: Path, kind: str) -> dict[str, Any]:
    try:
        import llama_cpp
    except ImportError:
        raise InputError(
            "4-bit GGUF files need llama.cpp's quantizer: pip install llama-cpp-python (it is "
            "compiled for a quarter of an hour), or take gguf-q8_0."
        ) from None
    library: Any = llama_cpp
    with scratch_folder(out.parent, "gguf") as scratch:
        options = export(merged, scratch, "fp16")
        parameters = library.llama_model_quantize_default_params()
        parameters.ftype = getattr(library, f"LLAMA_FTYPE_MOSTLY_{kind}")
        source, target = scratch / GGUF, out / GGUF
        failed = library.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(parameters)
        )
    if failed:
        raise StageError(f"gguf {kind.lower()}: llama.cpp's quantizer failed.")
    return options | {"outtype": kind.lower(), "llama_cpp_python": library.__version__}
