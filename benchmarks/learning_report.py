"""The table and the curves of `learning.py`, from what it measured."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Runs = dict[str, dict[int, Path]]
NAMES = {
    "start": "warm start",
    "sft": "SFT",
    "rlvr": "RLVR",
    "srl": "SRL",
    "srl_rlvr": "SRL → RLVR",
}
SPLITS = {"test": "held-out templates", "seen": "new numbers in training templates"}
DRAWS = 4000


def write(out: Path, docs: Path) -> Path:
    """Write `docs/learning-results.md` and `docs/learning.png`; returns the first."""
    runs = finished(out)
    seeds = sorted({seed for by_seed in runs.values() for seed in by_seed})
    lines = [
        "<!-- written by `python benchmarks/learning.py report` -->",
        f"{sum(map(len, runs.values()))} runs; seeds {seeds}. "
        "Intervals: 95%, bootstrap over problems, each problem's mean over seeds.",
    ]
    for split, title in SPLITS.items():
        lines += ["", f"**{title.capitalize()}**", "", *table(runs, split)]
    path = docs / "learning-results.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture(runs, docs / "learning.png")
    return path


def finished(out: Path) -> Runs:
    runs: Runs = {}
    for path in sorted(out.glob("*-*/eval.json")):
        method, _, seed = path.parent.name.rpartition("-")
        runs.setdefault(method, {})[int(seed)] = path.parent
    return runs


def table(runs: Runs, split: str) -> list[str]:
    """Markdown rows: accuracy and step similarity of each method, and what it gained."""
    lines = [
        "| method | accuracy | gain over the start | step similarity | gain over the start "
        "| format | training, minutes | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    measured = {m: _measured(r, split, "end") for m, r in runs.items()}
    start = {m: _measured(r, split, "start") for m, r in runs.items()}
    every = [e for r in start.values() for e in r]
    lines.append(_row("start", every, every, None, ""))
    for method, ends in measured.items():
        minutes = fmean(_minutes(run) for run in runs[method].values())
        lines.append(_row(method, ends, start[method], minutes, str(len(ends))))
    return lines


def _measured(runs: dict[int, Path], split: str, which: str) -> list[dict[str, Any]]:
    return [json.loads((p / "eval.json").read_text())[which][split] for p in runs.values()]


def _row(
    method: str, ends: Sequence[dict[str, Any]], starts: Sequence[dict[str, Any]],
    minutes: float | None, seeds: str,
) -> str:  # fmt: skip
    cells = []
    for key in ("correct", "similarity"):
        now, before = (_by_problem(rows, key) for rows in (ends, starts))
        cells.append(_interval([now[i] for i in now]))
        cells.append("" if ends is starts else _interval([now[i] - before[i] for i in now], True))
    form = fmean(e["eval_format"] for e in ends)
    time = "" if minutes is None else f"{minutes:.0f}"
    return f"| {NAMES[method]} | {' | '.join(cells)} | {form:.0%} | {time} | {seeds} |"


def _by_problem(rows: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Each problem's mean over runs."""
    return {i: fmean(float(r[key][i]) for r in rows) for i in rows[0][key]}


def _interval(values: Sequence[float], signed: bool = False) -> str:
    rng = random.Random(0)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    sign = "+" if signed else ""
    low, high = means[DRAWS * 25 // 1000], means[DRAWS * 975 // 1000]
    return f"{fmean(values):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _minutes(run: Path) -> float:
    """Minutes of training steps after the warm start, sampling included."""
    rows = map(json.loads, (run / "train" / "metrics.jsonl").read_text().splitlines())
    return sum(r["step_time"] for r in rows if r["stage"] > 0 and "step_time" in r) / 60


def picture(runs: Runs, path: Path) -> None:
    """Held-out step similarity over minutes of training, each seed a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=120)
    for color, (method, seeds) in enumerate(runs.items()):
        for number, run in enumerate(seeds.values()):
            minutes, points = 0.0, []
            for row in map(json.loads, (run / "train" / "metrics.jsonl").read_text().splitlines()):
                if row["stage"] == 0:
                    continue
                minutes += row.get("step_time", 0.0) / 60
                if "eval_similarity" in row:
                    points.append((minutes, row["eval_similarity"]))
            label = NAMES[method] if number == 0 else None
            axes.plot(*zip(*points, strict=True), color=f"C{color}", alpha=0.8, label=label)
    axes.set(xlabel="minutes of training steps", ylabel="step similarity, held-out templates")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
