"""What training writes down: metrics under TRL's names, and every rollout with its reward."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from srl_edge.recipe import Stage
from srl_edge.types import Reward, Rollout, StepPrompt

Group = tuple[StepPrompt, list[Rollout], list[Reward]]


def sampling_metrics(seen: Sequence[Group], kept: int, elapsed: float) -> dict[str, float]:
    """What a step's sampling gave, `elapsed` in seconds; `kept` of its groups had spread."""
    rewards = [r for _, _, group in seen for r in group]
    rollouts = [r for _, group, _ in seen for r in group]
    totals = [r.total for r in rewards]
    lengths = [len(r.completion_ids) for r in rollouts]
    scored = [r.parts["similarity"] for r in rewards if "similarity" in r.parts]
    stds = [pstdev([r.total for r in group]) for _, _, group in seen]
    return {
        "reward": fmean(totals),
        "reward_std": fmean(stds),
        "frac_reward_zero_std": fmean(s < 1e-6 for s in stds),
        "keep_rate": kept / len(seen),
        "rewards/format/mean": fmean(not r.fault for r in rewards),
        "rewards/similarity/mean": fmean(scored) if scored else 0.0,
        "completions/mean_length": fmean(lengths),
        "completions/clipped_ratio": fmean(not r.finished for r in rollouts),
        "sampling/tokens_per_second": sum(lengths) / elapsed,
    }


def log_metrics(
    folder: Path, stage: Stage, index: int, step: int, metrics: dict[str, float]
) -> None:
    """Add a line to `metrics.jsonl`; names are TRL's where it has one."""
    row = {"stage": index, "kind": stage.kind, "step": step}
    _append(folder / "metrics.jsonl", [row | {k: round(v, 6) for k, v in metrics.items()}])


def log_rollouts(
    folder: Path, index: int, stage: Stage, step: int, groups: Sequence[Group]
) -> None:
    """Add every rollout of a step, with its reward's parts, to `rollouts.jsonl`."""
    _append(
        folder / "rollouts.jsonl",
        (
            {
                "stage": index, "kind": stage.kind, "step": step,
                "trajectory_id": prompt.trajectory_id, "step_index": prompt.step_index,
                "problem": prompt.problem, "previous_steps": prompt.previous_steps,
                "expert_action": prompt.expert_action, "completion": rollout.text,
                "finished": rollout.finished, "reward": reward.total, "parts": reward.parts,
                "fault": reward.fault,
            }
            for prompt, rollouts, rewards in groups
            for rollout, reward in zip(rollouts, rewards, strict=True)
        ),
    )  # fmt: skip


def _append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
