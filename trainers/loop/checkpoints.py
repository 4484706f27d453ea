"""Where training stands, on disk: written whole or not at all."""

import contextlib
import filecmp
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from srl_edge import owned
from srl_edge import recipe as recipes
from srl_edge.artifact import ADAPTER
from srl_edge.errors import InputError
from srl_edge.files import inside, read_json, read_rows, remove_tree
from srl_edge.lost import require_held
from srl_edge.recipe import Recipe
from srl_edge.run_folder import CONTENTS, FREE, RECIPE, contents_of, same, settings_of
from srl_edge.trainers.policy.contract import Policy

SECONDS = 60.0  # of training, after which a checkpoint is due however few steps they were
LOGS, _STATE = ("metrics.jsonl", "rollouts.jsonl"), "trainer_state.json"
# Settings of stages that are not finished which may change, as those of `FREE` may.
BUDGET = ("steps", "epochs", "validate_every", "patience")
# What was trained, a setting or file's contents by name, and what that was then and is now.
_Change = tuple[Path, str, object, object]


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
    require_held(folder)
    final = folder / f"checkpoint-{cursor.stage}-{cursor.step:06d}"
    if final.is_dir():  # of the same step: training is the same however often it is repeated
        return
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
        "settings": _inputs(recipe),
        "files": [p.relative_to(scratch).as_posix() for p in scratch.rglob("*") if p.is_file()],
    }
    (scratch / _STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
    for file in scratch.rglob("*"):
        if file.is_file():
            with file.open("r+b") as opened:  # Windows writes through what may be written alone
                os.fsync(opened.fileno())
    scratch.rename(final)
    newest = _oldest_first(folder)
    # The end of a stage stays until the next one has begun: it can be given more steps.
    kept = max(recipe.trainer.keep_last, 2 if cursor.stage and not cursor.step else 1)
    for older in newest[:-kept]:
        _remove(older)


def require_same_settings(folder: Path, recipe: Recipe) -> None:
    """Raise InputError where what was trained there was trained with other settings.

    Only the stages that the newest checkpoint has begun count; later ones may change. Of an adapter
    without checkpoints, the run's own recipe tells. Files may have changed.
    """
    settings = (each for each in _changes(folder, recipe) if not each[1].endswith(CONTENTS))
    _refuse(folder, next(settings, None))


def require_same(folder: Path, recipe: Recipe) -> None:
    """As `require_same_settings`; also where files that it was trained on have changed."""
    _refuse(folder, next(iter(_changes(folder, recipe)), None))


def _refuse(folder: Path, change: _Change | None) -> None:
    if change is None:
        return
    made, key, then, now = change
    with_adapter = "" if made.is_relative_to(folder) else f" and {made}"
    raise InputError(
        f"{made}: was trained with another {key} ({then}, now {now}); set it back, give this "
        f"recipe a folder of its own (--output), or delete {folder}{with_adapter} to train from "
        "the start."
    )


def set_aside_if_of_other_data(folder: Path, recipe: Recipe) -> str | None:
    """Move a training on files that have changed since to `<folder>-earlier`; return why.

    None where the files are as they were.
    """
    _, key, *_ = next(iter(_changes(folder, recipe)), (None, ""))
    if not key.endswith(CONTENTS):
        return None
    earlier = owned.set_aside(folder)
    what = key.removesuffix(CONTENTS)
    return f"{what} has changed since; what was trained on it before is now in {earlier}"


def _changes(folder: Path, recipe: Recipe) -> list[_Change]:
    """The settings and files' contents, by name, that are not those of what was trained."""
    if not (trained := _trained(folder, recipe)):
        return []
    made, then, cursor = trained
    now = _inputs(recipe)
    # A setting of a later version changes nothing where it is left at its default.
    known = then.keys() | settings_of(recipe, "train", exclude_defaults=True).keys()
    counts = sorted(key for key in known if _counts(key, cursor))
    return [
        (made, key, then.get(key), now.get(key))
        for key in counts
        if not same(key, then.get(key), now.get(key))
    ]


def _trained(folder: Path, recipe: Recipe) -> tuple[Path, Mapping[str, object], Cursor] | None:
    """What there is of a training, what it was trained with, and how far it is."""
    if newest := _to_go_on_from(folder, recipe):
        state = read_json(newest / _STATE, "TrainerState")
        return newest, state["settings"], Cursor(**state["cursor"])
    run = folder.parent
    if (run / "adapter").is_dir() and (run / RECIPE).is_file():
        then = recipes.load(run)
        last = Cursor(len(then.stages) - 1, step=1)
        return run / "adapter", settings_of(then, "train"), last
    return None


def without_checkpoints(folder: Path, recipe: Recipe) -> bool:
    """Whether a training got as far as its first checkpoint, and has none any more."""
    if there(folder):
        return False
    stages = any(folder.glob("stage-*"))
    if not (stages or any((folder / name).exists() for name in (*LOGS, "best"))):
        return False
    logged = read_rows(folder / "metrics.jsonl", "Metrics")
    seconds = sum(row.get("step_time", 0.0) for row in logged)
    every = recipe.trainer.checkpoint_every
    began = bool(logged) and all(r["step"] < every for r in logged) and seconds < SECONDS
    return stages or not began


def is_only_copy(adapter: Path, folder: Path) -> bool:
    """Whether a training from the start would leave nothing of what an adapter learned."""
    weights = adapter / ADAPTER
    if there(folder) or not weights.is_file():
        return False
    kept = (best / ADAPTER for best in folder.parent.glob(f"{folder.name}-earlier*/best"))
    return not any(file.is_file() and filecmp.cmp(file, weights, False) for file in kept)


def restore(folder: Path, policy: Policy, recipe: Recipe) -> Cursor:
    """Load the newest checkpoint, if any, and cut the logs back to where it was taken.

    Raises InputError where it was written with other settings, or of other files.
    """
    require_same(folder, recipe)
    for leftover in folder.glob(".checkpoint-*"):
        remove_tree(leftover)
    if not (newest := _to_go_on_from(folder, recipe)):
        for name in LOGS:
            (folder / name).unlink(missing_ok=True)
        (folder / "best" / ADAPTER).unlink(missing_ok=True)
        return Cursor()
    state = read_json(newest / _STATE, "TrainerState")
    later = _oldest_first(folder)
    for path in later[later.index(newest) + 1 :]:  # of a stage that is given more steps
        _remove(path)
    policy.load(newest)
    for name in LOGS:  # a checkpoint may be anybody's, and name any file
        then = state["log_bytes"].get(name)
        if then is not None and _size(folder / name) > then:
            os.truncate(folder / name, then)
    if (newest / "best").is_dir():
        shutil.copytree(newest / "best", folder / "best", dirs_exist_ok=True)
    return Cursor(**state["cursor"])


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint; what is in it that training did not write is set aside."""
    files = read_json(checkpoint / _STATE, "TrainerState").get("files")
    if files is None:  # of a version that did not note them
        remove_tree(checkpoint)
        return
    for name in (*files, _STATE):
        if inside(checkpoint / name, checkpoint):
            (checkpoint / name).unlink(missing_ok=True)
    for inner in (*(p for p in checkpoint.rglob("*") if p.is_dir()), checkpoint):
        with contextlib.suppress(OSError):  # it holds more
            inner.rmdir()
    if checkpoint.exists():
        owned.set_aside(checkpoint)


def there(folder: Path) -> bool:
    """Whether a training folder has a checkpoint."""
    return bool(_oldest_first(folder))


def _oldest_first(folder: Path) -> list[Path]:
    named = (p for p in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+-\d+", p.name))
    found = (path for path in named if (path / _STATE).is_file())
    return sorted(found, key=lambda path: tuple(map(int, path.name.split("-")[1:])))


def _to_go_on_from(folder: Path, recipe: Recipe) -> Path | None:
    """The newest checkpoint; the end of the stage before, where that has been given more since."""
    if not (found := _oldest_first(folder)):
        return None
    *_, newest = found
    stage, step = map(int, newest.name.split("-")[1:])
    ended = [path for path in found if path.name.startswith(f"checkpoint-{stage - 1}-")]
    if step or not ended or stage > len(recipe.stages):
        return newest
    then = read_json(ended[-1] / _STATE, "TrainerState")["settings"]
    given = recipe.stages[stage - 1]
    for name in ("steps", "epochs"):
        before, now = then.get(f"stages.{stage - 1}.{name}"), getattr(given, name)
        if before is not None and now is not None and now > before:
            return ended[-1]
    return newest


def _inputs(recipe: Recipe) -> dict[str, object]:
    return settings_of(recipe, "train") | contents_of(recipe, "train")


def _counts(key: str, cursor: Cursor) -> bool:
    section, _, rest = key.partition(".")
    if section != "stages":
        return rest not in FREE
    index, _, name = rest.partition(".")
    finished = int(index) < cursor.stage
    return finished or (int(index) == cursor.stage and cursor.step > 0 and name not in BUDGET)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
