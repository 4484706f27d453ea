"""A run from Python: the stages as methods, and what they wrote as plain rows.

Everything here is one call of `line` or of what reads a run folder. The names are those that
`srl_edge` offers: `srl_edge.Run`, `srl_edge.Recipe`, `srl_edge.Artifact`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from srl_edge import artifact, line
from srl_edge.data import trajectories
from srl_edge.devices.serving import model as serving
from srl_edge.errors import InputError
from srl_edge.files import read_json, read_rows
from srl_edge.method.headroom import Headroom, advice
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Reward, Rollout, StepPrompt, Trajectory
from srl_edge.recipe import Recipe, Stage
from srl_edge.recipe.schema import load, rooted_at
from srl_edge.report import parity_rows, rows
from srl_edge.run_folder import RECIPE
from srl_edge.terminal import rollouts
from srl_edge.terminal.libraries import libraries_quiet
from srl_edge.trainers.loop.train import training_prompts

Split = Literal["train", "validation", "test"]
Row = dict[str, Any]
T = TypeVar("T")


class Model(serving.Model):
    """An artifact, or a model of anybody's, in memory: `reply` to a chat, `solve` a problem."""

    def __init__(self, what: str | os.PathLike[str], threads: int = 0, context: int = 0) -> None:
        """what: a folder, a file, a known name or a hub id; docs/bench.md says which.

        threads: of the processor; context: tokens of prompt and reply. 0 is the runtime's choice.
        """
        with libraries_quiet():
            super().__init__(
                Path(what) if isinstance(what, os.PathLike) else what, threads, context
            )


@dataclass(frozen=True, slots=True, repr=False)
class Artifact(artifact.Artifact):
    """An exported model of a run, or of any folder (`Artifact.load`), that can be asked."""

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Artifact":
        """Read one; raises InputError where a file is missing or is not what was exported."""
        found = artifact.load(Path(folder))
        return cls(found.path, found.format, found.quantization, found.bytes, found.manifest)

    @property
    def megabytes(self) -> float:
        """Size on disk, tokenizer included; MB."""
        return self.bytes / 1e6

    def open(self, threads: int = 0) -> Model:
        """The model in memory, ready to be asked. threads: of the processor; 0 takes all."""
        return Model(self.path, threads)

    def __repr__(self) -> str:
        return f"<Artifact {self.name}: {self.megabytes:.0f} MB in {self.path}>"


class Artifacts(dict[str, Artifact]):
    """Artifacts by their names; asking for another one raises InputError, which names those."""

    def __missing__(self, name: str) -> Artifact:
        known = ", ".join(self) or "none"
        raise InputError(f"{name}: not among the artifacts that were built ({known}).")


def _require_pick(pick: str | None) -> None:
    if pick not in (None, "best", "worst"):
        raise InputError(f"pick: 'best' or 'worst', not {pick!r}.")


class Run:
    """A run folder: its stages, and what they wrote there.

    Raises InputError for what a person can mend, ParityError where an artifact does not answer as
    the trained model does, UnmeasuredError where that could not be measured, and StageError where a
    stage cannot go on.
    """

    def __init__(self, what: Recipe | str | os.PathLike[str]) -> None:
        """what: a recipe, whose `output` is the folder, or the folder of a run that is there."""
        if isinstance(what, Recipe):
            self.recipe = rooted_at(what, Path())
        elif (Path(what) / RECIPE).is_file():
            self.recipe = load(Path(what))
        else:
            raise InputError(
                f"{what}: no run is there; give a run folder, or a recipe that begins one: "
                "srl_edge.Run(srl_edge.Recipe.load(...))."
            )

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.recipe.run

    def __repr__(self) -> str:
        stages = ", ".join(stage.kind for stage in self.recipe.stages)
        return (
            f"<Run {self.folder}: {self.recipe.model.name} on {self.recipe.data.source}, {stages}>"
        )

    # The stages. One that is done and current is skipped; what it gives is there all the same.

    def data(self, again: bool = False) -> Row:
        """Cut expert trajectories into step prompts, in three splits; what was kept and dropped."""
        return self._stage("data", again, lambda: self.data_report)

    def train(self, again: bool = False) -> Path:
        """Train the recipe's stages, from the newest checkpoint on; the folder of the adapter."""
        return self._stage("train", again, lambda: self.folder / "adapter")

    def export(self, again: bool = False) -> dict[str, Artifact]:
        """Merge the adapter and build the recipe's artifacts, by their names."""
        return self._stage("export", again, lambda: self.artifacts)

    def check(self, again: bool = False) -> list[Row]:
        """Compare each artifact with the trained model; raises ParityError where one differs."""
        return self._stage("check", again, lambda: self.parity)

    def bench(self, again: bool = False) -> rows.BenchResults:
        """Measure accuracy, speed, memory and size of base, tuned model and artifacts."""
        return self._stage("bench", again, lambda: self.results)

    def report(self, again: bool = False) -> Path:
        """Write one offline page of it all; its path."""
        return self._stage("report", again, lambda: self.folder / "report.html")

    def all(self) -> Path:
        """Every stage that is not done and current, in order; the report's path."""
        with libraries_quiet():
            return line.run_line_here(self.recipe)

    def headroom(self, problems: int = 64, k: int = 8) -> Headroom:
        """What the model does before training, of so many problems with k replies to each.

        `print` shows the figures; `advice` says what they speak for.
        """
        if problems < 1 or k < 2:
            raise InputError("headroom: at least 1 problem and 2 replies to each are needed.")
        with libraries_quiet():
            return line.headroom(self.recipe, problems, k)[0]

    def advice(self, found: Headroom) -> list[str]:
        """Which pipeline the figures of `headroom` speak for, in sentences."""
        return list(advice(found, [stage.kind for stage in self.recipe.stages]))

    def bench_on(
        self, device: str, out: str | os.PathLike[str], artifacts: Sequence[str] | None = None
    ) -> rows.BenchResults:
        """Measure artifacts at the held-out problems on another device, into a folder of its own.

        device: `ssh:HOST`, `browser`, `browser:link` or `adb:SERIAL` (docs/bench.md). artifacts:
        names of those of the run; None takes all. One that was cut off goes on.
        """
        from srl_edge.devices.bench.artifacts import bench_artifacts, device_named

        there = self.artifacts
        if unknown := [name for name in artifacts or () if name not in there]:
            raise InputError(
                f"{unknown[0]}: no such artifact in {self.folder}; there are: {', '.join(there)}."
            )
        settings = self.recipe.benchmark
        problems = self.trajectories("test")[: settings.problems]
        paths = [there[name].path for name in artifacts or there]
        with libraries_quiet():
            bench_artifacts(
                paths,
                {rows.HELD_OUT: problems},
                settings,
                device_named(device),
                Path(out),
                resume=True,
                device_name=device,
            )
        return rows.read(Path(out))

    # What the stages wrote. Rows are as they are on disk: pandas.DataFrame(run.metrics) works.

    @property
    def data_report(self) -> Row:
        """What was read, kept and dropped, and how large the splits are."""
        found: Row = read_json(self._there("data/report.json", "data"), "DataReport")
        return found

    def trajectories(self, split: Split = "train") -> list[Trajectory]:
        """The problems of a split with the expert's steps."""
        return trajectories.load(self._there(f"data/{split}.jsonl", "data"))

    def _training(self, number: int) -> Stage:
        stages = self.recipe.stages
        if not -len(stages) <= number < len(stages):
            raise InputError(f"stage: the recipe has {len(stages)}, counted from 0; not {number}.")
        return stages[number]

    def prompts(self, stage: int = -1) -> list[StepPrompt]:
        """What a stage is trained on, by default the last one: a prompt and the expert's step."""
        self._there("data/train.jsonl", "data")
        groups = training_prompts(self.recipe, self._training(stage), self.folder)
        return [prompt for group in groups for prompt in group]

    def score(self, prompt: StepPrompt, reply: str, stage: int = -1) -> Reward:
        """The reward that a reply would have earned in an srl stage, with its parts."""
        its = self._training(stage)
        rollout = Rollout((), (), (), reply, finished=True)
        return step_reward(rollout, prompt, its.reward, its.guards, its.autojunk)

    @property
    def metrics(self) -> list[Row]:
        """A row for each training step and each validation; docs/training.md says what is in it."""
        return read_rows(self._there("train/metrics.jsonl", "train"), "Metrics")

    def rollouts(
        self, step: int | None = None, pick: Literal["best", "worst"] | None = None
    ) -> list[Row]:
        """What was sampled at a training step, by default the newest, with its reward.

        pick: only the best or the worst rollout of each group, the most extreme first.
        """
        _require_pick(pick)
        path = self._there("train/rollouts.jsonl", "train")
        found = rollouts.read_step(path, step)
        return rollouts.choose(found, pick, len(found)) if pick else found

    def show(
        self, step: int | None = None, pick: Literal["best", "worst"] | None = None, limit: int = 3
    ) -> None:
        """Print rollouts beside the expert's step, what matched in green. limit: most groups."""
        _require_pick(pick)
        rollouts.show(self.folder, step, pick, limit)

    @property
    def artifacts(self) -> "Artifacts":
        """The recipe's artifacts that were built, by their names."""
        folder = self.folder / "artifacts"
        names = [name for name in self.recipe.export.artifacts if (folder / name).is_dir()]
        return Artifacts({name: Artifact.load(folder / name) for name in names})

    @property
    def parity(self) -> list[Row]:
        """What the gate found of each artifact."""
        names = self.recipe.export.artifacts
        files = [self.folder / "parity" / f"{name}.json" for name in names]
        return [parity_rows.as_json(parity_rows.read(file)) for file in files if file.is_file()]

    @property
    def results(self) -> rows.BenchResults:
        """The benchmark: `rows` has a model each, and `gain` says what training brought."""
        self._there(f"bench/{rows.FILE}", "bench")
        return rows.read(self.folder / "bench")

    def _stage(self, name: str, again: bool, given: Callable[[], T]) -> T:
        with libraries_quiet():
            if again or line.due(self.recipe, name):
                line.run_stage(self.recipe, name)
        return given()

    def _there(self, name: str, stage: str) -> Path:
        if not (file := self.folder / name).is_file():
            raise InputError(f"{file}: not there yet; Run.{stage}() writes it.")
        return file
