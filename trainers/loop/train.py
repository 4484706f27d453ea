"""The training stages of a recipe, one after the other, into one adapter.

Left out on purpose: a value model and a reward model.
"""

import shutil
from pathlib import Path

from srl_edge import owned
from srl_edge.data import trajectories
from srl_edge.data.reading import read_source
from srl_edge.errors import InputError
from srl_edge.files import scratch_folder
from srl_edge.lost import require_held
from srl_edge.method.prompts import first_prompts, step_prompts, whole_prompts
from srl_edge.method.types import StepPrompt
from srl_edge.recipe import Recipe, Stage
from srl_edge.terminal import progress
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.logs import handed_on
from srl_edge.trainers.loop.stage import StageRun
from srl_edge.trainers.loop.tracking import open_tracker
from srl_edge.trainers.policy.contract import Policy


def train(recipe: Recipe, run: Path, policy: Policy) -> Path:
    """Train an adapter through the recipe's stages; returns `run/adapter`, a PEFT folder.

    Reads `run/data`; writes `run/train/metrics.jsonl` (TRL's names), `rollouts.jsonl` and
    checkpoints, and goes on from the newest checkpoint. A stage hands on its best adapter by
    validation, and leaves it in `run/train/stage-<index>-<kind>`.
    Source of the method: arXiv 2510.25992, section 4.2.
    """
    owned.require_own(run / "adapter")
    folder = owned.claim(run / "train", "training")
    if checkpoints.without_checkpoints(folder, recipe):
        # They were deleted: what is left of that training is not deleted too.
        progress.say(f"train: an earlier training is now in {owned.set_aside(folder)}.")
        owned.claim(folder, "training")
    if checkpoints.is_only_copy(run / "adapter", folder):
        progress.say(f"train: an earlier adapter is now in {owned.set_aside(run / 'adapter')}.")
    cursor = checkpoints.restore(folder, policy, recipe)
    with open_tracker(recipe, folder) as track:
        for index, stage in enumerate(recipe.stages):
            if index < cursor.stage:
                continue
            prompts = training_prompts(recipe, stage, run)
            StageRun(recipe, index, run, policy, cursor, track, prompts).run_to_its_end()
            if said := handed_on(folder, index):
                progress.say(f"train {index + 1}/{len(recipe.stages)} {stage.kind}: {said}")
            checkpoints.save(folder, policy, cursor, recipe)
            policy.load_adapter(folder / "best")
            require_held(folder)
            policy.save_adapter(folder / f"stage-{index}-{stage.kind}")
            cursor = checkpoints.Cursor(index + 1)
            checkpoints.save(folder, policy, cursor, recipe)
    with scratch_folder(run, "adapter") as scratch:
        shutil.copytree(folder / "best", scratch, dirs_exist_ok=True)
        return owned.publish(scratch, run / "adapter")


def training_prompts(recipe: Recipe, stage: Stage, run: Path) -> list[list[StepPrompt]]:
    """What a stage is trained on, by trajectory."""
    form = recipe.prompt.form
    if stage.data:
        report = trajectories.ParseReport()
        split = read_source(stage.data, recipe.data, report, form)
        held = {
            t.problem
            for name in ("validation", "test")
            for t in trajectories.load(run / "data" / f"{name}.jsonl")
        }
        split = [t for t in split if t.problem not in held]
    else:
        split = trajectories.load(run / "data" / "train.jsonl")
    if stage.kind == "rlvr":
        split = [t for t in split if t.answer is not None]
    if stage.reply == "whole":
        prompts = whole_prompts(split, form)
    elif stage.kind == "rlvr":
        prompts = first_prompts(split, form)
    else:
        prompts = step_prompts(split, stage.targets, stage.title_hint, form)
    found = [p for p in prompts if p]
    if not found:
        needed = "answers" if stage.kind == "rlvr" else "trajectories of two steps or more"
        raise InputError(
            f"{stage.data or run / 'data' / 'train.jsonl'}: nothing to train a {stage.kind} stage "
            f"on; it needs {needed}, and there are none."
        )
    return found
