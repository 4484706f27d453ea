"""An ONNX file as Hugging Face's optimum lays it out, written with packages of its own."""

import os
from pathlib import Path
from typing import Any

from srl_edge import attended, processes
from srl_edge.errors import InputError, StageError
from srl_edge.files import cache_folder, cache_lock, scratch_folder
from srl_edge.models.flat_rope import flattened
from srl_edge.terminal import progress

# It needs a transformers older than ours. What is not named comes from this environment.
_PACKAGES = (
    "optimum-onnx==0.1.0",
    "optimum==2.1.0",
    "transformers==4.57.6",
    "tokenizers==0.22.2",
    "huggingface-hub==0.36.2",
)


def export(merged: Path, out: Path, quantization: str) -> dict[str, Any]:
    """Write `out/model.onnx` of a merged model, with its cache as inputs and outputs.

    Returns the options used. Installs optimum in the cache folder at the first use. Raises
    InputError where that fails, StageError where optimum does.
    """
    with scratch_folder(out.parent, "optimum") as scratch:
        source = flattened(merged, scratch / "source", "optimum", "exported by optimum")
        made = scratch / "made"
        command = processes.python(
            "optimum.exporters.onnx",
            "--model",
            str(source),
            "--task",
            "text-generation-with-past",
            "--dtype",
            quantization,
            "--device",
            "cpu",
            "--no-post-process",
            str(made),
        )
        environment = os.environ | {"PYTHONPATH": str(_environment()), "HF_HUB_OFFLINE": "1"}
        done = attended.run(command, environment)
        if done.returncode or not (made / "model.onnx").is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            raise StageError(f"optimum {quantization}: optimum failed: {lines[-1].strip()}")
        for file in made.glob("*.onnx*"):
            file.rename(out / file.name)
    return {"dtype": quantization, "packages": list(_PACKAGES)}


def _environment() -> Path:
    """A folder of packages that come before those of this environment."""
    folder = cache_folder() / "optimum" / "-".join(p.partition("==")[2] for p in _PACKAGES)
    if not folder.is_dir():
        with cache_lock():
            if not folder.is_dir():
                _install(folder)
    return folder


def _install(folder: Path) -> None:
    progress.say(f"optimum: installing {' '.join(_PACKAGES)} into {folder}")
    with scratch_folder(folder.parent, "site") as site:
        done = attended.run(processes.pip("install", "--target", str(site), *_PACKAGES))
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InputError(f"optimum could not be installed into {folder}: {last}")
        site.rename(folder)
