"""What training wrote down, as it travels from `metrics.jsonl` to the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

STAGES = {"sft": "supervised training", "srl": "SRL", "rlvr": "RLVR"}
_PLACE = ("stage", "kind", "step")
_LARGEST = 1e30  # figure that is drawn; not-a-number is not below it
_FIGURES = {kind: {"loss"} if kind == "sft" else {"loss", "reward"} for kind in STAGES}  # of a step


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """A row of `metrics.jsonl`: where in training it was written, and figures by their names.

    at: counts steps through all stages of a kind.
    """

    stage: int
    kind: str
    step: int
    figures: dict[str, float]
    at: int


@dataclass(frozen=True, slots=True)
class StepRewards:
    """The mean rewards of some steps, all together."""

    mean: float
    std: float
    steps: int


@dataclass(frozen=True, slots=True)
class RewardChange:
    """Rewards in the first and in the last quarter of the SRL steps."""

    start: StepRewards
    end: StepRewards


@dataclass(frozen=True, slots=True)
class Training:
    """Rows of steps by kind, those of validations, and figures of them.

    kept: the validation of the adapter that is kept. srl_kept: whether SRL or RLVR gave that.
    untrained: whether no step of any stage did better than the model before training.
    """

    steps: dict[str, list[MetricsRow]]
    held_out: list[MetricsRow]
    reward: RewardChange | None
    kept: MetricsRow | None
    srl_kept: bool
    untrained: bool


def drawable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what cannot be drawn: texts where figures are, and what is not finite."""
    return {
        key: value
        for key, value in row.items()
        if key == "kind" or (not isinstance(value, str) and abs(value) < _LARGEST)
    }


def placed(rows: Sequence[Mapping[str, Any]]) -> list[MetricsRow]:
    """Rows of `metrics.jsonl`, each at its step through all stages of its kind.

    What cannot be drawn of them is left out.
    """
    last = {row["stage"]: (row["kind"], row["step"]) for row in rows}
    found = []
    for row in rows:
        stage, kind, step = (row[key] for key in _PLACE)
        earlier = [n for s, (k, n) in last.items() if s < stage and k == kind]
        figures = {k: v for k, v in drawable(row).items() if k not in _PLACE}
        found.append(MetricsRow(stage, kind, step, figures, at=step + sum(earlier)))
    return found


def training_of(rows: Sequence[Mapping[str, Any]]) -> Training | None:
    """What rows of `metrics.jsonl` say; None without any."""
    if not rows:
        return None
    found = placed(rows)
    held_out = [row for row in found if "eval_reward" in row.figures]
    steps = {
        k: [r for r in found if r.kind == k and needed <= r.figures.keys()]
        for k, needed in _FIGURES.items()
    }
    rewards = [row.figures["reward"] for row in steps["srl"]]
    quarter = max(1, len(rewards) // 4)
    best = {row.stage: row for row in held_out if row.figures.get("eval_best")}
    kept = best[max(best)] if best else None
    return Training(
        steps=steps,
        held_out=held_out,
        reward=(
            RewardChange(_rewards(rewards[:quarter]), _rewards(rewards[-quarter:]))
            if rewards
            else None
        ),
        kept=kept,
        srl_kept=not kept or (kept.kind != "sft" and kept.at > 0),
        untrained=bool(best) and not any(row.step for row in best.values()),
    )


def _rewards(means: Sequence[float]) -> StepRewards:
    return StepRewards(fmean(means), pstdev(means), len(means))


def steps_done(found: Training | None) -> list[str]:
    """How many steps of each kind there were, in words."""
    steps = found.steps if found else {}
    return [f"{len(rows)} steps of {STAGES[kind]}" for kind, rows in steps.items() if rows]


def as_json(found: Training) -> dict[str, Any]:
    """The training as plain JSON values; a row is as it was logged, with its `at`."""
    return {
        **{kind: [_flat(row) for row in rows] for kind, rows in found.steps.items()},
        "held_out": [_flat(row) for row in found.held_out],
        "reward": asdict(found.reward) if found.reward else None,
        "kept": _flat(found.kept) if found.kept else None,
        "srl_kept": found.srl_kept,
        "untrained": found.untrained,
    }


def _flat(row: MetricsRow) -> dict[str, Any]:
    place = {"stage": row.stage, "kind": row.kind, "step": row.step}
    return place | row.figures | {"at": row.at}
