"""Is it worth it, and how long will it take? What a model does of a task before it is trained."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean

from srl_edge.data import trajectories
from srl_edge.errors import InputError
from srl_edge.method.algorithm import has_spread
from srl_edge.method.headroom import Headroom
from srl_edge.method.prompt_form import CUT_OFF, PromptForm
from srl_edge.method.prompts import step_prompts, whole_prompts
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.processes import cores
from srl_edge.recipe import Recipe, Stage
from srl_edge.terminal import progress
from srl_edge.trainers.loop.batches import (
    expert_batch,
    sample_solutions,
    sample_steps,
    training_samples,
)
from srl_edge.trainers.loop.logs import Group
from srl_edge.trainers.loop.stage import loss_of
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.loop.train import training_prompts
from srl_edge.trainers.policy.contract import Policy

ROWS = 128  # replies that are sampled at a time
FEW_AT_A_TIME = 2.0  # how much longer one of a few takes than one of so many


def headroom(policy: Policy, recipe: Recipe, run: Path, problems: int, k: int) -> Headroom:
    """Sample k replies to problems of the training split, and to as many of its step prompts.

    policy: a fresh one, which answers as the base model. Raises InputError where no problem has an
    answer.
    """
    split = trajectories.load(run / "data" / "train.jsonl")
    answered = [t for t in split if t.answer is not None]
    if not answered:
        raise InputError(f"{run / 'data'}: no problem has an answer, so none can be solved.")
    chosen = Random(recipe.seed).sample(answered, min(problems, len(answered)))
    start = time.monotonic()
    groups = own_way(policy, recipe, chosen, k)
    own_reply = (time.monotonic() - start) / (len(chosen) * k)
    faults = [reward.fault for group in groups for reward in group.rewards]
    start = time.monotonic()
    steps = [] if recipe.whole else _steps(policy, recipe, chosen, k)
    step_reply = (time.monotonic() - start) / max(len(steps) * k, 1)
    rewards = [reward for group in steps for reward in group.rewards]
    kept = [reward.parts["similarity"] for reward in rewards if not reward.fault]
    epsilon = max(stage.spread_epsilon for stage in recipe.stages)
    spread = fmean(has_spread(group.totals, epsilon) for group in steps) if steps else None
    solved = tuple(right(group) for group in groups)
    mixed = fmean(0 < count < k for count in solved)
    return Headroom(
        problems=len(chosen),
        k=k,
        solved=solved,
        cut_off=fmean(fault == CUT_OFF for fault in faults),
        format_kept=fmean(not reward.fault for reward in rewards) if rewards else None,
        similarity=(fmean(kept) if kept else 0.0) if rewards else None,
        spread=spread,
        seconds=training_seconds(policy, recipe, run, spread, mixed)
        + sum(map(_validations, recipe.stages)) * _validation(recipe, own_reply, step_reply),
        load=os.getloadavg()[0] / cores() if hasattr(os, "getloadavg") else None,
    )


def own_way(
    policy: Policy,
    recipe: Recipe,
    problems: Sequence[Trajectory],
    k: int,
    title: str = "headroom: problems",
) -> list[Group]:
    """k replies to each problem as the model answers naturally, with 1 for a right answer.

    Their order does not matter, and a problem's draws depend on those beside it.
    """
    stage = Stage(
        kind="rlvr",
        steps=1,
        reply="whole",
        group_size=max(k, 2),
        max_new_tokens=recipe.trainer.own_way_tokens,
        temperature=temperature_of(recipe),
    )
    form: PromptForm = recipe.prompt.own_form
    prompts = [group[0] for group in whole_prompts(problems, form)]
    at_a_time, found = max(ROWS // k, 1), []
    with progress.bar(title, len(prompts)) as advance:
        for start in range(0, len(prompts), at_a_time):
            part = prompts[start : start + at_a_time]
            found += sample_solutions(policy, part, stage, recipe.seed + start)
            advance(f"{sum(map(right, found))} of {k * len(found)} right", by=len(part))
    return found


def right(group: Group) -> int:
    """How many of a group's replies give the right answer, cut off or not."""
    return sum(bool(reward.parts["answer"]) for reward in group.rewards)


def _steps(policy: Policy, recipe: Recipe, problems: Sequence[Trajectory], k: int) -> list[Group]:
    """k replies to one step prompt of each problem, in the run's form, scored as srl does."""
    named = next((stage for stage in recipe.stages if stage.kind == "srl"), recipe.stages[0])
    stage = named.model_copy(update={"group_size": k, "temperature": temperature_of(recipe)})
    rng = Random(recipe.seed)
    groups = step_prompts(problems, stage.targets, stage.title_hint, recipe.prompt.form)
    prompts = [rng.choice(group) for group in groups if group]
    at_a_time, found = max(ROWS // k, 1), []
    with progress.bar("headroom: steps", len(prompts)) as advance:
        for start in range(0, len(prompts), at_a_time):
            part = prompts[start : start + at_a_time]
            found += sample_steps(policy, part, stage, recipe.seed + start)
            advance(by=len(part))
    return found


def temperature_of(recipe: Recipe) -> float:
    """The temperature that the recipe samples rollouts at."""
    return next((stage.temperature for stage in recipe.stages if stage.kind != "sft"), 1.0)


def training_seconds(
    policy: Policy, recipe: Recipe, run: Path, spread: float | None, mixed: float
) -> float:
    """How long training will take here without validation, from two small batches of each stage.

    spread, mixed: shares of groups of step replies, and of whole solutions, that differ in reward;
    the others are sampled in vain.
    """
    total = 0.0
    with progress.bar("headroom: time", 2 * len(recipe.stages), work=_work(recipe)) as advance:
        for stage in recipe.stages:
            stream = PromptStream(training_prompts(recipe, stage, run), str(recipe.seed))
            budget = stage.steps or math.ceil(
                (stage.epochs or 0) * stream.size / stage.prompts_per_step
            )
            share = mixed if stage.kind == "rlvr" else 1.0 if spread is None else spread
            rounds = min(1 / max(share, 1e-9), stage.max_rounds)
            sampling, learning = _times(policy, recipe, stage, stream, advance)
            rounds = 1.0 if stage.kind == "sft" else rounds
            total += budget * (sampling * rounds + learning * stage.updates_per_batch)
    return total


def _sizes(stage: Stage) -> tuple[int, int]:
    """Prompts of the two batches that are timed."""
    few = 1
    return few, max(min(stage.prompts_per_step, 4), few + 1)


def _replies(stage: Stage, prompts: int) -> int:
    return prompts if stage.kind == "sft" else prompts * stage.group_size


def _work(recipe: Recipe) -> float:
    return sum(_replies(stage, size) for stage in recipe.stages for size in _sizes(stage))


def _validation(recipe: Recipe, own_reply: float, step_reply: float) -> float:
    """Seconds of one validation, from those that a reply took among many others."""
    trainer, last = recipe.trainer, recipe.stages[-1]
    if last.reply == "whole":
        steps = 0.0
        whole = trainer.validation_problems + trainer.own_problems
    else:
        steps = trainer.validation_prompts + trainer.validation_problems * last.max_steps / 2
        whole = trainer.own_problems
    return FEW_AT_A_TIME * (whole * own_reply + steps * step_reply)


def _validations(stage: Stage) -> int:
    between = (stage.steps or 0) // stage.validate_every if stage.validate_every else 0
    return 2 + max(between - 1, 0)


def _times(
    policy: Policy, recipe: Recipe, stage: Stage, stream: PromptStream, advance: progress.Advance
) -> tuple[float, float]:
    """Seconds of sampling and of learning from a batch, drawn out from two smaller ones."""
    few, many = _sizes(stage)
    found = []
    for size in (few, many):
        found.append(_timed(policy, recipe, stage, stream.take(0, size)))
        advance(work=_replies(stage, size))
    small, large = found

    def drawn_out(one: float, other: float) -> float:
        slope = max(other - one, 0) / (many - few)
        return one + slope * (stage.prompts_per_step - few)

    return drawn_out(small[0], large[0]), drawn_out(small[1], large[1])


def _timed(
    policy: Policy, recipe: Recipe, stage: Stage, prompts: Sequence[StepPrompt]
) -> tuple[float, float]:
    start = time.monotonic()
    if stage.kind == "sft":
        samples = expert_batch(policy, prompts)
    else:
        sample = sample_solutions if stage.kind == "rlvr" else sample_steps
        found = training_samples(sample(policy, prompts, stage, recipe.seed))
        # Groups without spread are not learned from, so here each rollout counts.
        samples = [[replace(one, advantage=1.0) for one in group] for group in found]
    sampled = time.monotonic()
    policy.forward_backward(samples, loss_of(recipe, stage))
    policy.drop_gradient()
    return sampled - start, time.monotonic() - sampled
