"""The training stages over one loop: a batch, its gradient, an update, now and then a validation.

Left out on purpose: a value model and a reward model.
"""

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from srl_edge.data import trajectories
from srl_edge.data.calibration import calibration_texts
from srl_edge.errors import InputError, NothingToCompare
from srl_edge.method.alarms import alarms, own_way_alarms
from srl_edge.method.prompts import step_prompts, whole_prompts
from srl_edge.method.types import Sample, StepPrompt, Trajectory
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.recipe import Recipe, Stage
from srl_edge.terminal import progress
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.batches import expert_batch, sampled_batch, step_seed, training_samples
from srl_edge.trainers.loop.logs import (
    log_metrics,
    log_rollouts,
    note,
    rows_so_far,
    sampling_metrics,
    steps_so_far,
)
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.loop.tracking import Tracker, open_tracker
from srl_edge.trainers.loop.validation import HeldOut, held_out, score, validate
from srl_edge.trainers.policy.contract import Loss, Policy


def train(recipe: Recipe, run: Path, policy: Policy) -> Path:
    """Train an adapter through the recipe's stages; returns `run/adapter`, a PEFT folder.

    Reads `run/data`; writes `run/train/metrics.jsonl` (TRL's names), `rollouts.jsonl` and
    checkpoints, and goes on from the newest checkpoint. A stage hands on its best adapter by
    validation, and leaves it in `run/train/stage-<index>-<kind>`.
    Source of the method: arXiv 2510.25992, section 4.2.
    """
    folder = run / "train"
    folder.mkdir(parents=True, exist_ok=True)
    cursor = checkpoints.restore(folder, policy, recipe)
    with open_tracker(recipe, folder) as track:
        for index, stage in enumerate(recipe.stages):
            if index < cursor.stage:
                continue
            _run_stage(recipe, index, stage, run, policy, cursor, track)
            policy.load_adapter(folder / "best")
            policy.save_adapter(folder / f"stage-{index}-{stage.kind}")
            cursor = checkpoints.Cursor(index + 1)
            checkpoints.save(folder, policy, cursor, recipe)
    shutil.rmtree(run / "adapter", ignore_errors=True)
    shutil.copytree(folder / "best", run / "adapter")
    return run / "adapter"


def _run_stage(
    recipe: Recipe, index: int, stage: Stage, run: Path, policy: Policy,
    cursor: checkpoints.Cursor, track: Tracker,
) -> None:  # fmt: skip
    folder = run / "train"
    stream = PromptStream(_prompts(recipe, stage, run), f"{recipe.seed}/{index}")
    passes = (stage.epochs or math.inf) * stream.size
    steps = stage.steps or math.ceil(passes / stage.prompts_per_step)
    chosen = held_out(recipe, run, stage)
    loss = Loss(
        "nll" if stage.kind == "sft" else "clipped",
        stage.clip_low,
        stage.clip_high,
        stage.aggregation == "sequence",
        stage.kl,
        1.0 if stage.kind == "sft" else stage.temperature,
        recipe.trainer.importance_cap if recipe.trainer.sampler != "torch" else None,
    )
    if cursor.step == 0:
        if recipe.trainer.quantization in AS_SHIPPED:
            texts = calibration_texts(
                run / "data" / "train.jsonl",
                policy.tokenizer,
                recipe.seed,
                recipe.prompt.form,
                recipe.whole,
            )
            policy.fit_rounding(texts)
        _validate(policy, stage, index, cursor, chosen, folder, track)

    def over() -> bool:
        # Refilled batches take more prompts, so passes over them may end before the steps do.
        return cursor.step >= steps or cursor.prompts >= passes

    recent = steps_so_far(folder, index)
    warned: set[str] = set()
    title = f"train {index + 1}/{len(recipe.stages)} {stage.kind}"
    with progress.bar(title, steps, cursor.step) as advance:
        while not (over() or (stage.patience and cursor.worse >= stage.patience)):
            start = time.monotonic()
            sampling: dict[str, float] = {}
            if stage.kind == "sft":
                prompts = stream.take(cursor.prompts, stage.prompts_per_step)
                cursor.prompts += len(prompts)
                groups = expert_batch(policy, prompts)
            else:
                seed = step_seed(recipe.seed, index, cursor.step)
                try:
                    kept, seen, taken, elapsed = sampled_batch(
                        policy, stream, cursor.prompts, stage, seed
                    )
                except NothingToCompare as why:
                    log_rollouts(folder, index, stage, cursor.step + 1, why.groups)
                    if cursor.step == 0:
                        raise
                    # After some progress that is an end, not a mistake: all may be learned.
                    progress.say(f"{why} The stage ends after {cursor.step} of {steps} steps.")
                    _validate(policy, stage, index, cursor, chosen, folder, track)
                    return
                cursor.prompts += taken
                groups = training_samples(kept)
                sampling = sampling_metrics(stage, seen, len(kept), elapsed)
                log_rollouts(folder, index, stage, cursor.step + 1, seen)
            cursor.step += 1
            rate = stage.learning_rate * min(1.0, cursor.step / max(1, stage.warmup_steps))
            metrics = _update(policy, groups, loss, stage, rate) | sampling
            metrics["step_time"] = time.monotonic() - start
            track(log_metrics(folder, stage, index, cursor.step, metrics))
            recent.append(metrics)
            for alarm in alarms(recent):
                if alarm not in warned:
                    progress.say(f"train, step {cursor.step}: {alarm}")
                    warned.add(alarm)
            if over() or (stage.validate_every and cursor.step % stage.validate_every == 0):
                _validate(policy, stage, index, cursor, chosen, folder, track)
            if cursor.step % recipe.trainer.checkpoint_every == 0:
                checkpoints.save(folder, policy, cursor, recipe)
            advance(note(metrics))
    if not over():
        progress.say(
            f"train: {cursor.worse} validations without a better one; the {stage.kind} "
            f"stage ends after {cursor.step} of {steps} steps."
        )


def _update(
    policy: Policy, groups: Sequence[list[Sample]], loss: Loss, stage: Stage, rate: float
) -> dict[str, float]:
    """One optimizer update for each minibatch, in each pass over the batch; metrics are means."""
    parts = [groups[i :: stage.minibatches] for i in range(stage.minibatches)]
    seen = []
    for part in [part for part in parts if part] * stage.updates_per_batch:
        metrics = policy.forward_backward(part, loss)
        seen.append(metrics | {"grad_norm": policy.optim_step(rate, stage.max_grad_norm)})
    means = {name: fmean(row[name] for row in seen) for name in seen[0]}
    return means | {"learning_rate": rate}


def _prompts(recipe: Recipe, stage: Stage, run: Path) -> list[list[StepPrompt]]:
    """What a stage is trained on, by trajectory."""
    form = recipe.prompt.form
    if stage.data:
        rows = trajectories.read_jsonl(Path(stage.data))
        report = trajectories.ParseReport()
        split: list[Trajectory] = list(trajectories.parse_rows(rows, report, form=form))
        held = [
            t.problem
            for name in ("validation", "test")
            for t in trajectories.load(run / "data" / f"{name}.jsonl")
        ]
        split = [t for t in split if t.problem not in set(held)]
    else:
        split = trajectories.load(run / "data" / "train.jsonl")
    if stage.kind == "rlvr":
        split = [t for t in split if t.answer is not None]
    if stage.reply == "whole":
        prompts = whole_prompts(split, form)
    elif stage.kind == "rlvr":
        prompts = [[StepPrompt(t.id, 0, t.problem, (), "", t.answer, form=form)] for t in split]
    else:
        prompts = step_prompts(split, stage.targets, stage.title_hint, form)
    found = [p for p in prompts if p]
    if not found:
        raise InputError(
            f"{stage.data or run / 'data' / 'train.jsonl'}: nothing to train a {stage.kind} stage "
            "on; it needs trajectories of two steps or more, and answers for rlvr."
        )
    return found


def _validate(
    policy: Policy, stage: Stage, index: int, cursor: checkpoints.Cursor, chosen: HeldOut,
    folder: Path, track: Tracker,
) -> None:  # fmt: skip
    """Note how the adapter does on held-out problems, and keep it if it is the stage's best."""
    metrics = validate(policy, stage, chosen)
    now = score(stage, metrics)
    kept, better = now >= cursor.best, now > cursor.best
    if kept:
        policy.save_adapter(folder / "best")
        cursor.best = now
    cursor.worse = 0 if better else cursor.worse + 1
    earlier = (row for row in rows_so_far(folder) if "eval_own_accuracy" in row)
    base = next(earlier, None)
    for alarm in own_way_alarms(base, metrics, len(chosen.own)) if base and chosen.own else ():
        progress.say(f"train, validation: {alarm}")
    track(log_metrics(folder, stage, index, cursor.step, metrics | {"eval_best": float(kept)}))
