"""This computer: each model in a process of its own."""

import os
import sys
from pathlib import Path

from srl_edge.devices.session import Session


def open_session(name: str, kind: str, folder: Path, threads: int) -> Session:
    """Load a model folder (`kind` torch) or an artifact; see `Session` for what goes wrong."""
    command = [sys.executable, "-m", "srl_edge.devices.runner", kind, str(folder), str(threads)]
    return Session(name, command, os.environ | {"OMP_NUM_THREADS": str(threads)})
