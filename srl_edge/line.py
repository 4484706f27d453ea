"""The stages in order, each a function from a recipe and a run folder to a path.

The run folder is the contract between them: `recipe.toml`, `data/`, `train/`, `adapter/`,
`merged/`, `artifacts/`, `parity/`, `bench/`, `report.*`. A stage is current if it was finished with
the same settings and the same stages before it.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from srl_edge import __version__, recipe
from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there
from srl_edge.models.catalog import config_of
from srl_edge.models.families import require_exportable
from srl_edge.quantization.formats import require_builders
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop import checkpoints

if TYPE_CHECKING:
    from srl_edge.trainers.policy.contract import Policy

# Sections of the recipe that a stage depends on, besides what the stages before it made.
STAGES = {
    "data": ("data", "prompt", "seed"),
    "train": ("model", "trainer", "stages"),
    "export": ("export",),
    "check": ("check",),
    "bench": ("bench",),
    "report": (),
}
_DONE = "stages.json"


def run_line(settings: Recipe) -> Path:
    """Run every stage that is not done and current, each in its own process; return the report.

    What training or an export held in memory is gone when the next stage starts. A stage that fails
    says why itself, and ends this process with its exit code.
    """
    require_exportable(config_of(settings.model.name), settings.export.artifacts)
    require_builders(settings.export.artifacts)
    checkpoints.require_same_settings(settings.run / "train", settings)
    run = open_run(settings)
    for name in STAGES:
        if _finished(run).get(name) == fingerprint(settings, name):
            print(f"{name}: done and current, skipped", file=sys.stderr)
            continue
        stage = [sys.executable, "-m", "srl_edge", name, str(run)]
        code = subprocess.run(stage, stdout=subprocess.DEVNULL, check=False).returncode
        if code:
            raise SystemExit(code)
    return run / "report.html"


def run_stage(settings: Recipe, name: str) -> Path:
    """Run one stage and note that it is done; return the path that it wrote."""
    if name == "train":  # before it overwrites the recipe that the checkpoint was trained with
        checkpoints.require_same_settings(settings.run / "train", settings)
    if name != "data" and not settings.run.is_dir():
        raise InputError(f"{settings.run}: no run is there; `srl-edge data RECIPE` begins one.")
    run = open_run(settings)
    print(f"{name}: {DESCRIPTIONS[name]}", file=sys.stderr)
    done = _finished(run)
    before = list(STAGES)[: list(STAGES).index(name)]
    if outdated := [s for s in before if done.get(s) != fingerprint(settings, s)]:
        print(
            f"{name}: goes on from {', '.join(outdated)} as run with other settings, or not to the "
            f"end; `srl-edge run {shlex.quote(settings.output)}` runs that again first",
            file=sys.stderr,
        )
    # What comes after a stage that runs again is out of date from now on.
    for later in list(STAGES)[list(STAGES).index(name) :]:
        done.pop(later, None)
    _note(run, done)
    start = time.monotonic()
    path = _stage(name)(settings, run)
    _note(run, done | {name: fingerprint(settings, name)})
    print(f"{name}: {path} ({time.monotonic() - start:.0f} s)", file=sys.stderr)
    return path


def require_checkpoint(run: Path, name: str) -> None:
    """Raise InputError where there is nothing to resume."""
    if name != "train" or not list((run / "train").glob("checkpoint-*")):
        raise InputError(
            f"--resume: {run / 'train'} has no checkpoint to go on from; leave --resume out."
        )


def open_run(settings: Recipe) -> Path:
    """The run folder, with the resolved recipe in it."""
    run = settings.run
    run.mkdir(parents=True, exist_ok=True)
    _write(run / "recipe.toml", recipe.dumps(settings))
    return run


def fingerprint(settings: Recipe, name: str) -> str:
    """What a stage's result depends on, as a hash: its settings and those of the stages before."""
    names = list(STAGES)
    sections = [s for n in names[: names.index(name) + 1] for s in STAGES[n]]
    values = settings.model_dump(include=set(sections), mode="json")
    return hashlib.sha256(json.dumps([__version__, values], sort_keys=True).encode()).hexdigest()


DESCRIPTIONS = {
    "data": "expert trajectories into splits",
    "train": "the recipe's stages, into an adapter",
    "export": "merge, then ONNX and ExecuTorch artifacts",
    "check": "do the artifacts answer as the trained model does?",
    "bench": "accuracy, speed, memory and size of each",
    "report": "one page of it all",
}


def _stage(name: str) -> Callable[[Recipe, Path], Path]:
    match name:
        case "data":
            from srl_edge.data.stage import prepare

            return prepare
        case "train":
            return _train
        case "export":
            from srl_edge.exporters.export import export

            return export
        case "check":
            from srl_edge.exporters.check import check

            return check
        case "bench":
            from srl_edge.devices.bench.run import bench

            return bench
        case _:
            from srl_edge.report.run import report

            return report


def _train(settings: Recipe, run: Path) -> Path:
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop.train import train
    from srl_edge.trainers.open import open_policy

    if not (run / "data" / "train.jsonl").is_file():
        raise InputError(f"{run}/data: no data to train on; run `srl-edge data {run}` first.")
    model = resolve(settings.model.name)
    policy = open_policy(model, settings.trainer, settings.seed)
    if settings.trainer.sampler == "onnx":
        policy.sample_from(_sampler_base(settings, model, policy, run))
    return train(settings, run, policy)


def _sampler_base(settings: Recipe, model: Path, policy: "Policy", run: Path) -> Path:
    """The model as ONNX with the adapter as its input, built once a run, model and shape."""
    from srl_edge.exporters.onnx.adapter import export_base

    quantization, rank = settings.trainer.sampler_quantization, settings.trainer.lora_rank
    key = hashlib.sha256(f"{model.resolve()} {rank}".encode()).hexdigest()[:8]
    with tempfile.TemporaryDirectory() as scratch:
        policy.save_adapter(Path(scratch))
        base = run / "train" / f"sampler-{quantization}-{key}"
        return export_base(model, Path(scratch), base, quantization)


def _finished(run: Path) -> dict[str, str]:
    return read_json_if_there(run / _DONE) or {}


def _note(run: Path, done: dict[str, str]) -> None:
    _write(run / _DONE, json.dumps(done, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)
