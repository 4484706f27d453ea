"""A browser on this computer: the ONNX artifact through onnxruntime-web, on its WASM backend."""

import json
import sys
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge.devices.session import Session
from srl_edge.errors import InputError


def open_session(name: str, kind: str, folder: Path, threads: int) -> Session:
    """Load an ONNX artifact in a headless Chromium; raises InputError for what it cannot take."""
    if kind != "artifact" or artifacts.load(folder).format != "onnx":
        raise InputError(f"{folder}: the browser runs ONNX artifacts alone.")
    if json.loads((folder / "config.json").read_text())["model_type"] == "gemma3_text":
        raise InputError(
            f"{folder}: the browser does not take Gemma 3, whose sliding-window layers need caches "
            "of their own."
        )
    command = [sys.executable, "-m", "srl_edge.devices.browser_runner", str(folder), str(threads)]
    return Session(name, command)
