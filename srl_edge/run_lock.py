"""One process at a time works on a run."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from srl_edge import processes
from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there, replace
from srl_edge.lost import holding

LINE, STAGE = "line", "stage"  # `srl-edge run` holds the first, and each of its stages the second
ENDING = 5.0  # seconds that a stage waits for one whose `srl-edge run` was killed


@contextmanager
def held(run: Path, part: str, wait: float = 0.0) -> Iterator[None]:
    """Hold a part of a run, or a file that rows are added to in a folder, by its name.

    Raises InputError, with the other's id, where a process does already, where the lock is a link,
    and where the folder is deleted, renamed or begun anew meanwhile. The lock of a process that has
    ended does not hold.
    """
    where, what = (run, "run") if part in (LINE, STAGE) else (run / part, "file")
    try:
        lock = _file(run, part, "lock")
        if lock.is_symlink():  # as in a run of somebody else's, and what it leads to may be emptied
            raise InputError(
                f"{lock}: is a link, and srl-edge writes through none; move it elsewhere."
            )
        with FileLock(lock, timeout=wait), holding(lock):
            note = {"process": os.getpid(), "since": time.strftime("%H:%M:%S")}
            replace(_file(run, part, "json"), json.dumps(note) + "\n")
            yield
    except Timeout:
        other = read_json_if_there(_file(run, part, "json"), "Holder") or {}
        raise InputError(
            f"{where}: process {other.get('process')} works on this {what} since "
            f"{other.get('since')}; wait for it, or end it first."
        ) from None


def notes() -> list[str]:
    """The files of locks in a run folder."""
    return [f".{part}.{kind}" for part in (LINE, STAGE) for kind in ("lock", "json")]


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Held by one stage: no other goes on meanwhile, nor a line that did not start it."""
    with ExitStack() as locks:
        if not processes.started_by_ours():
            locks.enter_context(held(run, LINE))
        locks.enter_context(held(run, STAGE, ENDING))
        yield


def _file(folder: Path, part: str, kind: str) -> Path:
    """A part's lock, or the note of who holds it."""
    # A file may lie in any folder, where `.<its name>.json` may be a user's.
    ours = "" if part in (LINE, STAGE) else "srl-edge-"
    return folder / f".{ours}{part}.{kind}"
