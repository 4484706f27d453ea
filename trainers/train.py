"""The training stages over one loop: prompts, rollouts, rewards, advantages, one update.

Left out on purpose: a value model, a reward model, a KL penalty (the paper's coefficient is 0).
"""

import shutil
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from statistics import fmean

from srl_edge import progress, trajectories
from srl_edge.advantages import group_relative, has_spread
from srl_edge.errors import StageError
from srl_edge.prompts import prompt_ids, step_prompts, warm_up_reply
from srl_edge.recipe import Recipe, Stage
from srl_edge.rewards import step_reward
from srl_edge.trainers import checkpoints
from srl_edge.trainers.logs import Group, log_metrics, log_rollouts, sampling_metrics
from srl_edge.trainers.policy import Loss, Policy
from srl_edge.trainers.stream import PromptStream
from srl_edge.types import Sample, StepPrompt

VALIDATION_PROMPTS = 32


def train(recipe: Recipe, run: Path, policy: Policy) -> Path:
    """Train an adapter through the recipe's stages; returns `run/adapter`, a PEFT folder.

    Reads `run/data`; writes `run/train/metrics.jsonl` (TRL's names), `rollouts.jsonl` and
    checkpoints, and goes on from the newest checkpoint. The adapter is the one with the best
    validation reward. Source of the method: arXiv 2510.25992, section 4.2.
    """
    folder = run / "train"
    folder.mkdir(parents=True, exist_ok=True)
    cursor = checkpoints.restore(folder, policy)
    held_out = _validation_prompts(run / "data" / "validation.jsonl", recipe.seed)
    for index, stage in enumerate(recipe.stages):
        if index >= cursor.stage:
            _run_stage(recipe, index, stage, run, policy, cursor, held_out)
            cursor = checkpoints.Cursor(index + 1, 0, 0, cursor.best)
            checkpoints.save(folder, policy, cursor)
    best = folder / "best"
    shutil.rmtree(run / "adapter", ignore_errors=True)
    shutil.copytree(best, run / "adapter")
    return run / "adapter"


def _run_stage(
    recipe: Recipe, index: int, stage: Stage, run: Path, policy: Policy,
    cursor: checkpoints.Cursor, held_out: Sequence[StepPrompt],
) -> None:  # fmt: skip
    folder = run / "train"
    prompts = step_prompts(trajectories.load(run / "data" / "train.jsonl"), stage.targets)
    stream = PromptStream([p for p in prompts if p], f"{recipe.seed}/{index}")
    loss = Loss(
        "nll" if stage.kind == "sft" else "clipped",
        stage.clip_low,
        stage.clip_high,
        stage.aggregation == "sequence",
    )
    if cursor.step == 0:
        cursor.best = _validate(policy, stage, index, 0, held_out, folder, cursor.best)
    title = f"train {index + 1}/{len(recipe.stages)} {stage.kind}"
    with progress.bar(title, stage.steps, cursor.step) as advance:
        while cursor.step < stage.steps:
            start = time.monotonic()
            sampling: dict[str, float] = {}
            if stage.kind == "sft":
                groups = _expert_samples(policy, stream, stage, cursor)
            else:
                seed = _seed(recipe.seed, index, cursor.step)
                groups, sampling = _sampled(policy, stream, stage, cursor, seed, folder, index)
            metrics = policy.forward_backward(groups, loss)
            norm = policy.optim_step(stage.learning_rate, stage.max_grad_norm)
            cursor.step += 1
            metrics |= sampling | {"grad_norm": norm, "step_time": time.monotonic() - start}
            log_metrics(folder, stage, index, cursor.step, metrics)
            validate = stage.validate_every and cursor.step % stage.validate_every == 0
            if validate or cursor.step == stage.steps:
                cursor.best = _validate(
                    policy, stage, index, cursor.step, held_out, folder, cursor.best
                )
            if cursor.step % recipe.trainer.checkpoint_every == 0:
                checkpoints.save(folder, policy, cursor)
            advance(_note(metrics))


def _expert_samples(
    policy: Policy, stream: PromptStream, stage: Stage, cursor: checkpoints.Cursor
) -> list[list[Sample]]:
    batch = stream.take(cursor.prompts, stage.prompts_per_step)
    cursor.prompts += len(batch)
    samples = []
    for prompt in batch:
        reply = policy.tokenizer.encode(warm_up_reply(prompt), add_special_tokens=False)
        completion = (*reply, policy.stop_ids[0])
        samples.append((prompt, [Sample(_ids(policy, prompt), completion, (), 1.0)]))
    return _by_trajectory(samples)


def _sampled(
    policy: Policy, stream: PromptStream, stage: Stage, cursor: checkpoints.Cursor, seed: int,
    folder: Path, index: int,
) -> tuple[list[list[Sample]], dict[str, float]]:  # fmt: skip
    """Sample groups until `prompts_per_step` of them have spread; returns samples and metrics.

    Source: dynamic sampling, arXiv 2510.25992, section 4.2.
    """
    kept: list[Group] = []
    seen: list[Group] = []
    start = time.monotonic()
    for round_ in range(stage.max_rounds):
        batch = stream.take(cursor.prompts, stage.prompts_per_step - len(kept))
        cursor.prompts += len(batch)
        groups = policy.sample(
            [_ids(policy, p) for p in batch], stage.group_size, stage.max_new_tokens,
            stage.temperature, seed + round_,
        )  # fmt: skip
        for prompt, rollouts in zip(batch, groups, strict=True):
            group = prompt, rollouts, [step_reward(r, prompt) for r in rollouts]
            seen.append(group)
            if has_spread([r.total for r in group[2]], stage.spread_epsilon):
                kept.append(group)
        if len(kept) == stage.prompts_per_step:
            break
    elapsed = time.monotonic() - start
    if not kept:
        raise StageError(_why_nothing_passed(seen, stage))
    samples = []
    for prompt, rollouts, rewards in kept:
        advantages = group_relative([r.total for r in rewards])
        samples.append(
            (
                prompt,
                [
                    Sample(r.prompt_ids, r.completion_ids, r.logprobs, a)
                    for r, a in zip(rollouts, advantages, strict=True)
                ],
            )
        )
    log_rollouts(folder, index, stage, cursor.step + 1, seen)
    return _by_trajectory(samples), sampling_metrics(seen, len(kept), elapsed)


def _why_nothing_passed(seen: Sequence[Group], stage: Stage) -> str:
    faults = [r.fault for _, _, group in seen for r in group]
    broken = [f for f in faults if f]
    why = f"rewards within each group differ by a std of at most {stage.spread_epsilon}"
    if len(broken) > len(faults) / 2:
        common = max(set(broken), key=broken.count)
        why = (
            f"{len(broken)} of {len(faults)} replies break the format, mostly: {common}; "
            "a longer sft stage before this one teaches it"
        )
    return f"train: no group of rollouts has anything to compare after {len(seen)} prompts: {why}."


def _validate(
    policy: Policy, stage: Stage, index: int, step: int, held_out: Sequence[StepPrompt],
    folder: Path, best: float,
) -> float:  # fmt: skip
    """Greedy reward on held-out step prompts; keeps the adapter if it is the best so far."""
    groups = policy.sample(
        [_ids(policy, p) for p in held_out], 1, stage.max_new_tokens, 0.0, seed=0
    )
    rewards = [step_reward(g[0], p) for g, p in zip(groups, held_out, strict=True)]
    scored = [r.parts["similarity"] for r in rewards if not r.fault]
    metrics = {
        "eval_reward": fmean(r.total for r in rewards),
        "eval_format": fmean(not r.fault for r in rewards),
        "eval_similarity": fmean(scored) if scored else 0.0,
        "eval_clipped_ratio": fmean(not g[0].finished for g in groups),
    }
    log_metrics(folder, stage, index, step, metrics)
    if metrics["eval_reward"] >= best:
        policy.save_adapter(folder / "best")
        return metrics["eval_reward"]
    return best


def _by_trajectory(samples: list[tuple[StepPrompt, list[Sample]]]) -> list[list[Sample]]:
    runs = groupby(samples, key=lambda item: item[0].trajectory_id)
    return [[s for _, group in run for s in group] for _, run in runs]


def _ids(policy: Policy, prompt: StepPrompt) -> tuple[int, ...]:
    return prompt_ids(policy.tokenizer, prompt.problem, prompt.previous_steps)


def _validation_prompts(path: Path, seed: int) -> list[StepPrompt]:
    prompts = [p for group in step_prompts(trajectories.load(path), "all") for p in group]
    return Random(seed).sample(prompts, min(VALIDATION_PROMPTS, len(prompts)))


def _seed(seed: int, stage: int, step: int) -> int:
    return Random(f"{seed}/{stage}/{step}").getrandbits(48)


def _note(metrics: dict[str, float]) -> str:
    if "reward" not in metrics:
        return f"loss {metrics['loss']:.3f}"
    return (
        f"reward {metrics['reward']:+.3f}  kept {metrics['keep_rate']:.0%}  "
        f"{metrics['sampling/tokens_per_second']:.0f} tok/s"
    )
