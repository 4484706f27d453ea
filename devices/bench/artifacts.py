"""The benchmark of models and artifacts at tasks, on a device that has a name."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from srl_edge import owned, processes
from srl_edge.data.agents.worlds import form_of
from srl_edge.devices.bench.benchmark import Task, begin, benchmark
from srl_edge.devices.bench.connection import Device
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.step_similarity import chosen_prompts
from srl_edge.devices.bench.what import models_of
from srl_edge.devices.runtimes.chat import Asked, asked_of
from srl_edge.errors import InputError
from srl_edge.files import text_sha256
from srl_edge.method.types import Trajectory
from srl_edge.quantization.formats import FORMATS, require_runtime
from srl_edge.recipe import Bench
from srl_edge.report import results
from srl_edge.report.bench_page import write_page
from srl_edge.run_lock import STAGE, held
from srl_edge.terminal import progress


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
            from srl_edge.devices.hosts.browser_runner import require_browser

            require_browser(where)
            return Browser(where or "wasm")
        case "ssh" if where:
            from srl_edge.devices.hosts.ssh import Ssh

            _require_program("ssh", "OpenSSH")
            return Ssh(where, python)
        case "adb":
            from srl_edge.devices.hosts.adb import Adb

            _require_program("adb", "Android's platform tools")
            return Adb(where, llama_main)
    raise InputError(
        f"device {name!r} is not known; choose local, ssh:HOST, adb:SERIAL, browser, "
        "browser:webgpu or browser:link."
    )


def _require_program(name: str, comes_with: str) -> None:
    if shutil.which(name) is None:
        raise InputError(f"{name} is not on the PATH; install {comes_with}.")


def bench_artifacts(
    named: Sequence[str | Path],
    tasks: Mapping[str, Sequence[Trajectory]],
    settings: Bench,
    device: Device,
    out: Path,
    resume: bool = False,
    soak_minutes: float = 0.0,
    device_name: str = "local",
    whole: bool = False,
    shots: Mapping[str, Sequence[Trajectory]] = MappingProxyType({}),
) -> Path:
    """Measure models on a device; return `out/report.html`, see `results` for what is beside.

    named: what `what.py` recognizes. resume: what an earlier call with the same models, tasks and
    settings has measured is kept. device_name: that of an earlier call must be the same. whole: all
    are asked for one reply; else our artifacts as their manifests say. shots: worked examples of a
    task, before each of its problems. Raises InputError where `out` holds something else.
    """
    models = models_of(named, whole, settings)
    for model in models if device_name == "local" else ():
        if model.backend in FORMATS:
            require_runtime(model.backend, model.path)
    settings = settings.as_long_as()
    settings = settings.model_copy(update={"threads": settings.threads or processes.cores()})
    shown = {task: list(map(_row, examples)) for task, examples in shots.items() if examples}
    asked = {
        "artifacts": {model.name: model.contents for model in models},
        "tasks": {task: list(map(_row, chosen)) for task, chosen in tasks.items()},
        "settings": settings.model_dump(),
        "device": device_name,
        "reply": {model.name: _way(model) for model in models if model.asked},
        "shots": shown,
    }
    steps = [model for model in models if not (model.asked or asked_of(model.path)).whole]
    if shown and steps:
        raise InputError(
            f"{steps[0].name}: answers step by step, and worked examples are whole solutions; add "
            "--reply whole, or leave --shots out."
        )
    acted = [name for name, chosen in tasks.items() if any(each.world for each in chosen)]
    if acted and (whole or shown):
        raise InputError(
            f"{acted[0]}: its tasks are acted in, step by step; leave out --reply and --shots."
        )
    if len(acted) == len(tasks):
        models = [
            model._replace(told=dict(model.told) | {"asked": "to act, a command a reply"})
            if model.asked
            else model
            for model in models
        ]
    listed = [
        Task(
            name,
            chosen,
            shots=shots.get(name, ()),
            in_world=_in_world(chosen),
            prompts=chosen_prompts(chosen, settings) if steps or name in acted else (),
        )
        for name, chosen in tasks.items()
    ]
    for model in models:
        if model.told:
            facts = "; ".join(f"{key}: {value}" for key, value in model.told.items())
            progress.say(f"{model.name}: {facts}")
    with held(owned.claim(out, "benchmark"), STAGE):
        date = begin(out, asked, resume)
        recorded = {"shots": max(map(len, shown.values()), default=0)}
        found = benchmark(models, listed, settings, device, out, date, soak_minutes, recorded)
        results.write(out, found)
        return write_page(out)


def _in_world(problems: Sequence[Trajectory]) -> Asked | None:
    """How a model that no manifest tells of is asked to act in the world of some problems."""
    world = next((problem.world for problem in problems if problem.world), None)
    if world is None:
        return None
    return Asked(form_of(world))


def _way(model: Model) -> dict[str, object]:
    return asdict(model.asked or Asked()) | {"max_new_tokens": model.max_new_tokens}


def _row(problem: Trajectory) -> str:
    """Its id, and what changes with all that is asked, shown or compared of it."""
    return f"{problem.id} {text_sha256(json.dumps(asdict(problem), sort_keys=True))[:12]}"
