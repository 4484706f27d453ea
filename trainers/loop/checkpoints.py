"""Where training stands, on disk: written whole or not at all."""

import contextlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import inside, read_json, remove_tree
from srl_edge.lost import require_held
from srl_edge.recipe import Recipe
from srl_edge.run_folder import CONTENTS, contents_of, same, settings_of
from srl_edge.trainers.policy.contract import Policy

LOGS, _STATE = ("metrics.jsonl", "rollouts.jsonl"), "trainer_state.json"
# Settings that may change between a run and the one that goes on with it: of the trainer, and the
# budget of stages that are not finished.
FREE = (
    "checkpoint_every",
    "keep_last",
    "tracker",
    "threads",
    "vllm_command",
    "vllm_url",
    "vllm_folder",
)
BUDGET = ("steps", "epochs", "validate_every", "patience")


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
    """Raise InputError where the newest checkpoint was written with other settings or data.

    Only the stages that it has begun count; later ones may change.
    """
    if changed := _changed(folder, recipe):
        key, then, now = changed
        newest = _to_go_on_from(folder, recipe)
        raise InputError(
            f"{newest}: this checkpoint was written with another {key} ({then}, now {now}); set it "
            f"back, give this recipe a folder of its own (--output), or delete {folder} to train "
            "from the start."
        )


def set_aside_if_of_other_data(folder: Path, recipe: Recipe) -> str | None:
    """Move a training on files that have changed since to `<folder>-earlier`; return why.

    None where the files are as they were.
    """
    changed = _changed(folder, recipe)
    if changed is None or not changed[0].endswith(CONTENTS):
        return None
    earlier = owned.set_aside(folder)
    what = changed[0].removesuffix(CONTENTS)
    return f"{what} has changed since; what was trained on it before is now in {earlier}"


def _changed(folder: Path, recipe: Recipe) -> tuple[str, object, object] | None:
    """The first setting or file's contents, by name, that is not the newest checkpoint's."""
    if not (newest := _to_go_on_from(folder, recipe)):
        return None
    state = read_json(newest / _STATE, "TrainerState")
    then, now = state["settings"], _inputs(recipe)
    # A setting of a later version changes nothing where it is left at its default.
    known = then.keys() | settings_of(recipe, "train", exclude_defaults=True).keys()
    for key in sorted(k for k in known if _counts(k, Cursor(**state["cursor"]))):
        if not same(key, then.get(key), now.get(key)):
            return key, then.get(key), now.get(key)
    return None


def restore(folder: Path, policy: Policy, recipe: Recipe) -> Cursor:
    """Load the newest checkpoint, if any, and cut the logs back to where it was taken.

    Raises InputError where it was written with other settings.
    """
    require_same_settings(folder, recipe)
    for leftover in folder.glob(".checkpoint-*"):
        remove_tree(leftover)
    if not (newest := _to_go_on_from(folder, recipe)):
        for name in LOGS:
            (folder / name).unlink(missing_ok=True)
        (folder / "best" / "adapter_model.safetensors").unlink(missing_ok=True)
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
