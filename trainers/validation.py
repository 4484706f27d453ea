"""Validation by problem: the reward of held-out steps, and held-out problems solved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from srl_edge import trajectories
from srl_edge.prompts import step_prompts, whole_prompts
from srl_edge.recipe import Stage, Trainer
from srl_edge.rewards import step_reward
from srl_edge.trainers.batches import ids_of, solve_by_policy
from srl_edge.trainers.policy import Policy
from srl_edge.types import StepPrompt, Trajectory


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a stage is validated on."""

    prompts: Sequence[StepPrompt]
    problems: Sequence[Trajectory]


def held_out(path: Path, settings: Trainer, stage: Stage, seed: int) -> HeldOut:
    """A fixed choice of the validation split's steps and problems."""
    split = trajectories.load(path)
    by_problem = (
        whole_prompts(split)
        if stage.reply == "whole"
        else step_prompts(split, "all", stage.title_hint)
    )
    prompts = [p for group in by_problem for p in group]
    with_answer = [t for t in split if t.answer is not None]
    return HeldOut(
        Random(seed).sample(prompts, min(settings.validation_prompts, len(prompts))),
        Random(seed).sample(with_answer, min(settings.validation_problems, len(with_answer))),
    )


def validate(policy: Policy, stage: Stage, chosen: HeldOut) -> dict[str, float]:
    """Greedy figures on held-out problems, under `eval_` names."""
    ids = [ids_of(policy, p) for p in chosen.prompts]
    groups = policy.sample(ids, 1, stage.max_new_tokens, 0.0, seed=0)
    rewards = [
        step_reward(group[0], prompt, stage.reward, stage.guards, stage.autojunk)
        for group, prompt in zip(groups, chosen.prompts, strict=True)
    ]
    scored = [r.parts["similarity"] for r in rewards if not r.fault]
    metrics = {
        "eval_reward": fmean(r.total for r in rewards),
        "eval_format": fmean(not r.fault for r in rewards),
        "eval_similarity": fmean(scored) if scored else 0.0,
        "eval_clipped_ratio": fmean(not g[0].finished for g in groups),
    }
    if chosen.problems:
        attempts = solve_by_policy(policy, chosen.problems, stage, 0.0, 0)
        metrics["eval_accuracy"] = fmean(a.correct for a in attempts)
    return metrics


def score(stage: Stage, metrics: dict[str, float]) -> float:
    """What the best adapter of a stage is chosen by: what the stage is rewarded for.

    Answers are few and coarse, so equal accuracies are told apart by the reward of steps.
    """
    if stage.kind == "rlvr" and "eval_accuracy" in metrics:
        return metrics["eval_accuracy"] + 1e-3 * metrics["eval_reward"]
    return metrics["eval_reward"]
