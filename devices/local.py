"""This computer: each model in a process of its own."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

from srl_edge.artifact import tool_versions
from srl_edge.devices.session import Session


def open_session(name: str, kind: str, folder: Path, threads: int) -> Session:
    """Load a model folder (`kind` torch) or an artifact; see `Session` for what goes wrong."""
    command = [sys.executable, "-m", "srl_edge.devices.runner", kind, str(folder), str(threads)]
    return Session(name, command, os.environ | {"OMP_NUM_THREADS": str(threads)})


def describe(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tools": tool_versions(
            "torch", "transformers", "onnxruntime", "onnxruntime-genai", "executorch"
        ),
    }
