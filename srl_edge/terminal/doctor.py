"""What this machine can do, and what to install for the rest."""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from typing import Any

from srl_edge.artifact import tool_versions
from srl_edge.files import cache_folder
from srl_edge.models.wheels import KNOWN

# What a person can do, the packages for it, and what to install where one is absent.
ABILITIES = (
    (
        "train on PyTorch",
        ("torch", "transformers", "peft"),
        "pip install torch transformers peft",
    ),
    ("train on MLX", ("mlx", "mlx-lm"), "pip install 'srl-edge[mlx]'"),
    ("train on NF4 weights", ("bitsandbytes",), "pip install 'srl-edge[qlora]'"),
    (
        "export and run ONNX",
        ("onnx", "onnxruntime", "onnxruntime-genai"),
        "pip install 'srl-edge[onnx]'",
    ),
    ("export and run ExecuTorch", ("executorch", "torchao"), "pip install 'srl-edge[executorch]'"),
    ("run GGUF in llama.cpp", ("llama-cpp-python",), "pip install llama-cpp-python"),
    ("serve a model", ("starlette", "uvicorn"), "pip install 'srl-edge[serve]'"),
    ("problems of gsm_symbolic", ("reasoning-gym",), "pip install 'srl-edge[problems]'"),
)


def facts() -> dict[str, Any]:
    """The hardware, what can be done with which packages, and which known models are here."""
    abilities = [
        {
            "ability": ability,
            "versions": (found := tool_versions(*packages)),
            "missing": [package for package in packages if package not in found],
            "remedy": remedy,
        }
        for ability, packages, remedy in ABILITIES
    ]
    models = [
        {
            "name": name,
            "licence": model.licence,
            "here": any(
                (cache_folder() / "models").glob(f"{name}-{model.sha256[:12]}/config.json")
            ),
        }
        for name, model in KNOWN.items()
    ]
    return {"hardware": _hardware(), "abilities": abilities, "models": models}


def doctor(found: Mapping[str, Any]) -> str:
    """A table of facts."""
    lines = [found["hardware"], ""]
    for each in found["abilities"]:
        ability, missing = each["ability"], ", ".join(each["missing"])
        if missing:
            lines.append(f"no   {ability:<26} needs {missing}: {each['remedy']}")
        else:
            what = ", ".join(f"{name} {version}" for name, version in each["versions"].items())
            lines.append(f"yes  {ability:<26} {what}")
    lines.append("")
    for model in found["models"]:
        here = "here" if model["here"] else "away"
        lines.append(f"{here} model {model['name']} ({model['licence']})")
    return "\n".join(lines)


def _hardware() -> str:
    cores = os.cpu_count()
    parts = [f"{cores} core{'s' * (cores != 1)}", f"{_memory_gb():.0f} GB memory"]
    parts.append(f"{shutil.disk_usage('.').free / 1e9:.0f} GB free disk")
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            parts.append(f"CUDA: {torch.cuda.get_device_name()}")
        elif torch.backends.mps.is_available():
            parts.append("Apple GPU (MPS)")
        else:
            native = "native" if torch.cpu._is_amx_tile_supported() else "emulated"
            parts.append(f"no GPU, bfloat16 {native}")
    return ", ".join(parts)


def _memory_gb() -> float:
    import psutil

    return float(psutil.virtual_memory().total) / 1e9
