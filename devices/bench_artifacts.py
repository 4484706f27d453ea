"""The benchmark of artifacts at tasks: what can be cut off and taken up again."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import progress
from srl_edge.devices import measure, results
from srl_edge.devices.measure import Device, Model
from srl_edge.errors import InputError
from srl_edge.models import file_sha256
from srl_edge.recipe import Bench
from srl_edge.types import Trajectory

Facts = dict[str, Any]
_SETTINGS = "settings.json"


def device_named(name: str, python: str = "python3") -> Device:
    """The device of a name: `local`, `browser`, or `ssh:HOST`, whose Python is `python`."""
    kind, _, where = name.partition(":")
    match kind:
        case "local" if not where:
            from srl_edge.devices import local

            return local
        case "browser" if not where:
            from srl_edge.devices import browser

            return browser
        case "ssh" if where:
            from srl_edge.devices.ssh import Ssh

            return Ssh(where, python)
    raise InputError(f"device {name!r} is not known; choose local, browser or ssh:HOST.")


def bench_artifacts(
    folders: Sequence[Path], tasks: Mapping[str, Sequence[Trajectory]], settings: Bench,
    device: Device, out: Path, resume: bool = False,
) -> Path:  # fmt: skip
    """Measure artifacts on a device; return `out/results.json`, see `results` for what is beside.

    Each sample is on disk as soon as it ends. resume: what an earlier call with the same artifacts,
    tasks and settings has measured is kept; what was lost is tried again. Raises InputError where
    `out` holds something else.
    """
    settings = settings.model_copy(update={"threads": settings.threads or os.cpu_count() or 1})
    loaded = _named(folders)
    asked = [Model(name, "artifact", artifact.path) for name, artifact in loaded.items()]
    date = _begin(out, loaded, tasks, settings, resume)
    file = out / "speeds.json"
    kept: Facts = json.loads(file.read_text()) if file.is_file() else {}
    problems = next(iter(tasks.values()))
    count = sum(map(len, tasks.values()))
    with progress.bar("bench", len(asked) * (count + settings.repeats + 1)) as advance:
        if kept:
            advance("speed", by=len(asked) * (settings.repeats + 1))
        else:
            rows = measure.speeds(asked, problems, settings, device, advance)
            kept = {row["name"]: row for row in rows}
            results.replace(file, json.dumps(kept) + "\n")
        rows = []
        for model in asked:
            backend = loaded[model.name].format
            row = kept[model.name] | {"backend": backend, "tasks": {}}
            for task, chosen in tasks.items():
                rows_of = results.samples_file(out, model.name, task, date)
                samples = _samples(rows_of, model, chosen, settings, device, advance)
                row["tasks"][task] = measure.accuracy(samples)
            rows.append(row)
    recorded = settings.model_dump() | {"limit": max(map(len, tasks.values()))}
    return results.write(out, date, rows[0]["machine"], rows, recorded)


def _named(folders: Sequence[Path]) -> dict[str, artifacts.Artifact]:
    """Artifacts by name; those of several runs by their run's as well."""
    loaded = [artifacts.load(folder) for folder in folders]
    names = [artifact.name for artifact in loaded]
    found = {}
    for artifact in loaded:
        if artifact.quantization in artifacts.UNTRIED:
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
    settings: Bench, resume: bool,
) -> str:  # fmt: skip
    """The date of this benchmark: today's, or that of the one that is resumed."""
    asked = {
        "artifacts": {
            name: file_sha256(artifact.path / artifacts.MANIFEST)
            for name, artifact in loaded.items()
        },
        "tasks": {task: [problem.id for problem in chosen] for task, chosen in tasks.items()},
        "settings": settings.model_dump(),
    }
    file = out / _SETTINGS
    if file.is_file():
        earlier = json.loads(file.read_text())
        date: str = earlier.pop("date")
        if not resume:
            raise InputError(
                f"{out}: holds a benchmark of {date}; --resume goes on with it, or name another "
                "--out."
            )
        if earlier != asked:
            changed = ", ".join(key for key in asked if asked[key] != earlier[key])
            raise InputError(f"{out}: was begun with other {changed}; name another --out.")
        return date
    out.mkdir(parents=True, exist_ok=True)
    date = time.strftime("%Y-%m-%dT%H-%M-%S")
    results.replace(file, json.dumps(asked | {"date": date}, indent=1) + "\n")
    return date


def _samples(
    file: Path, model: Model, problems: Sequence[Trajectory], settings: Bench, device: Device,
    advance: progress.Advance,
) -> list[Facts]:  # fmt: skip
    """All samples of a model at a task: those on disk, and the rest as they are measured."""
    rows = []
    if file.is_file():
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # less one that was cut off
        rows = [row for row in map(json.loads, lines) if not row["lost"]]
    known = {row["doc_id"] for row in rows}
    left = [number for number in range(len(problems)) if number not in known]
    advance(model.name, by=len(rows))
    results.replace(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    with file.open("a", encoding="utf-8") as out:
        todo = [problems[number] for number in left]
        for number, sample in zip(left, measure.solved(model, todo, settings, device), strict=True):
            row = results.as_sample(number, problems[number], sample)
            rows.append(row)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            advance(model.name)
    return [{"correct": row["exact_match"], "seconds": row["seconds"], "lost": row["lost"]}
            for row in sorted(rows, key=lambda row: row["doc_id"])]  # fmt: skip
