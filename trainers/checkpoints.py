"""Where training stands, on disk: written whole or not at all."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from srl_edge.trainers.policy import Policy

LOGS = ("metrics.jsonl", "rollouts.jsonl")


@dataclass(slots=True)
class Cursor:
    """The next stage and step, prompts taken in this stage, best validation reward so far."""

    stage: int = 0
    step: int = 0
    prompts: int = 0
    best: float = -2.0  # below any reward


def save(folder: Path, policy: Policy, cursor: Cursor) -> None:
    """Write `folder/checkpoint-<stage>-<step>` and remove older ones.

    A crash at any moment leaves the older checkpoint or the newer one, each whole.
    """
    final = folder / f"checkpoint-{cursor.stage}-{cursor.step:06d}"
    scratch = folder / f".{final.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    policy.save(scratch)
    if (folder / "best").is_dir():
        shutil.copytree(folder / "best", scratch / "best")
    sizes = {name: _size(folder / name) for name in LOGS}
    state = {"cursor": asdict(cursor), "log_bytes": sizes}
    (scratch / "trainer_state.json").write_text(json.dumps(state, indent=1))
    for file in scratch.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    shutil.rmtree(final, ignore_errors=True)
    scratch.rename(final)
    for older in folder.glob("checkpoint-*"):
        if older.name < final.name:
            shutil.rmtree(older)


def restore(folder: Path, policy: Policy) -> Cursor:
    """Load the newest checkpoint, if any, and cut the logs back to where it was taken."""
    for leftover in folder.glob(".checkpoint-*"):
        shutil.rmtree(leftover)
    found = sorted(folder.glob("checkpoint-*"))
    if not found:
        for name in LOGS:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "best", ignore_errors=True)
        return Cursor()
    newest = found[-1]
    policy.load(newest)
    state = json.loads((newest / "trainer_state.json").read_text())
    for name, size in state["log_bytes"].items():
        if (folder / name).exists():
            os.truncate(folder / name, size)
    shutil.rmtree(folder / "best", ignore_errors=True)
    if (newest / "best").is_dir():
        shutil.copytree(newest / "best", folder / "best")
    return Cursor(**state["cursor"])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
