"""The benchmark of artifacts at tasks, on a device that has a name."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge import owned
from srl_edge.devices.bench.benchmark import Task, begin, benchmark
from srl_edge.devices.bench.measure import Device, Model
from srl_edge.devices.bench.step_similarity import chosen_prompts
from srl_edge.errors import InputError
from srl_edge.files import file_sha256
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Bench
from srl_edge.report import results
from srl_edge.report.bench_page import write_page
from srl_edge.run_lock import STAGE, held


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

    resume: what an earlier call with the same artifacts, tasks and settings has measured is kept.
    device_name: that of an earlier call must be the same. Raises InputError where `out` holds
    something else.
    """
    settings = settings.model_copy(update={"threads": settings.threads or os.cpu_count() or 1})
    loaded = _named(folders)
    asked = {
        "artifacts": {
            name: file_sha256(artifact.path / artifacts.MANIFEST)
            for name, artifact in loaded.items()
        },
        "tasks": {task: [problem.id for problem in chosen] for task, chosen in tasks.items()},
        "settings": settings.model_dump(),
        "device": device_name,
    }
    models = [Model(name, "artifact", each.path, each.format) for name, each in loaded.items()]
    listed = [
        Task(name, chosen, prompts=chosen_prompts(chosen, settings))
        for name, chosen in tasks.items()
    ]
    with held(owned.claim(out, "benchmark"), STAGE):
        date = begin(out, asked, resume)
        found = benchmark(models, listed, settings, device, out, date, soak_minutes)
        results.write(out, found)
        return write_page(out)


def _named(folders: Sequence[Path]) -> dict[str, artifacts.Artifact]:
    """Artifacts by name; those of several runs by their run's as well."""
    loaded = [artifacts.load(folder) for folder in folders]
    names = [artifact.name for artifact in loaded]
    found: dict[str, artifacts.Artifact] = {}
    for artifact in loaded:
        if not artifact.runs:
            raise InputError(f"{artifact.path}: built for a phone; nothing here can run it.")
        alone = names.count(artifact.name) == 1
        home = artifact.path.resolve().parent
        run = home.parent.name if home.name == "artifacts" else home.name
        name = artifact.name if alone else f"{run}/{artifact.name}"
        if results.safe(name) in map(results.safe, found):
            raise InputError(f"{artifact.path}: named twice, or as another run's is ({name}).")
        found[name] = artifact
    return found
