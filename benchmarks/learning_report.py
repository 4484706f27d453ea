"""The table and the curves of `learning.py`, from what it measured."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Results = dict[str, dict[int, dict[str, Any]]]
NAMES = {
    "start": "warm start",
    "sft": "SFT",
    "rlvr": "RLVR",
    "srl": "SRL",
    "srl_rlvr": "SRL → RLVR",
    "sft_short": "SFT, the first stage of SFT → SRL",
    "sft_srl": "SFT → SRL",
    "srl_paper": "SRL, the paper's reward",
    "srl_cold": "SRL, twice the rate, no warm-up",
    "srl_fast": "SRL, twice the rate",
    "srl_long": "SRL, twice the rate, three times the steps",
    "srl_onnx": "SRL, int8 rollouts",
    "start_few": "warm start, 12 problems",
    "sft_few": "SFT, 12 problems",
    "srl_few": "SRL, 12 problems",
}
SPLITS = {"test": "held-out settings", "seen": "new problems in the settings of training"}
MEASURES = {
    "correct": "problems solved",
    "right": "steps with the right numbers",
    "similarity": "step similarity",
}
PAIRS = (
    ("srl", "rlvr"),
    ("srl_rlvr", "srl"),
    ("sft", "srl_rlvr"),
    ("sft_srl", "sft_short"),
    ("srl_few", "sft_few"),
)
DRAWS = 4000
# Pipelines that all three seeds have, by the number of problems they were trained on.
DRAWN = {120: ("sft", "rlvr", "srl", "srl_rlvr"), 12: ("sft_few", "srl_few")}
COLORS = DRAWN[120]
MEASURED = {
    "eval_accuracy": "validation problems solved",
    "eval_similarity": "similarity of steps",
}


def write(folder: Path, docs: Path) -> Path:
    """Write `learning-results.md` and `learning.png` into `docs`; returns the first."""
    results = read(folder)
    lines = [
        "<!-- written by `python benchmarks/learning.py report` -->",
        "Intervals: 95%, bootstrap over problems, each problem's mean over seeds. Gains are over "
        "the warm start of the same seeds.",
    ]
    for split, title in SPLITS.items():
        lines += ["", f"**{title.capitalize()}**", "", *table(results, split)]
        lines += ["", "Problems solved, paired by problem, of the seeds that both have:", ""]
        lines += compared(results, split)
    path = docs / "learning-results.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture(results, docs / "learning.png")
    return path


def read(folder: Path) -> Results:
    results: Results = {name: {} for name in NAMES}
    for path in sorted(folder.glob("*-*.json")):
        method, _, seed = path.stem.rpartition("-")
        results[method][int(seed)] = json.loads(path.read_text())
    return {method: by_seed for method, by_seed in results.items() if by_seed}


def table(results: Results, split: str) -> list[str]:
    """Markdown rows: what each method measures, and what it gained."""
    heads = [x for title in MEASURES.values() for x in (title, "gain")]
    heads = ["method", *heads, "format", "minutes", "seeds"]
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    for method, by_seed in results.items():
        first = "start_few" if method.endswith("_few") else "start"
        starts = [results[first][seed]["splits"][split] for seed in by_seed]
        ends = [result["splits"][split] for result in by_seed.values()]
        cells = []
        for key in MEASURES:
            now, before = _by_problem(ends, key), _by_problem(starts, key)
            cells.append(_interval(list(now.values())))
            gain = [now[i] - before[i] for i in now]
            cells.append("" if method == first else _interval(gain, signed=True))
        curves = [result["curve"] for result in by_seed.values() if "curve" in result]
        minutes = f"{fmean(c[-1]['minutes'] for c in curves):.0f}" if curves else ""
        form = f"{fmean(end['format'] for end in ends):.0%}"
        seeds = " ".join(map(str, by_seed))
        lines.append(f"| {NAMES[method]} | {' | '.join(cells)} | {form} | {minutes} | {seeds} |")
    return lines


def compared(results: Results, split: str) -> list[str]:
    """How many more problems each pipeline solves than another, paired by problem."""
    said = []
    for better, other in PAIRS:
        seeds = sorted(results.get(better, {}).keys() & results.get(other, {}).keys())
        if not seeds:
            continue
        sides = [
            _by_problem([results[m][seed]["splits"][split] for seed in seeds], "correct")
            for m in (better, other)
        ]
        gain = _interval([sides[0][i] - sides[1][i] for i in sides[0]], signed=True)
        said.append(
            f"- {NAMES[better]} over {NAMES[other]}: {gain}, seeds {' '.join(map(str, seeds))}"
        )
    return said


def _by_problem(rows: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Each problem's mean over runs."""
    return {i: fmean(float(r[key][i]) for r in rows) for i in rows[0][key]}


def _interval(values: Sequence[float], signed: bool = False) -> str:
    rng = random.Random(0)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    sign = "+" if signed else ""
    low, high = means[DRAWS * 25 // 1000], means[DRAWS * 975 // 1000]
    return f"{fmean(values):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def picture(results: Results, path: Path) -> None:
    """Validation accuracy and step similarity over the budget, each seed a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(
        2, 2, figsize=(10, 7.5), dpi=110, layout="constrained", sharex=True, sharey="col"
    )
    for axes, (problems, methods) in zip(grid, DRAWN.items(), strict=True):
        for axis, key in zip(axes, MEASURED, strict=True):
            for method in methods:
                for number, result in enumerate(results.get(method, {}).values()):
                    total = result["curve"][-1]["minutes"]
                    points = [(p["minutes"] / total, p[key]) for p in result["curve"] if key in p]
                    pipeline = method.removesuffix("_few")
                    axis.plot(
                        *zip(*points, strict=True),
                        color=f"C{COLORS.index(pipeline)}",
                        alpha=0.8,
                        label=None if number else NAMES[pipeline],
                    )
            axis.set(title=f"{MEASURED[key]}, {problems} training problems")
            axis.grid(alpha=0.3)
        axes[-1].legend(frameon=False, ncols=2)  # there are places without lines here
    for axis in grid[-1]:
        axis.set(xlabel="share of the training time")
    figure.savefig(path)
    pyplot.close(figure)
