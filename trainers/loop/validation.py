"""Validation by problem: the reward of held-out steps, and held-out problems solved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import TypeVar

from srl_edge.data import trajectories
from srl_edge.data.calibration import general_chats
from srl_edge.method.prompt_form import CUT_OFF
from srl_edge.method.prompts import prompt_ids, step_prompts, whole_prompts
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.method.verifiers import is_correct, is_marked_correct
from srl_edge.recipe import Recipe, Stage
from srl_edge.trainers.loop.batches import solve_by_policy
from srl_edge.trainers.policy.contract import Policy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a stage is validated on; `in_own_way`: the stage itself asks in the model's own way."""

    prompts: Sequence[StepPrompt]
    problems: Sequence[Trajectory]
    own: Sequence[Trajectory]
    in_own_way: bool
    recipe: Recipe


def held_out(recipe: Recipe, run: Path, stage: Stage) -> HeldOut:
    """A fixed choice of the validation split's steps and problems."""
    split = trajectories.load(run / "data" / "validation.jsonl")
    settings, form, whole = recipe.trainer, recipe.prompt.form, stage.reply == "whole"
    by_problem = (
        whole_prompts(split, form) if whole else step_prompts(split, "all", stage.title_hint, form)
    )
    prompts = [p for group in by_problem for p in group]
    with_answer = [t for t in split if t.answer is not None]

    def some(found: Sequence[T], count: int) -> list[T]:
        return Random(recipe.seed).sample(found, min(count, len(found)))

    # A solution in one reply is judged by its answer alone: how like the expert's it is says less.
    solved = some(with_answer, settings.validation_problems)
    by_answer = whole and solved
    asked = [] if by_answer else some(prompts, settings.validation_prompts)
    own = some(with_answer, settings.own_problems)
    in_own_way = whole and form.answers_like(recipe.prompt.own_form)
    return HeldOut(asked, solved, own, in_own_way and own == solved, recipe)


def validate(policy: Policy, stage: Stage, chosen: HeldOut) -> dict[str, float]:
    """Greedy figures on held-out problems, under `eval_` names.

    eval_kl: the divergence from the base on general chats, in nats.
    """
    metrics = _steps(policy, stage, chosen.prompts) if chosen.prompts else {}
    if chosen.problems:
        form = chosen.recipe.prompt.form
        attempts = solve_by_policy(policy, chosen.problems, stage, form, 0.0, 0)
        metrics["eval_accuracy"] = fmean(a.correct for a in attempts)
        if chosen.in_own_way:
            tokens = [policy.tokenizer.encode(r) for a in attempts for r in a.replies]
            metrics |= {
                "eval_own_accuracy": fmean(a.correct for a in attempts),
                "eval_own_accuracy_strict": fmean(a.marked for a in attempts),
                "eval_own_length": fmean(map(len, tokens)),
                "eval_own_clipped_ratio": fmean(a.fault == CUT_OFF for a in attempts),
            }
        if not chosen.prompts:
            metrics |= {
                "eval_reward": fmean(a.correct and not a.fault for a in attempts),
                "eval_format": fmean(not a.fault for a in attempts),
                "eval_clipped_ratio": fmean(a.fault == CUT_OFF for a in attempts),
            }
    if chosen.own and not chosen.in_own_way:
        metrics |= _in_its_own_way(policy, chosen)
    return metrics | {"eval_kl": policy.divergence(general_chats(policy.tokenizer))}


def _steps(policy: Policy, stage: Stage, prompts: Sequence[StepPrompt]) -> dict[str, float]:
    ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
    groups = policy.sample(ids, 1, stage.max_new_tokens, 0.0, seed=0)
    rewards = [
        step_reward(group[0], prompt, stage.reward, stage.guards, stage.autojunk)
        for group, prompt in zip(groups, prompts, strict=True)
    ]
    scored = [r.parts["similarity"] for r in rewards if not r.fault]
    return {
        "eval_reward": fmean(r.total for r in rewards),
        "eval_format": fmean(not r.fault for r in rewards),
        "eval_similarity": fmean(scored) if scored else 0.0,
        "eval_clipped_ratio": fmean(not g[0].finished for g in groups),
    }


def _in_its_own_way(policy: Policy, chosen: HeldOut) -> dict[str, float]:
    """What is left of what the model could do before: one reply to its natural prompt.

    Accuracy read leniently (the last number, if no answer is marked) and strictly, and the reply's
    length in tokens.
    """
    form, tokens = chosen.recipe.prompt.own_form, chosen.recipe.trainer.own_way_tokens
    prompts = [p for group in whole_prompts(chosen.own, form) for p in group]
    ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
    rollouts = [group[0] for group in policy.sample(ids, 1, tokens, 0.0, seed=0)]
    texts = [
        (r.text, p.answer or "", form, p.problem) for r, p in zip(rollouts, prompts, strict=True)
    ]
    return {
        "eval_own_accuracy": fmean(is_correct(*text) for text in texts),
        "eval_own_accuracy_strict": fmean(is_marked_correct(*text) for text in texts),
        "eval_own_length": fmean(len(r.completion_ids) for r in rollouts),
        "eval_own_clipped_ratio": fmean(not r.finished for r in rollouts),
    }


def score(stage: Stage, metrics: dict[str, float]) -> float:
    """What the best adapter of a stage is chosen by: the answers of whole solutions, else rewards.

    Answers are few and coarse, so equal accuracies are told apart by the reward of steps.
    """
    if "eval_accuracy" in metrics and (stage.kind == "rlvr" or stage.reply == "whole"):
        return metrics["eval_accuracy"] + 1e-3 * metrics["eval_reward"]
    return metrics["eval_reward"]
