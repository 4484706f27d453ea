"""The benchmark of artifacts at tasks: what can be cut off and taken up again."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.live import Board
from srl_edge.devices.bench.measure import Device, Model
from srl_edge.devices.bench.soak import soak
from srl_edge.devices.bench.step_similarity import chosen_prompts, step_rows, summarized
from srl_edge.devices.hosts.session import RunnerLost
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, read_json, read_json_if_there, replace
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.recipe import Bench
from srl_edge.report import results
from srl_edge.report.bench_page import write_page
from srl_edge.terminal import progress

Facts = dict[str, Any]
_SETTINGS = "settings.json"


def device_named(name: str, python: str = "python3", llama_main: str = "") -> Device:
    """The device of a name, as in docs/bench.md.

    python: the interpreter of an ssh host. llama_main: where an Android device has that program.
    """
    kind, _, where = name.partition(":")
    match kind:
        case "local" if not where:
            from srl_edge.devices.hosts import local

            return local
        case "browser" if where in ("", "webgpu", "link"):
            from srl_edge.devices.hosts.browser import Browser

            return Browser(where or "wasm")
        case "ssh" if where:
            from srl_edge.devices.hosts.ssh import Ssh

            return Ssh(where, python)
        case "adb":
            from srl_edge.devices.hosts.adb import Adb

            return Adb(where, llama_main)
    raise InputError(
        f"device {name!r} is not known; choose local, ssh:HOST, adb:SERIAL, browser, "
        "browser:webgpu or browser:link."
    )


def bench_artifacts(
    folders: Sequence[Path], tasks: Mapping[str, Sequence[Trajectory]], settings: Bench,
    device: Device, out: Path, resume: bool = False, soak_minutes: float = 0.0,
    device_name: str = "local",
) -> Path:  # fmt: skip
    """Measure artifacts on a device; return `out/report.html`, see `results` for what is beside.

    Each sample is on disk as soon as it ends. resume: what an earlier call with the same artifacts,
    tasks and settings has measured is kept; what was lost is tried again. soak_minutes: how long
    each then decodes without a pause. device_name: that of an earlier call must be the same. Raises
    InputError where `out` holds something else.
    """
    settings = settings.model_copy(update={"threads": settings.threads or os.cpu_count() or 1})
    loaded = _named(folders)
    asked = [Model(name, "artifact", artifact.path) for name, artifact in loaded.items()]
    date = _begin(out, loaded, tasks, settings, device_name, resume)
    problems = next(iter(tasks.values()))
    prompts = {task: chosen_prompts(chosen, settings) for task, chosen in tasks.items()}
    each = sum(map(len, tasks.values())) + sum(map(len, prompts.values()))
    each += settings.repeats + 1 + ceil(soak_minutes)
    board = Board(list(loaded))
    with progress.bar("bench", len(asked) * each, above=board.table) as advance:
        kept = _speeds(out / "speeds.json", asked, problems, settings, device, advance, board)
        rows = []
        for model in asked:
            row = kept[model.name] | {"backend": loaded[model.name].format, "tasks": {}}
            for task, chosen in tasks.items():
                file = results.samples_file(out, model.name, task, date)
                samples = _samples(file, model, task, chosen, settings, device, advance, board)
                file = results.samples_file(out, model.name, task, date, "steps")
                steps = _steps(file, model, prompts[task], settings, device, advance)
                row["tasks"][task] = measure.accuracy(samples) | {"step_similarity": steps}
            rows.append(row)
        if soak_minutes:
            _soak(out, asked, problems, settings, device, soak_minutes, advance, board)
    recorded = settings.model_dump() | {"limit": max(map(len, tasks.values()))}
    results.write(out, date, measure.machine_of(rows), rows, recorded)
    return write_page(out)


def _speeds(
    file: Path, asked: Sequence[Model], problems: Sequence[Trajectory], settings: Bench,
    device: Device, advance: progress.Advance, board: Board,
) -> dict[str, Facts]:  # fmt: skip
    """Speeds by model: those on disk, and the rest measured in turns."""
    kept: dict[str, Facts] = read_json_if_there(file) or {}
    kept = {name: row for name, row in kept.items() if not row["unmeasured"]}
    left = [model for model in asked if model.name not in kept]
    advance("speed", by=len(kept) * (settings.repeats + 1))
    if left:
        rows = measure.speeds(left, problems, settings, device, advance, board.show)
        kept |= {row["name"]: row for row in rows}
        replace(file, json.dumps(kept) + "\n")
    for name, row in kept.items():
        rate = row["decode_tokens_per_second"]
        board.show(name, **{"tokens/s": results.shown(rate and rate["p50"], ".1f"),
                            "MiB": results.shown(row["peak_memory_mib"], ".0f")})  # fmt: skip
    return kept


def _soak(
    out: Path, asked: Sequence[Model], problems: Sequence[Trajectory], settings: Bench,
    device: Device, minutes: float, advance: progress.Advance, board: Board,
) -> None:  # fmt: skip
    file = out / "soak.json"
    kept: dict[str, list[Facts]] = read_json_if_there(file) or {}
    for model in asked:
        if model.name not in kept:
            try:
                points = soak(model, problems, settings, device, minutes, advance, board.show)
            except RunnerLost as error:
                progress.say(f"bench: {error}")
                continue
            kept[model.name] = points
            replace(file, json.dumps(kept) + "\n")


def _named(folders: Sequence[Path]) -> dict[str, artifacts.Artifact]:
    """Artifacts by name; those of several runs by their run's as well."""
    loaded = [artifacts.load(folder) for folder in folders]
    names = [artifact.name for artifact in loaded]
    found = {}
    for artifact in loaded:
        if not artifact.runs:
            raise InputError(f"{artifact.path}: built for a phone; nothing here can run it.")
        alone = names.count(artifact.name) == 1
        run = artifact.path.resolve().parents[1].name
        name = artifact.name if alone else f"{run}/{artifact.name}"
        if name in found:
            raise InputError(f"{artifact.path}: named twice.")
        found[name] = artifact
    return found


def _begin(
    out: Path, loaded: Mapping[str, artifacts.Artifact], tasks: Mapping[str, Sequence[Trajectory]],
    settings: Bench, device: str, resume: bool,
) -> str:  # fmt: skip
    """The date of this benchmark: today's, or that of the one that is resumed."""
    asked = {
        "artifacts": {
            name: file_sha256(artifact.path / artifacts.MANIFEST)
            for name, artifact in loaded.items()
        },
        "tasks": {task: [problem.id for problem in chosen] for task, chosen in tasks.items()},
        "settings": settings.model_dump(),
        "device": device,
    }
    file = out / _SETTINGS
    if file.is_file() and any(other != file for other in out.iterdir()):
        earlier = read_json(file)
        date: str = earlier.pop("date")
        if not resume:
            raise InputError(
                f"{out}: holds a benchmark of {date}; --resume goes on with it, or name another "
                "--out."
            )
        if earlier != asked:
            changed = ", ".join(key for key in asked if asked[key] != earlier.get(key))
            raise InputError(f"{out}: was begun with other {changed}; name another --out.")
        return date
    out.mkdir(parents=True, exist_ok=True)
    date = time.strftime("%Y-%m-%dT%H-%M-%S")
    replace(file, json.dumps(asked | {"date": date}, indent=1) + "\n")
    return date


def _samples(
    file: Path, model: Model, task: str, problems: Sequence[Trajectory], settings: Bench,
    device: Device, advance: progress.Advance, board: Board,
) -> list[Facts]:  # fmt: skip
    """All samples of a model at a task: those on disk, and the rest as they are measured."""
    rows = _kept(file)
    known = {row["doc_id"] for row in rows}
    left = [number for number in range(len(problems)) if number not in known]
    advance(model.name, by=len(rows))
    found = [_measured(row) for row in rows]
    with file.open("a", encoding="utf-8") as out:
        todo = [problems[number] for number in left]
        for number, sample in zip(left, measure.solved(model, todo, settings, device), strict=True):
            row = results.as_sample(number, problems[number], sample)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            rows.append(row)
            found.append(_measured(row))
            board.show(model.name, **{task: measure.so_far(found)})
            advance(model.name)
    return [_measured(row) for row in sorted(rows, key=lambda row: row["doc_id"])]


def _measured(row: Facts) -> Facts:
    return {"correct": row["exact_match"], **{k: row[k] for k in ("seconds", "joules", "lost")}}


def _steps(
    file: Path, model: Model, prompts: Sequence[StepPrompt], settings: Bench, device: Device,
    advance: progress.Advance,
) -> Facts | None:  # fmt: skip
    """Similarity of a model's steps to the expert's: those on disk, and the rest as they come."""
    if not prompts:
        return None
    rows = _kept(file)
    known = {(row["id"], row["step"]) for row in rows}
    left = [prompt for prompt in prompts if (prompt.trajectory_id, prompt.step_index) not in known]
    advance(model.name, by=len(rows))
    with file.open("a", encoding="utf-8") as out:
        for row in step_rows(model, left, settings, device):
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            rows.append(row)
            advance(model.name)
    return summarized(rows)


def _kept(file: Path) -> list[Facts]:
    """The rows of an earlier call that were not lost; the file then holds them alone."""
    rows: list[Facts] = []
    if file.is_file():
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # less one that was cut off
        rows = [row for row in map(json.loads, lines) if not row["lost"]]
    replace(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows
