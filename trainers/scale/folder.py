"""What a recipe becomes for an engine of many machines: a folder with all that it needs."""

import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from srl_edge import owned
from srl_edge.data import trajectories
from srl_edge.errors import InputError
from srl_edge.files import require_contained, scratch_folder
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.recipe import Recipe, Stage, dumps
from srl_edge.run_folder import base_of
from srl_edge.trainers.loop.train import training_prompts
from srl_edge.trainers.scale import trl_folder, verl_folder
from srl_edge.trainers.scale.rows import row_of

ENGINES = ("trl", "verl")


def job_of(recipe: Recipe) -> str:
    """What the folder of a job is for: another run's would be lost in it."""
    return f"job of {recipe.run.resolve()} for another engine"


def require_taken(engine: str, recipe: Recipe, adapter: Path | None) -> None:
    """Raise InputError, naming what an engine cannot take of a recipe."""
    if engine not in ENGINES:
        raise InputError(f"--engine: {engine!r} is not known; choose from {', '.join(ENGINES)}.")
    if engine == "verl" and not find_spec("datasets"):
        raise InputError("scale: verl's files need datasets: pip install 'srl-edge[data]'.")
    if found := list(_not_taken(engine, recipe, recipe.stages[-1], adapter)):
        raise InputError(f"scale: {engine} cannot take {'; '.join(found)}.")


def write(engine: str, recipe: Recipe, run: Path, out: Path, adapter: Path | None = None) -> Path:
    """Write a job's folder for an engine, from the recipe's last stage; return it.

    adapter: a PEFT folder that training goes on from, such as what the stages before the last left.
    Raises InputError, before anything is written, for what `require_taken` cannot see without data.
    """
    owned.require_own(out, job_of(recipe))
    stage = recipe.stages[-1]
    prompts = [p for group in training_prompts(recipe, stage, run) for p in group]
    if stage.kind == "rlvr" and any(prompt.world for prompt in prompts):
        raise InputError(
            "scale: rlvr in a world is judged by that, which other machines do not have; train it "
            "here."
        )
    model = base_of(recipe)
    tokenizer = load_tokenizer(model)
    if engine == "verl":
        verl_folder.require_rendered_alike(tokenizer, prompts)
    rows = [row_of(tokenizer, prompt) for prompt in prompts]
    with scratch_folder(out.parent, out.name) as scratch:
        (scratch / "recipe.toml").write_text(dumps(recipe), encoding="utf-8")
        if adapter:
            require_contained(adapter, adapter.rglob("*"))
            shutil.copytree(adapter, scratch / "start", ignore=shutil.ignore_patterns(".*"))
        settings = {
            "model": recipe.model.name,
            "adapter": "start" if adapter else None,
            "stop_ids": stop_ids(model),
            "srl_edge": version("srl-edge"),
        }
        (scratch / "job.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        if engine == "trl":
            trl_folder.write(scratch, recipe, rows)
        else:
            held_out = trajectories.load(run / "data" / "validation.jsonl")
            verl_folder.write(scratch, recipe, tokenizer, prompts, rows, held_out, bool(adapter))
        return owned.publish(scratch, out, job_of(recipe))


def _not_taken(engine: str, recipe: Recipe, stage: Stage, adapter: Path | None) -> Iterator[str]:
    """Parts of a recipe that an engine has no place for, as its settings name them."""
    trainer = recipe.trainer
    if trainer.sampler != "torch":
        yield f"trainer.sampler = {trainer.sampler!r} (it has samplers of its own)"
    if trainer.quantization != "none":
        yield f"trainer.quantization = {trainer.quantization!r}"
    if trainer.backend == "mlx" or trainer.device == "mps":
        yield "Apple's GPU (trainer.backend, trainer.device)"
    if trainer.optimizer != "adamw":
        yield f"trainer.optimizer = {trainer.optimizer!r}"
    if stage.kind == "sft":
        yield "a last stage of kind sft; one of srl or rlvr is wanted"
    if stage.kind == "rlvr" and stage.reply != "whole":
        yield "rlvr in several replies (stages.reply); whole solutions are taken"
    if stage.learned_rollouts:
        yield "stages.learned_rollouts"
    if stage.minibatches > 1:
        yield "stages.minibatches"
    if stage.kl and adapter:
        yield "stages.kl with --adapter (it compares with that, and not with the base model)"
    if engine == "verl" and stage.overlong == "masked":
        yield "stages.overlong = 'masked'"
    if any(":" in name for name in stage.reward) or ":" in recipe.prompt.verifier:
        yield "a reward or verifier of your own, whose file is not on the other machines"
    if recipe.prompt.chat_template_kwargs.get("tools"):
        yield "prompt.chat_template_kwargs.tools"
    if len(recipe.stages) > 1 and adapter is None:
        kinds = ", ".join(each.kind for each in recipe.stages[:-1])
        yield f"the stages before the last ({kinds}); train them here and name --adapter"
