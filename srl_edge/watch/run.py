"""A run as it stands now: how far its training is, whether a process works on it, what is wrong."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from srl_edge import recipe as recipes
from srl_edge.data import trajectories
from srl_edge.errors import InputError
from srl_edge.files import parsed, read_json_if_there
from srl_edge.method.alarms import alarms, own_way_alarms
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import first_prompts, step_prompts, whole_prompts
from srl_edge.recipe import Recipe, Stage
from srl_edge.report.training_rows import drawable
from srl_edge.run_folder import DONE, RECIPE
from srl_edge.run_lock import LINE, STAGE
from srl_edge.watch.rollouts import Rollouts
from srl_edge.watch.tail import Tail

Metrics = dict[str, Any]
Status = Literal["waiting", "starting", "training", "stopped", "finished"]
_PACE = 10  # steps whose mean time tells how long the next ones take


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Steps that a stage of the recipe has done; `steps` is None where they are not known yet."""

    index: int
    kind: str
    done: int
    steps: int | None


@dataclass(frozen=True, slots=True)
class State:
    """A run at one moment. left: seconds until the stage's last step, None where not known.

    age: seconds since anything was written. warnings: what is wrong with its files.
    """

    status: Status
    rows: Sequence[Metrics]
    stages: Sequence[StageProgress]
    left: float | None
    age: float | None
    alarms: Sequence[str]
    warnings: Sequence[str]

    @property
    def steps(self) -> list[Metrics]:
        """The rows of training steps."""
        return [row for row in self.rows if "eval_reward" not in row]

    @property
    def validations(self) -> list[Metrics]:
        """The rows of validations."""
        return [row for row in self.rows if "eval_reward" in row]

    @property
    def now(self) -> StageProgress | None:
        """The stage that was begun last."""
        begun = {row["stage"] for row in self.rows}
        return next((s for s in reversed(self.stages) if s.index in begun), None)


class Run:
    """A run that is looked at; nothing of it is written, locked or run.

    path: its folder, or a recipe, whose run need not have begun. Raises InputError for anything
    else. `lock` is held by who looks at it while other threads may.
    """

    def __init__(self, path: Path) -> None:
        is_folder = path.is_dir()
        self._given = None if is_folder else recipes.load(path)
        self.path, self.folder = path, self._given.run if self._given else path
        if is_folder and not any((path / name).exists() for name in (RECIPE, "train")):
            raise InputError(f"{path}: no run is there; give a run folder or a recipe.")
        self.lock = threading.RLock()
        self.rollouts = Rollouts(self.folder / "train" / "rollouts.jsonl")
        self._metrics = Tail(self.folder / "train" / "metrics.jsonl")
        self._rows: list[Metrics] = []
        self._skipped: list[str] = []
        self._recipe: tuple[int, Recipe | None, str] = (-1, self._given, "")
        self._counted: dict[tuple[int, int], int | None] = {}
        self._others: tuple[int, ...] = ()
        self._edition = 0
        self._read_recipe()

    @property
    def recipe(self) -> Recipe | None:
        """Its settings, as far as they are known."""
        return self._recipe[1]

    @property
    def edition(self) -> int:
        """Grows with each change that was found."""
        return self._edition + self.rollouts.edition

    @property
    def form(self) -> PromptForm:
        """How its replies are read."""
        return self.recipe.prompt.form if self.recipe else DEFAULT

    def follow(self) -> State:
        """Take in what was written since, and return how things stand."""
        with self.lock:
            news = self._metrics.news()
            if news.anew:
                self._rows, self._skipped = [], []
            for at, line in news.lines:
                try:
                    self._rows.append(drawable(parsed(line, "Metrics")))
                except ValueError as error:
                    self._skipped.append(f"the line at byte {at} is left out: {error}.")
            self.rollouts.follow()
            files = tuple(_changed_at(self.folder / name) for name in (DONE, "bench/results.json"))
            others, self._others = files != self._others, files
            if self._read_recipe() or others or news.anew or news.lines:
                self._edition += 1
            return self._state()

    def follow_to_end(self) -> State:
        """As `follow`, with all rollouts that are there."""
        with self.lock:
            self.rollouts.follow_to_end()
            return self.follow()

    def _read_recipe(self) -> bool:
        file = self.folder / RECIPE
        changed = _changed_at(file)
        if changed == self._recipe[0]:
            return False
        try:
            found, wrong = (recipes.load(self.folder) if changed else self._given), ""
        except InputError as error:
            found, wrong = self._recipe[1], str(error)
        self._recipe = (changed, found, wrong)
        self._counted = {}
        return True

    def _state(self) -> State:
        age = self._age()
        status = self._status()
        stages = self._stages()
        wrong = [self._recipe[2]] if self._recipe[2] else []
        for name, skipped in (
            ("metrics.jsonl", self._skipped),
            ("rollouts.jsonl", self.rollouts.skipped),
        ):
            if skipped:
                more = f" ({len(skipped) - 1} more like it)" if len(skipped) > 1 else ""
                wrong.append(f"train/{name}: {skipped[0]}{more}")
        state = State(status, list(self._rows), stages, None, age, (), wrong)
        left = _left(state) if status == "training" else None
        return State(status, state.rows, stages, left, age, self._alarms(state), wrong)

    def _status(self) -> Status:
        done = _json(self.folder / DONE, "Stages")
        if self._rows and "train" in done:
            return "finished"
        works = any(_works(self.folder / f".{part}.json") for part in (LINE, STAGE))
        if works:
            return "training" if self._rows else "starting"
        return "stopped" if self._rows else "waiting"

    def _age(self) -> float | None:
        files = [self.folder / "train" / f"{n}.jsonl" for n in ("metrics", "rollouts")]
        newest = max(map(_changed_at, files))
        return max(time.time() - newest / 1e9, 0.0) if newest else None

    def _stages(self) -> list[StageProgress]:
        kinds = {row["stage"]: row["kind"] for row in self._rows}
        steps = {row["stage"]: row["step"] for row in self._rows}
        if self.recipe:
            kinds = {i: stage.kind for i, stage in enumerate(self.recipe.stages)} | kinds
        return [
            StageProgress(index, kind, steps.get(index, 0), self._steps(index))
            for index, kind in sorted(kinds.items())
        ]

    def _steps(self, index: int) -> int | None:
        """Of a stage, from its recipe; stages with data of their own may not be known."""
        if not self.recipe or index >= len(self.recipe.stages):
            return None
        stage = self.recipe.stages[index]
        if stage.steps:
            return stage.steps
        file = self.folder / "data" / "train.jsonl"
        key = (index, _changed_at(file))
        if key not in self._counted:
            self._counted[key] = None if stage.data or not key[1] else self._count(stage, file)
        return self._counted[key]

    def _own_problems(self) -> int:
        """How many held-out problems each validation asks in the model's own way."""
        file = self.folder / "data" / "validation.jsonl"
        key = (-1, _changed_at(file))
        if key not in self._counted:
            try:
                split = trajectories.load(file) if key[1] else []
            except InputError:
                split = []
            self._counted[key] = sum(t.answer is not None for t in split)
        asked = self.recipe.trainer.own_problems if self.recipe else 0
        return min(asked, self._counted[key] or 0)

    def _count(self, stage: Stage, file: Path) -> int | None:
        try:
            split = trajectories.load(file)
        except InputError:
            return None
        if stage.kind == "rlvr":
            split = [t for t in split if t.answer is not None]
        if stage.reply == "whole":
            prompts = whole_prompts(split, self.form)
        elif stage.kind == "rlvr":
            prompts = first_prompts(split, self.form)
        else:
            prompts = step_prompts(split, stage.targets, stage.title_hint, self.form)
        return stage.steps_of(sum(map(len, prompts)))

    def _alarms(self, state: State) -> list[str]:
        now = state.now
        if not now:
            return []
        found = alarms([r for r in state.steps if r["stage"] == now.index and "loss" in r])
        own = [row for row in state.validations if "eval_own_accuracy" in row]
        if len(own) > 1 and (count := self._own_problems()):
            found += own_way_alarms(own[0], own[-1], count)
        return found


def _left(state: State) -> float | None:
    """Seconds until the last step of the stage, at the pace of its newest steps."""
    now = state.now
    if not now or not now.steps:
        return None
    times = [r["step_time"] for r in state.steps if r["stage"] == now.index and "step_time" in r]
    if not times:
        return None
    left = fmean(times[-_PACE:]) * (now.steps - now.done) - (state.age or 0.0)
    return max(left, 0.0)


def _works(note: Path) -> bool:
    """Whether the process of a lock's note still runs; its id may have become another's since."""
    import psutil

    holder = _json(note, "Holder")
    try:
        return bool(psutil.Process(holder["process"]).create_time() <= note.stat().st_mtime + 1)
    except (KeyError, OSError, ValueError, psutil.Error):  # a note may hold any number
        return False


def _json(file: Path, shape: str) -> dict[str, Any]:
    try:
        return read_json_if_there(file, shape) or {}
    except (InputError, OSError):
        return {}


def _changed_at(file: Path) -> int:
    """When a file was last changed, in ns; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def as_json(run: Run, state: State) -> dict[str, Any]:
    """A run's state as plain JSON values."""
    now = state.now
    return {
        "run": str(run.folder),
        "status": state.status,
        "stage": now
        and {"index": now.index, "kind": now.kind, "done": now.done, "steps": now.steps},
        "seconds_left": state.left,
        "step": state.steps[-1] if state.steps else None,
        "validation": state.validations[-1] if state.validations else None,
        "rollouts": len(run.rollouts.entries),
        "alarms": list(state.alarms),
        "warnings": list(state.warnings),
    }
