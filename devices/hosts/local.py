"""This computer: each model in a process of its own."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge import processes
from srl_edge.devices.hosts.session import Session
from srl_edge.errors import InputError
from srl_edge.terminal import progress


def open_session(name: str, kind: str, folder: Path, threads: int) -> Session:
    """Load a model folder (`kind` torch) or an artifact; see `Session` for what goes wrong."""
    runner = "srl_edge.devices.hosts.runner"
    command = processes.python(runner, kind, str(folder), str(threads))
    return Session(name, command, os.environ | {"OMP_NUM_THREADS": str(threads)})


def memory_bandwidth(threads: int) -> float | None:
    """How fast so many threads read memory, in GB/s; None where it cannot be measured."""
    command = processes.python("srl_edge.devices.hosts.bandwidth", str(threads))
    # One thread a buffer: the library would share each among all cores.
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    try:
        return float(done.stdout)
    except ValueError:
        return None


def runnable(run: Path, names: Sequence[str]) -> list[artifacts.Artifact]:
    """Those artifacts of a run's adapter that can be run on this computer; tells of the others.

    Raises InputError where there is none, or where one is damaged.
    """
    here = []
    for path in sorted((run / "artifacts").glob("*/manifest.json")):
        if path.parent.name not in names:
            progress.say(
                f"{path.parent.name}: the recipe does not name it (export.artifacts), so it is "
                "left out."
            )
            continue
        artifact = artifacts.load(path.parent)
        if not artifact.runs:
            progress.say(f"{artifact.name}: built, never run here; its files are as exported.")
        elif not artifacts.is_current(artifact.manifest, run):
            progress.say(
                f"{artifact.name}: made of another adapter than the run has now, so it is left "
                "out; export it again, or delete its folder."
            )
        else:
            here.append(artifact)
    if not here:
        raise InputError(
            f"{run}/artifacts: nothing that runs here; run `srl-edge export {run}` first."
        )
    return here
