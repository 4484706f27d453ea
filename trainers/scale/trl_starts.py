"""Starts of a TRL job: a cut-off one goes on, and what a finished one made is never lost."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there, replace
from srl_edge.terminal.progress import say

ADAPTER, FIRST = "adapter", "first_batch"
STATE = "trainer_state.json"  # in the job's folder, written last: the training has ended
_NOTE = "settings.json"  # beside the checkpoints: what they were trained by


@dataclass(frozen=True, slots=True)
class Start:
    """What a start has to do: train, from a checkpoint or from the beginning, or nothing."""

    checkpoint: str | None = None
    finished: bool = False


def begin(
    folder: Path, trainer: Path, settings: Mapping[str, Any], asked: str | None = None
) -> Start:
    """Look at what earlier starts left in a job's folder, and make room for this one.

    trainer: where its checkpoints are. asked: the checkpoint that somebody chose to go on from.
    What a finished start by other settings made is renamed. Raises InputError where one by other
    settings was cut off, since only the user knows whether its checkpoints still count.
    """
    there = read_json_if_there(trainer / _NOTE, "GrpoStart")
    newest, finished = _newest(trainer), (folder / STATE).is_file()
    if there == settings and not asked:
        if finished:
            say(f"{folder / ADAPTER}: is trained by these settings; move it away to train again.")
            return Start(finished=True)
        if newest:
            say(f"{newest}: training goes on from there.")
        return Start(str(newest) if newest else None)
    if newest and not (finished or asked):
        raise InputError(
            f"{newest}: was trained by other settings and cut off; launch as then to go on, add "
            f"--resume_from_checkpoint {newest} to go on by these, or move {trainer} elsewhere."
        )
    for name in (ADAPTER, FIRST, STATE):
        _set_aside(folder / name)
    if not asked:
        _set_aside(trainer)
    replace(trainer / _NOTE, json.dumps(settings, indent=1) + "\n")
    return Start(asked)


def _newest(trainer: Path) -> Path | None:
    """The last checkpoint that was written to its end."""
    whole = [state.parent for state in trainer.glob(f"checkpoint-*/{STATE}")]  # written last
    return max(whole, key=lambda folder: int(folder.name.partition("-")[2]), default=None)


def _set_aside(path: Path) -> None:
    if os.path.lexists(path):
        say(f"{path}: is of an earlier start, and is now {owned.set_aside(path).name}.")
