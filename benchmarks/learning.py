"""Does it learn? SFT, RLVR, SRL and SRL then RLVR from one warm start, on held-out problems.

    python benchmarks/learning.py run [--seeds 0 1 2] [--methods sft srl ...] [--threads 1]
    python benchmarks/learning.py report

`run` trains with the stages of recipes/<method>.toml and each seed, on the problems of
`stories.py`, and measures the adapter. Each result is a file in benchmarks/results/learning; what
is there is skipped, what was cut off goes on. `report` writes docs/lab/learning-results.md and its
picture from them.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge import recipe
from srl_edge.data import stories, trajectories
from srl_edge.method.prompt_form import DEFAULT
from srl_edge.method.prompts import prompt_ids, step_prompts
from srl_edge.method.rewards import step_reward
from srl_edge.recipe import Recipe, Stage

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "learning"
RESULTS = ROOT / "benchmarks" / "results" / "learning"
# Of a story. Numbers are so small that a right step is often among eight, and there are so many
# events that a right answer is hardly ever.
EVENTS, LARGEST = 4, 30
FEW = 12  # training problems of the methods that end in _few: one of each setting
FAST = (
    "--stages.1.learning_rate",
    "2e-4",
    "--stages.1.warmup_steps",
    "10",
    "--trainer.validation_prompts",
    "96",
)
# Each is a recipe with flags.
METHODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sft": ("sft", ()),
    "srl": ("srl", ()),
    "rlvr": ("rlvr", ("--stages.1.max_steps", str(EVENTS + 1))),
    "srl_rlvr": ("srl_rlvr", ("--stages.2.max_steps", str(EVENTS + 1))),
    "sft_srl": ("sft_srl", ()),
    # The paper's reward: characters alone. One digit of fifty characters must count.
    "srl_paper": (
        "srl",
        ("--stages.1.reward", "characters", "1.0", "--stages.1.spread_epsilon", "0.004"),
    ),
    "srl_cold": ("srl", ("--stages.1.learning_rate", "2e-4", "--stages.1.warmup_steps", "0")),
    "srl_fast": ("srl", FAST),
    "srl_long": ("srl", (*FAST, "--stages.1.steps", "120")),
    "srl_onnx": ("srl", ("--trainer.sampler", "onnx")),  # rollouts from int8 weights
    "sft_few": ("sft", ()),
    "srl_few": ("srl", ()),
}
COUNTS = {"train": 120, "validation": 40, "test": 150, "seen": 50}
SOLVING = Stage(kind="rlvr", steps=1, max_new_tokens=80, max_steps=EVENTS + 1)
CHUNK = 50  # problems that are solved at a time
SIMILAR = 50  # problems whose steps are compared with the expert's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.command == "report":
        from learning_report import write

        print(write(RESULTS, ROOT / "docs" / "lab"))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for method in options.methods:
            halfway = RESULTS / f"sft_short-{seed}.json"
            missing = method == "sft_srl" and not halfway.is_file()
            if (RESULTS / f"{method}-{seed}.json").is_file() and not missing:
                continue
            few = "_few" if method.endswith("_few") else ""
            run = RUNS / f"{method}-{seed}"
            chosen = settings(method, seed, run, options.threads)
            train(chosen, run, FEW if few else COUNTS["train"])
            start = RESULTS / f"start{few}-{seed}.json"
            if not start.is_file():  # the same for every method: it depends on data and seed alone
                _write(start, {"splits": evaluated(chosen, run, "train/stage-0-sft")})
            if missing:
                _write(halfway, {"splits": evaluated(chosen, run, "train/stage-1-sft")})
            if (RESULTS / f"{method}-{seed}.json").is_file():
                continue
            result = {"splits": evaluated(chosen, run, "adapter"), "curve": curve(run)}
            _write(RESULTS / f"{method}-{seed}.json", result)


def settings(method: str, seed: int, run: Path, threads: int) -> Recipe:
    name, extra = METHODS[method]
    flags = ["--output", str(run), "--seed", str(seed), "--trainer.threads", str(threads), *extra]
    return recipe.load(ROOT / "recipes" / f"{name}.toml", flags)


def train(chosen: Recipe, run: Path, problems: int) -> None:
    """Problems are the same for every seed, so that only training differs."""
    data = run / "data"
    data.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        # "seen": the settings of training, with other numbers, names and events.
        where = stories.SPLITS["train" if split == "seen" else split]
        made = stories.problems(where, count, EVENTS, LARGEST, split)
        trajectories.write_jsonl(
            data / f"{split}.jsonl", made[:problems] if split == "train" else made
        )
    if not (run / "adapter").is_dir():
        (run / "recipe.toml").write_text(recipe.dumps(chosen))
        subprocess.run([sys.executable, "-m", "srl_edge", "train", str(run)], check=True)


def evaluated(chosen: Recipe, run: Path, adapter: str) -> dict[str, Any]:
    """`evaluate` in a process of its own: its gigabytes are free when the next run trains."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(evaluate, chosen, run, adapter).result()


def evaluate(chosen: Recipe, run: Path, adapter: str) -> dict[str, Any]:
    """Greedy answers by split and problem, and greedy steps beside the expert's.

    `similarity` is the reward; `right` the share of steps with exactly the expert's numbers.
    """
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop.batches import solve_by_policy
    from srl_edge.trainers.open import open_policy

    policy = open_policy(resolve(chosen.model.name), chosen.trainer, chosen.seed)
    policy.load_adapter(run / adapter)
    result: dict[str, Any] = {}
    for name in ("test", "seen"):
        problems = trajectories.load(run / "data" / f"{name}.jsonl")
        correct: dict[str, bool] = {}
        similar: dict[str, list[float]] = {}
        right: dict[str, list[float]] = {}
        faults = []
        for at in range(0, len(problems), CHUNK):
            chunk = problems[at : at + CHUNK]
            for attempt in solve_by_policy(policy, chunk, SOLVING, DEFAULT, 0.0, 0):
                correct[attempt.id] = attempt.correct
            left = max(0, SIMILAR - at)
            prompts = [p for group in step_prompts(chunk[:left], "all") for p in group]
            ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
            replies = policy.sample(ids, 1, SOLVING.max_new_tokens, 0.0, 0) if ids else []
            for prompt, (reply,) in zip(prompts, replies, strict=True):
                reward = step_reward(reply, prompt, {"characters": 1.0, "numbers": 1.0})
                faults.append(bool(reward.fault))
                similar.setdefault(prompt.trajectory_id, []).append(
                    reward.parts.get("similarity", 0.0)
                )
                numbers = reward.parts.get("numbers", 0.0)
                right.setdefault(prompt.trajectory_id, []).append(float(numbers == 1))
        result[name] = {
            "correct": correct,
            "similarity": {i: round(fmean(values), 4) for i, values in similar.items()},
            "right": {i: round(fmean(values), 4) for i, values in right.items()},
            "format": 1 - fmean(faults),
        }
    return result


def curve(run: Path) -> list[dict[str, Any]]:
    """Minutes of training steps after the warm start, with what was measured at them."""
    points, minutes = [], 0.0
    for row in map(json.loads, (run / "train" / "metrics.jsonl").read_text().splitlines()):
        if row["stage"] == 0:
            continue
        minutes += row.get("step_time", 0.0) / 60
        kept = ("reward", "keep_rate", "entropy", "eval_similarity", "eval_accuracy", "eval_format")
        figures = {k: row[k] for k in kept if k in row}
        points.append(
            {"kind": row["kind"], "step": row["step"], "minutes": round(minutes, 2), **figures}
        )
    return points


def _write(path: Path, result: dict[str, Any]) -> None:
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(result) + "\n")
    scratch.rename(path)


if __name__ == "__main__":
    main()
