"""Where training stands, on disk: written whole or not at all."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.recipe import Recipe
from srl_edge.trainers.policy import Policy

LOGS = ("metrics.jsonl", "rollouts.jsonl")


@dataclass(slots=True)
class Cursor:
    """The next stage and step, prompts taken in this stage, its best validation score so far, and
    validations since then."""

    stage: int = 0
    step: int = 0
    prompts: int = 0
    best: float = -1e9
    worse: int = 0


def save(folder: Path, policy: Policy, cursor: Cursor, recipe: Recipe) -> None:
    """Write `folder/checkpoint-<stage>-<step>` and remove all but the newest `keep_last`.

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
    state = {
        "cursor": asdict(cursor),
        "log_bytes": sizes,
        "settings": _settings(recipe, len(recipe.stages)),
    }
    (scratch / "trainer_state.json").write_text(json.dumps(state, indent=1))
    for file in scratch.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    shutil.rmtree(final, ignore_errors=True)
    scratch.rename(final)
    for older in sorted(folder.glob("checkpoint-*"))[: -recipe.trainer.keep_last]:
        shutil.rmtree(older)


def restore(folder: Path, policy: Policy, recipe: Recipe) -> Cursor:
    """Load the newest checkpoint, if any, and cut the logs back to where it was taken.

    Raises InputError where it was written with other settings.
    """
    for leftover in folder.glob(".checkpoint-*"):
        shutil.rmtree(leftover)
    found = sorted(folder.glob("checkpoint-*"))
    if not found:
        for name in LOGS:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "best", ignore_errors=True)
        return Cursor()
    newest = found[-1]
    state = json.loads((newest / "trainer_state.json").read_text())
    then, now = state["settings"], _settings(recipe, state["cursor"]["stage"])
    # A setting of a later version changes nothing where it is left at its default.
    known = then.keys() | _settings(recipe, state["cursor"]["stage"], exclude_defaults=True)
    if changed := [k for k in now if k in known and then.get(k) != now[k]]:
        raise InputError(
            f"{newest}: this checkpoint was written with another {changed[0]} "
            f"({then.get(changed[0])}, now {now.get(changed[0])}); set it back, or delete {folder} "
            "to train from the start."
        )
    policy.load(newest)
    for name, size in state["log_bytes"].items():
        if (folder / name).exists():
            os.truncate(folder / name, size)
    shutil.rmtree(folder / "best", ignore_errors=True)
    if (newest / "best").is_dir():
        shutil.copytree(newest / "best", folder / "best")
    return Cursor(**state["cursor"])


def _settings(recipe: Recipe, finished: int, exclude_defaults: bool = False) -> dict[str, object]:
    """What a run must have in common with the run that it goes on with, by dotted name.

    Stages that are not finished may get another budget.
    """
    parts = {"model", "data", "trainer", "stages", "seed"}
    chosen = recipe.model_dump(include=parts, mode="json", exclude_defaults=exclude_defaults)
    for name in ("checkpoint_every", "keep_last", "tracker", "threads", "vllm_command"):
        chosen.get("trainer", {}).pop(name, None)
    for stage in chosen["stages"][finished:]:
        for name in ("steps", "epochs", "validate_every", "patience"):
            stage.pop(name, None)
    flat: dict[str, object] = {}

    def walk(value: object, name: str) -> None:
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                walk(inner, f"{name}.{key}" if name else str(key))
        else:
            flat[name] = value

    walk(chosen, "")
    return flat


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
