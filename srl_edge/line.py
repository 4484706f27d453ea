"""The stages in order, each a function from a recipe and a run folder to a path.

The run folder is the contract between them: `recipe.toml`, `data/`, `train/`, `adapter/`,
`merged/`, `artifacts/`, `parity/`, `bench/`, `report.*`. A stage is current if it was finished with
the same settings, from files of the same contents (`run_folder`).
"""

import contextlib
import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srl_edge import owned, preflight, processes, recipe
from srl_edge.data import run_worlds
from srl_edge.errors import InputError, ParityError, StageError, UnmeasuredError
from srl_edge.files import contents_sha256
from srl_edge.lost import require_held
from srl_edge.method import own_code
from srl_edge.method.headroom import Headroom
from srl_edge.method.rewards import load_parts
from srl_edge.method.types import Trajectory
from srl_edge.models.catalog import config_of
from srl_edge.models.routes import (
    require,
    require_exportable,
    require_text,
    require_unquantized,
    require_vocabulary,
)
from srl_edge.recipe import Recipe
from srl_edge.run_folder import (
    DONE,
    FAILED,
    RECIPE,
    STAGES,
    STALE,
    base_of,
    begin,
    difference,
    finish,
    flat,
    inputs_of,
    outdated,
    require_replaceable,
    sources_of,
)
from srl_edge.run_lock import LINE, STAGE, alone, held, notes
from srl_edge.terminal import progress
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.policy.contract import Policy


def run_line(settings: Recipe) -> Path:
    """Run every stage that is not done and current, each in its own process; return the report.

    What training or an export held in memory is gone when the next stage starts. A stage that fails
    says why itself, and ends this process with its exit code.
    """
    processes.leave_with(processes.GOES_ON)
    _require_line(settings)
    with _begun(settings.run):
        run = claim_run(settings)
        with held(run, LINE):
            note_recipe(settings)
            for name in STAGES:
                require_held(run)
                if due(settings, name) and (
                    code := processes.run_child(processes.python("srl_edge", name, str(run)))
                ):
                    if code < 0:
                        raise StageError(_killed(name, -code, settings))
                    raise SystemExit(code)
    return run / "report.html"


def _killed(name: str, number: int, settings: Recipe) -> str:
    known = {each.value: each.name for each in signal.Signals}
    why = " (the system does that where memory runs out)" if number == 9 else ""
    return (
        f"{name}: its process was ended by {known.get(number, f'signal {number}')}{why}; `srl-edge "
        f"run {shlex.quote(settings.output)}` goes on from where it was."
    )


def run_line_here(settings: Recipe) -> Path:
    """As `run_line`, with every stage in this process, whose exceptions it lets through."""
    _require_line(settings)
    for name in STAGES:
        if due(settings, name):
            run_stage(settings, name)
    return settings.run / "report.html"


def _require_line(settings: Recipe) -> None:
    require_routes(settings)
    _require_all(settings, *_left(settings))
    checkpoints.require_same_settings(settings.run / "train", settings)


@contextlib.contextmanager
def _begun(run: Path) -> Iterator[None]:
    """Of a run that fails before it has data, nothing is left."""
    new = not run.exists()
    try:
        yield
    except (Exception, SystemExit):
        if new and run.is_dir():
            # Another process that has begun there since holds the lock.
            with contextlib.suppress(InputError), held(run, LINE), held(run, STAGE):
                owned.withdraw(run, (RECIPE, DONE, *notes()))
            with contextlib.suppress(OSError):  # Windows removes locks with their release
                run.rmdir()
        raise


def due(settings: Recipe, name: str) -> bool:
    """Whether a stage is to be run, which is said; training on other data is set aside first.

    Raises InputError where another run's result would be lost.
    """
    why = outdated(settings, name)
    if why is None:
        progress.say(f"{name}: done and current, skipped")
        return False
    require_replaceable(settings, name)
    if name == "train":
        folder = settings.run / "train"
        why = checkpoints.set_aside_if_of_other_data(folder, settings) or why
    progress.say(f"{name}: runs, since {why}")
    return True


def _left(settings: Recipe) -> list[str]:
    """The stages that a run has yet to do: from the first that is not current on."""
    names = list(STAGES)
    first = next((at for at, name in enumerate(names) if outdated(settings, name)), len(names))
    return names[first:]


def _require_all(settings: Recipe, *stages: str) -> None:
    """Raise InputError for what stages will need and this computer has not."""
    preflight.require(settings, stages)
    if "train" in stages and settings.trainer.sampler == "vllm":
        from srl_edge.trainers.torch_backend.decoding import vllm_sampler

        trainer = settings.trainer
        if trainer.starts_vllm:
            vllm_sampler.require(trainer.vllm_command)
        else:
            vllm_sampler.require_reached(trainer.vllm_url, trainer.vllm_folder)
    named = settings.trainer.device in ("cuda", "mps") and settings.trainer.backend != "mlx"
    if "train" in stages and named:
        from srl_edge.trainers.open import require_device

        require_device(settings.trainer)


def require_routes(settings: Recipe) -> None:
    """Raise InputError where a recipe's model cannot be trained, or not go where it should."""
    config, name = config_of(settings.model.name), settings.model.name
    require_unquantized(config, name)
    require_text(config, name)
    export = settings.export
    require_exportable(config, export.artifacts, export.context_length, name)
    if settings.trainer.sampler == "onnx":
        doing = "sampled from with ONNX Runtime (set trainer.sampler to torch)"
        require(config, "onnx sampler", name, doing)


def run_stage(settings: Recipe, name: str) -> Path:
    """Run one stage and note that it is done; return the path that it wrote."""
    processes.leave_with(processes.GOES_ON)
    # Before it overwrites the recipe that a checkpoint or an adapter was trained with.
    kept = checkpoints.require_same if name == "train" else checkpoints.require_same_settings
    kept(settings.run / "train", settings)
    if name in ("train", "export"):
        require_routes(settings)
    _require_all(settings, name)
    if name != "data" and not settings.run.is_dir():
        raise InputError(f"{settings.run}: no run is there; `srl-edge data RECIPE` begins one.")
    with _begun(settings.run):
        run = claim_run(settings)
        with alone(run):
            note_recipe(settings)
            return _run_stage(settings, run, name)


def _run_stage(settings: Recipe, run: Path, name: str) -> Path:
    require_replaceable(settings, name)
    progress.say(f"{name}: {DESCRIPTIONS[name]}")
    earlier = list(STAGES)[: list(STAGES).index(name)]
    if name == "bench":  # which measures whatever the gate finds
        earlier.remove("check")
    stale = [(stage, why) for stage in earlier if (why := outdated(settings, stage))]
    if stale:
        said = "; ".join(f"{stage}: {why}" for stage, why in stale)
        progress.say(
            f"{name}: goes on from results that are not current ({said}); `srl-edge run "
            f"{shlex.quote(settings.output)}` runs them again first"
        )
    _announce(settings, name)
    begin(settings, name)
    own_code.forget()
    inputs = inputs_of(settings, name)  # as they are now: a file may change while it runs
    inputs |= {STALE: said} if stale else {}
    start = time.monotonic()
    try:
        path = _stage(name)(settings, run)
    except (ParityError, UnmeasuredError):  # what it found counts all the same
        finish(settings, name, inputs | {FAILED: True})
        raise
    finish(settings, name, inputs)
    progress.say(f"{name}: {path} ({time.monotonic() - start:.0f} s)")
    return path


def _announce(settings: Recipe, name: str) -> None:
    """Say which code of a recipe a stage runs, and whom it tells of the data, before it does."""
    verifier = [file for file in settings.code if settings.prompt.verifier.startswith(f"{file}:")]
    match name:
        case "train" | "headroom":
            runs = list(settings.code)
        case "check" | "bench":
            runs = verifier
        case "data" if settings.data.difficulty.keep:
            runs = verifier
        case _:
            runs = []
    if runs:
        progress.say(f"{name}: this recipe runs {' and '.join(runs)}")
    run_worlds.say(settings, name)
    trainer = settings.trainer
    if name in ("train", "headroom") and trainer.sampler == "vllm" and trainer.vllm_url:
        progress.say(f"{name}: the prompts go to vLLM at {trainer.vllm_url}")


def require_checkpoint(run: Path, name: str) -> None:
    """Raise InputError where there is nothing to resume."""
    if name != "train" or not checkpoints.there(run / "train"):
        raise InputError(
            f"--resume: {run / 'train'} has no checkpoint to go on from; leave --resume out."
        )


def claim_run(settings: Recipe) -> Path:
    """The run folder; raises InputError where it holds other things, or a source lies in it."""
    run = settings.run
    for key, source in sources_of(settings).items():
        if source.exists() and source.resolve().is_relative_to(run.resolve()):
            raise InputError(
                f"{key}: {source} lies in the run folder {run}, which srl-edge writes to; move it "
                "elsewhere, or give the run another folder (--output)."
            )
    return owned.claim(run, "run", beside=RECIPE)


def note_recipe(settings: Recipe) -> None:
    """Write the resolved recipe into the run folder.

    Raises InputError where the one that is there was written by hand and says something else.
    """
    run, file = settings.run, settings.run / RECIPE
    if not file.is_file() or owned.written(file):
        owned.write(file, recipe.dumps(settings))
    elif said := difference(_flat(recipe.load(run)), _flat(settings)):
        raise InputError(
            f"{file}: was not written by srl-edge, so it stays as it is, and it says otherwise "
            f"({said}); change it there, or give the run another folder (--output)."
        )


def _flat(settings: Recipe) -> dict[str, Any]:
    return flat(settings.model_dump(mode="json", exclude={"output"}))


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
            return _data
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


def headroom(settings: Recipe, problems: int, k: int) -> tuple[Headroom, Path]:
    """What the model does before training, and the file that says so; data is made if need be."""
    from srl_edge.trainers.loop import headroom as measured

    require_routes(settings)
    _require_all(settings, "train", *(["data"] if outdated(settings, "data") else []))
    if outdated(settings, "data"):
        run_stage(settings, "data")
    _announce(settings, "headroom")
    own_code.forget()
    processes.leave_with("the same command measures anew, with the data that is there")
    run = claim_run(settings)
    with alone(run):
        found = measured.headroom(_open_policy(settings, run), settings, run, problems, k)
        owned.write(run / "headroom.json", json.dumps(asdict(found), indent=1) + "\n")
    return found, run / "headroom.json"


def scale(settings: Recipe, engine: str, out: Path, adapter: Path | None) -> Path:
    """A folder that trains the last stage on an engine of many machines; data is made if need be.

    adapter: where training goes on from. Raises InputError where that is none.
    """
    from srl_edge.models.adapter_folder import require_safetensors
    from srl_edge.trainers.scale import folder

    if adapter and not (adapter / "adapter_config.json").is_file():
        raise InputError(f"{adapter}: no adapter_config.json, so it is no folder of PEFT.")
    if adapter:
        require_safetensors(adapter)
    owned.require_own(out, folder.job_of(settings))
    folder.require_taken(engine, settings, adapter)
    if outdated(settings, "data"):
        run_stage(settings, "data")
    return folder.write(engine, settings, settings.run, out, adapter)


def _data(settings: Recipe, run: Path) -> Path:
    from srl_edge.data.stage import prepare

    def solved(problems: Sequence[Trajectory]) -> list[int]:
        from srl_edge.trainers.loop.difficulty import solved_counts

        require_routes(settings)
        model = base_of(settings)
        return solved_counts(model, lambda: _opened(settings, run, model), settings, problems)

    return prepare(settings, run, solved)


def _train(settings: Recipe, run: Path) -> Path:
    from srl_edge.trainers.loop.train import train

    return train(settings, run, _open_policy(settings, run))


def _open_policy(settings: Recipe, run: Path) -> Policy:
    """A fresh policy, after the recipe's code and data were looked at."""
    from srl_edge.models.tokenizer import load_tokenizer
    from srl_edge.trainers.loop.foresight import foreseen

    for stage in settings.stages:
        load_parts(stage.reward)
    if ":" in settings.prompt.verifier:
        own_code.loaded(settings.prompt.verifier, "verifier")
    if not (run / "data" / "train.jsonl").is_file():
        raise InputError(f"{run}/data: no data to train on; run `srl-edge data {run}` first.")
    model = base_of(settings)
    tokenizer, config = load_tokenizer(model), config_of(str(model))
    require_vocabulary(config, tokenizer, settings.model.name)
    for sentence in foreseen(settings, run, tokenizer, config):
        progress.say(sentence)
    return _opened(settings, run, model)


def _opened(settings: Recipe, run: Path, model: Path) -> Policy:
    from srl_edge.trainers.open import open_policy

    def onnx_base(adapter: Path) -> Path:
        """Built once a run, weights and shape."""
        from srl_edge.exporters.onnx.adapter import export_base

        quantization, rank = settings.trainer.sampler_quantization, settings.trainer.lora_rank
        weights = contents_sha256(model.glob("[!.]*"))[:8]
        base = run / "train" / f"sampler-{quantization}-{rank}-{weights}"
        return export_base(model, adapter, base, quantization)

    return open_policy(model, settings.trainer, settings.seed, onnx_base)
