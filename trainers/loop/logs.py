"""What training writes down: metrics under TRL's names, and every rollout with its reward."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from srl_edge.files import read_rows, writing
from srl_edge.lost import require_held
from srl_edge.method.alarms import alarm_metrics
from srl_edge.method.algorithm import max_variance
from srl_edge.method.prompt_form import CUT_OFF
from srl_edge.method.types import Reward, Rollout, StepPrompt
from srl_edge.recipe import Stage


@dataclass(frozen=True, slots=True)
class Group:
    """Rollouts of one prompt with their rewards.

    A rollout is one reply to one step prompt, or all replies of a solution found step by step.
    masked: rollouts that the length limit cut off are not learned from. most: of how many is, of
    those whose rewards differ most.
    """

    prompt: StepPrompt
    rollouts: list[list[tuple[StepPrompt, Rollout]]]
    rewards: list[Reward]
    masked: bool = False
    most: int | None = None

    @property
    def totals(self) -> list[float]:
        """Rewards of the rollouts that are compared with each other, as numbers."""
        return [self.rewards[i].total for i in self._chosen()]

    @property
    def learned(self) -> list[list[tuple[StepPrompt, Rollout]]]:
        """Those rollouts, in the same order."""
        return [self.rollouts[i] for i in self._chosen()]

    def _chosen(self) -> list[int]:
        cut_off = (self.masked and reward.fault == CUT_OFF for reward in self.rewards)
        kept = [i for i, masked in enumerate(cut_off) if not masked]
        found = max_variance([self.rewards[i].total for i in kept], self.most or len(kept))
        return [kept[i] for i in found]


def sampling_metrics(
    stage: Stage, seen: Sequence[Group], kept: int, elapsed: float
) -> dict[str, float]:
    """What a step's sampling gave, `elapsed` in seconds; `kept` of its groups had spread."""
    rewards = [r for group in seen for r in group.rewards]
    replies = [r for group in seen for rollout in group.rollouts for _, r in rollout]
    lengths = [len(r.completion_ids) for r in replies]
    stds = [pstdev([r.total for r in group.rewards]) for group in seen]
    names = sorted({name for r in rewards for name in r.parts if name != "format"})
    metrics = {
        "reward": fmean(r.total for r in rewards),
        "reward_std": fmean(stds),
        "frac_reward_zero_std": fmean(s < 1e-6 for s in stds),
        "keep_rate": kept / len(seen),
        "kept_groups": kept,
        "rewards/format/mean": fmean(r.parts["format"] for r in rewards),
        "completions/mean_length": fmean(lengths),
        "completions/clipped_ratio": fmean(not r.finished for r in replies),
        "sampling/tokens_per_second": sum(lengths) / elapsed,
    }
    thoughts = [
        len(prompt.form.read(r.text, r.finished).thought)
        for group in seen
        for rollout in group.rollouts
        for prompt, r in rollout
        if prompt.form.think
    ]
    if thoughts:
        metrics["completions/mean_thought_length"] = fmean(thoughts)
    for name in names:
        metrics[f"rewards/{name}/mean"] = fmean(r.parts[name] for r in rewards if name in r.parts)
    if stage.kind == "srl":
        groups = [(g.prompt, [r for ((_, r),) in g.rollouts], g.rewards) for g in seen]
        metrics |= alarm_metrics(groups)
    return metrics


def log_metrics(
    folder: Path, stage: Stage, index: int, step: int, metrics: dict[str, float]
) -> dict[str, Any]:
    """Add a line to `metrics.jsonl` and return it; names are TRL's where it has one."""
    row: dict[str, Any] = {"stage": index, "kind": stage.kind, "step": step}
    row |= {k: round(v, 8) for k, v in metrics.items() if isfinite(v)}
    _append(folder / "metrics.jsonl", [row])
    return row


def log_rollouts(
    folder: Path, index: int, stage: Stage, step: int, groups: Sequence[Group]
) -> None:
    """Add every reply of a step, with its rollout's reward and parts, to `rollouts.jsonl`."""
    _append(
        folder / "rollouts.jsonl",
        (
            {
                "stage": index,
                "kind": stage.kind,
                "step": step,
                "trajectory_id": group.prompt.trajectory_id,
                "step_index": prompt.step_index,
                "rollout": number,
                "problem": prompt.problem,
                "previous_steps": prompt.previous_steps,
                "expert_action": prompt.expert_action,
                "observations": prompt.observations,
                "completion": rollout.text,
                "finished": rollout.finished,
                "reward": reward.total,
                "parts": reward.parts,
                "fault": reward.fault,
            }
            for group in groups
            for number, (replies, reward) in enumerate(
                zip(group.rollouts, group.rewards, strict=True)
            )
            for prompt, rollout in replies
        ),
    )


def rows_so_far(folder: Path) -> list[dict[str, Any]]:
    """All metrics that were logged before."""
    return read_rows(folder / "metrics.jsonl", "Metrics")


def steps_so_far(folder: Path, index: int) -> list[dict[str, Any]]:
    """Metrics of a stage's training steps that were logged before."""
    return [row for row in rows_so_far(folder) if row["stage"] == index and "loss" in row]


def note(metrics: dict[str, float]) -> str:
    """A step in a few words, for the progress line."""
    if "reward" not in metrics:
        return f"loss {metrics['loss']:.3f}" if "loss" in metrics else "nothing learned"
    return (
        f"reward {metrics['reward']:+.3f}  kept {metrics['keep_rate']:.0%}  "
        f"{metrics['sampling/tokens_per_second']:.0f} tok/s"
    )


def validation_note(metrics: Mapping[str, float]) -> str:
    """A validation in a few words."""
    names = {
        "eval_format": "{:.0%} of replies in the format",
        "eval_similarity": "likeness to the expert's steps {:.2f}",
        "eval_accuracy": "{:.0%} of problems solved",
        "eval_own_accuracy": "{:.0%} in the model's own way",
    }
    said = (form.format(metrics[key]) for key, form in names.items() if key in metrics)
    cut_off = metrics.get("eval_own_clipped_ratio", 0.0)
    hint = f" ({cut_off:.0%} of those are cut off: trainer.own_way_tokens)" if cut_off > 0.1 else ""
    return f"held out: {', '.join(said)}{hint}"


def handed_on(folder: Path, index: int) -> str:
    """Which adapter of a stage did best on held-out problems; '' where it is the last step's."""
    best: dict[int, int] = {}
    last = 0
    for row in rows_so_far(folder):
        if row["stage"] == index:
            last = row["step"]
        if row.get("eval_best"):
            best[row["stage"]] = row["step"]
    if index not in best or best[index] == last:
        return ""
    if best[index]:
        return f"step {best[index]} of {last} did best on the held-out problems, and is handed on."
    start = "what it began with" if any(best.values()) else "the untrained model"
    return (
        f"no step did better on the held-out problems than {start}, so that is handed on, and "
        f"nothing of its {last} steps. Measure on more problems (data.validation_problems), or try "
        "another learning_rate or more steps."
    )


def _append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    require_held(path)
    with writing(path), path.open("a", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
