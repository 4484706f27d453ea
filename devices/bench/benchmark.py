"""The benchmark of models at tasks, on any device: what can be cut off and taken up again."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from srl_edge import owned
from srl_edge.devices.bench import figures, measure, work
from srl_edge.devices.bench.connection import Connection, Device, Machine, OneMachine, other
from srl_edge.devices.bench.live import Board
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.shots import worked
from srl_edge.devices.bench.soak import soak
from srl_edge.devices.bench.step_similarity import step_rows, summarized
from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.machine import describe
from srl_edge.devices.hosts.session import RunnerLost
from srl_edge.devices.runtimes.chat import Asked, asked_of
from srl_edge.errors import InputError
from srl_edge.files import read_json, read_json_if_there, read_rows
from srl_edge.files import replace as write_at_once
from srl_edge.lost import require_held
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.recipe import Bench
from srl_edge.report import results, rows, tables
from srl_edge.report.rows import Answers, BenchResults, ModelRow, Score, StepSimilarity
from srl_edge.report.text import shown
from srl_edge.terminal import progress

Facts = dict[str, Any]
_SETTINGS, _SPEEDS, _SOAK = "settings.json", "speeds.json", "soak.json"
ALONE = 4  # problems that are solved in a batch, and one at a time as well
ALONE_ROWS = "alone"  # the kind of their file


class Task(NamedTuple):
    """Problems, and how models are asked about them.

    asked: None is as each model is asked by itself. max_new_tokens: None is the model's or the
    settings'. kinds: of models that are asked; all where it is empty. prompts: steps whose likeness
    to the expert's is measured. shots: worked examples before each problem. in_world: how those
    are asked that have no way of their own to act in the problems' world.
    """

    name: str
    problems: Sequence[Trajectory]
    asked: Asked | None = None
    max_new_tokens: int | None = None
    kinds: tuple[str, ...] = ()
    prompts: Sequence[StepPrompt] = ()
    shots: Sequence[Trajectory] = ()
    in_world: Asked | None = None

    def of(self, models: Sequence[Model]) -> list[Model]:
        """The models that are asked, each in the way of this task."""
        found = []
        for model in models:
            if not self.kinds or model.kind in self.kinds:
                asked = self.asked or model.asked
                most = self.max_new_tokens or model.max_new_tokens
                if self.in_world and model.asked:
                    asked, most = self.in_world, None
                if self.shots:
                    asked = asked or asked_of(model.path)
                    asked = replace(asked, shots=worked(self.shots, asked.form))
                found.append(model._replace(asked=asked, max_new_tokens=most))
        return found


def require_place(out: Path, resume: bool) -> None:
    """Raise InputError where a benchmark cannot be written to `out`, before anything is asked."""
    if out.exists():
        owned.claim(out, "benchmark")
    file = out / _SETTINGS
    if not resume and file.is_file() and any(other != file for other in out.glob("[!.]*")):
        date = read_json(file, "BenchSettings")["date"]
        raise InputError(
            f"{out}: holds a benchmark of {date}; --resume goes on with it, or name another --out."
        )


def begin(out: Path, asked: Mapping[str, Any], resume: bool) -> str:
    """The date of this benchmark: today's, or that of the one that is resumed.

    asked: all that its results depend on. Raises InputError where `out` holds something else.
    """
    require_place(out, resume)
    file = out / _SETTINGS
    if file.is_file() and any(other != file for other in out.glob("[!.]*")):
        earlier = read_json(file, "BenchSettings")
        date: str = earlier.pop("date")
        asked = json.loads(json.dumps(asked))  # tuples are lists there
        if earlier != asked:
            changed = ", ".join(key for key in asked if asked[key] != earlier.get(key))
            raise InputError(f"{out}: was begun with other {changed}; name another --out.")
        return date
    owned.claim(out, "benchmark")
    date = time.strftime("%Y-%m-%dT%H-%M-%S")
    write_at_once(file, json.dumps({**asked, "date": date}, indent=1) + "\n")
    return date


def begin_or_go_on(out: Path, asked: Mapping[str, Any]) -> str:
    """As `begin`: goes on with what was cut off of the same on this computer, else starts over."""
    earlier = read_json_if_there(out / _SETTINGS, "BenchSettings") or {}
    same = {key: value for key, value in earlier.items() if key != "date"} == asked
    if (machine := _machine_of(out)) and other(machine, describe(0)):
        same = False
    if owned.is_claimed(out) and ((out / rows.FILE).is_file() or (earlier and not same)):
        progress.say(f"bench: the earlier one is now in {owned.set_aside(out)}.")
    return begin(out, asked, resume=True)


def _machine_of(out: Path) -> Machine | None:
    """What the speeds that are on disk were measured on, as the first that ran describes it."""
    found = (row.machine for row in rows.read_rows(out / _SPEEDS).values() if row.machine)
    return next(found, None)


def benchmark(
    models: Sequence[Model],
    tasks: Sequence[Task],
    settings: Bench,
    device: Device,
    out: Path,
    date: str,
    soak_minutes: float = 0.0,
    recorded: Mapping[str, Any] = MappingProxyType({}),
) -> BenchResults:
    """Measure models at tasks; what `out` has of it already is kept, what was lost is tried again.

    Each sample is on disk as soon as it ends. soak_minutes: how long each model then decodes
    without a pause. recorded: what else the results say of the settings. Raises InputError where
    what is there was measured on another machine.
    """
    one = OneMachine(device, out, _machine_of(out))
    if device is local:
        one.require(describe(settings.threads))
    asked = [(model, task) for task in tasks for model in task.of(models)]
    each = sum(
        len(task.problems) + min(ALONE, len(task.problems)) + len(task.prompts) for _, task in asked
    )
    total = each + len(models) * (settings.repeats + 1 + ceil(soak_minutes))
    to_do = sum(
        len(task.problems) * work.of_problem(model, settings)
        + min(ALONE, len(task.problems)) * work.of_one_alone(model, settings)
        + len(task.prompts) * work.of_step(model, settings)
        for model, task in asked
    )
    to_do += sum(work.of_turn(model, settings) * (settings.repeats + 1) for model in models)
    to_do += len(models) * work.OF_LOADING
    to_do += len(models) * ceil(soak_minutes) * work.OF_MINUTE
    board = Board([model.name for model in models])
    to_load = {model.name for model in models}

    def loaded(name: str, skipped: bool = False) -> None:
        if name in to_load:
            to_load.remove(name)
            advance(name, by=0, work=work.OF_LOADING, skipped=skipped)

    with (
        progress.bar("bench", total, above=board.table, work=to_do) as advance,
        Connection(one, settings.threads, loaded) as connection,
    ):
        bench = _Bench(settings, one, connection, out, date, board, advance)
        timed = bench.speeds(models, tasks[0].problems)
        measured = []
        for model in models:
            found = {
                task.name: bench.answers(asked, task)
                for task in tasks
                for asked in task.of([model])
            }
            loaded(model.name, skipped=True)  # all of it was on disk
            measured.append(replace(timed[model.name], tasks=found, told=dict(model.told)))
        connection.close()
        if soak_minutes:
            bench.soak(models, tasks[0].problems, soak_minutes)
    machine = dict(one.machine or {})
    if device is local:
        machine |= {"memory_gb_per_second": local.memory_bandwidth(settings.threads)}
    limit = max(len(task.problems) for task in tasks)
    said = settings.model_dump() | {"limit": limit} | dict(recorded)
    whole = BenchResults(date, machine, said, measured)
    for sentence in (each for task in tasks for each in tables.cut_off(whole, task.name)):
        progress.say(f"bench: {sentence}")
    return whole


class _Bench(NamedTuple):
    """Where a benchmark runs, where it writes, and where it is seen."""

    settings: Bench
    device: Device
    connection: Connection
    out: Path
    date: str
    board: Board
    advance: progress.Advance

    def speeds(
        self, models: Sequence[Model], problems: Sequence[Trajectory]
    ) -> dict[str, ModelRow]:
        """Speeds by model: those on disk, and the rest measured in turns."""
        file, settings = self.out / _SPEEDS, self.settings
        kept = {name: row for name, row in rows.read_rows(file).items() if not row.unmeasured}
        left = [model for model in models if model.name not in kept]
        done = sum(work.of_turn(m, settings) for m in models if m.name in kept)
        turns = settings.repeats + 1
        self.advance("speed", by=len(kept) * turns, work=done * turns, skipped=True)
        if left:
            turn = {model.name: work.of_turn(model, settings) for model in left}
            measured = measure.speeds(
                left,
                problems,
                settings,
                self.device,
                lambda name: self.advance(name, work=turn[name]),
                self.board.show,
            )
            kept |= {row.name: row for row in measured}
            rows.write_rows(file, kept)
        for name, row in kept.items():
            rate = row.decode_tokens_per_second
            self.board.show(
                name,
                **{
                    "median": shown(rate.p50 if rate else None, ".1f"),
                    "peak MiB": shown(row.peak_memory_mib, ".0f"),
                },
            )
        return kept

    def answers(self, model: Model, task: Task) -> Answers:
        """How a model does at a task: its samples on disk, and the rest as they are measured."""
        settings = self.settings
        if model.max_new_tokens is not None:
            settings = settings.model_copy(update={"max_new_tokens": model.max_new_tokens})
        # Problems of like length are read together with little padding.
        length = [len(problem.problem) for problem in task.problems]
        numbers = sorted(range(len(length)), key=length.__getitem__)
        found: list[Facts] = []
        for row in self._samples(model, task, settings, numbers):
            found.append(row)
            so_far = figures.so_far([results.score_of(each) for each in found])
            self.board.show(model.name, **{task.name: so_far})
        found.sort(key=lambda row: int(row["doc_id"]))
        scores = [results.score_of(row) for row in found]
        steps = self._steps(model, task, settings)
        return figures.answers(scores, steps, self._alone(model, task, settings, found))

    def _samples(
        self,
        model: Model,
        task: Task,
        settings: Bench,
        numbers: Sequence[int],
        kind: str = "samples",
    ) -> Iterator[Facts]:
        """The rows of those problems: those on disk, and the rest, which are then there too."""
        file = results.samples_file(self.out, model.name, task.name, self.date, kind)
        kept = _kept(file, "BenchSample")
        known = {row["doc_id"] for row in kept}
        left = [number for number in numbers if number not in known]
        of_one = work.of_one_alone if kind == ALONE_ROWS else work.of_problem
        each = of_one(model, settings)
        self.advance(model.name, by=len(kept), work=len(kept) * each, skipped=True)
        yield from kept
        asked = [task.problems[number] for number in left]
        alone = kind == ALONE_ROWS
        with file.open("a", encoding="utf-8") as written:
            for samples in measure.solved(model, asked, settings, self.connection, alone):
                numbered, left = left[: len(samples)], left[len(samples) :]
                rows = [
                    results.as_sample(number, task.problems[number], sample)
                    for number, sample in zip(numbered, samples, strict=True)
                ]
                require_held(file)
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
                written.writelines(lines)
                written.flush()
                yield from rows
                self.advance(model.name, by=len(samples), work=len(samples) * each)

    def _alone(
        self, model: Model, task: Task, settings: Bench, rows: Sequence[Facts]
    ) -> list[tuple[Score, bool]]:
        """Scores of some problems that were solved in a batch, now solved one at a time.

        And whether their replies differ: what batching changes.
        """
        batched = {row["doc_id"]: row for row in rows if row.get("batched")}
        if model.answers_only:
            batched = {}
        numbers = sorted(batched)[:ALONE]
        spared = min(ALONE, len(task.problems)) - len(numbers)
        saved = spared * work.of_one_alone(model, settings)
        self.advance(model.name, by=spared, work=saved, skipped=True)
        if not numbers:
            return []
        once = settings.model_copy(update={"samples": 1})
        found = self._samples(model, task, once, numbers, ALONE_ROWS)
        return [
            (results.score_of(row), row["resps"][0][:1] != batched[row["doc_id"]]["resps"][0][:1])
            for row in found
        ]

    def _steps(self, model: Model, task: Task, settings: Bench) -> StepSimilarity | None:
        """Similarity of a model's steps to the expert's: those on disk, and the rest."""
        each = work.of_step(model, settings)
        if (model.asked or asked_of(model.path)).whole:
            count = len(task.prompts)
            self.advance(model.name, by=count, work=count * each, skipped=True)
            return None
        if not task.prompts:
            return None
        file = results.samples_file(self.out, model.name, task.name, self.date, "steps")
        kept = _kept(file, "StepSample")
        known = {(row["id"], row["step"]) for row in kept}
        left = [p for p in task.prompts if (p.trajectory_id, p.step_index) not in known]
        self.advance(model.name, by=len(kept), work=len(kept) * each, skipped=True)
        with file.open("a", encoding="utf-8") as written:
            for row in step_rows(model, left, settings, self.connection):
                require_held(file)
                written.write(json.dumps(row, ensure_ascii=False) + "\n")
                written.flush()
                kept.append(row)
                self.advance(model.name, work=each)
        return summarized(kept)

    def soak(self, models: Sequence[Model], problems: Sequence[Trajectory], minutes: float) -> None:
        """Let each model that has not done so decode for minutes."""
        file = self.out / _SOAK
        kept: dict[str, list[Facts]] = read_json_if_there(file, "Soak") or {}
        for model in models:
            if model.name not in kept:
                try:
                    kept[model.name] = soak(
                        model,
                        problems,
                        self.settings,
                        self.device,
                        minutes,
                        self.advance,
                        self.board.show,
                    )
                except RunnerLost as error:
                    progress.say(f"bench: {error}")
                    continue
                write_at_once(file, json.dumps(kept) + "\n")


def _kept(file: Path, shape: str) -> list[Facts]:
    """The rows of an earlier call that were not lost; the file then holds them alone."""
    found = [row for row in read_rows(file, shape) if not row["lost"]]
    write_at_once(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    return found
