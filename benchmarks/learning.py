"""Does it learn? SFT, RLVR, SRL and SRL then RLVR from one warm start, on held-out problems.

    python benchmarks/learning.py run [--seeds 0 1 2] [--methods sft srl ...]
    python benchmarks/learning.py report

`run` trains recipes/<method>.toml with each seed and measures the adapter; what is done is skipped
and what was cut off goes on. `report` writes docs/learning-results.md and its picture from what was
measured. Problems: held-out templates (narratives that training never shows), and new numbers in
the templates of training.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge import gsm_symbolic, recipe, trajectories
from srl_edge.data import keep_fitting, prepare
from srl_edge.prompts import step_prompts
from srl_edge.recipe import Recipe, Stage
from srl_edge.rewards import step_reward

ROOT = Path(__file__).parents[1]
OUT = ROOT / "runs" / "learning"
METHODS = ("sft", "rlvr", "srl", "srl_rlvr")
SOLVING = Stage(kind="rlvr", steps=1, max_new_tokens=80, max_steps=5)
PROBLEMS = 160
CHUNK = 40  # problems that are solved at a time
NEW_NUMBERS = 20  # problems of each training template that training does not see


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    if options.command == "report":
        from learning_report import write

        print(write(OUT, ROOT / "docs"))
        return
    for seed in options.seeds:
        for method in options.methods:
            run = OUT / f"{method}-{seed}"
            train(method, seed, run)
            if not (run / "eval.json").is_file():
                measured = {"start": evaluate(run, "start"), "end": evaluate(run, "end")}
                (run / "eval.json").write_text(json.dumps(measured, indent=1) + "\n")


def settings(method: str, seed: int, run: Path) -> Recipe:
    return recipe.load(
        ROOT / "recipes" / f"{method}.toml", ["--output", str(run), "--seed", str(seed)]
    )


def train(method: str, seed: int, run: Path) -> None:
    """Data with the seed 0 for all, so that only training differs between seeds."""
    chosen = settings(method, seed, run)
    if not (run / "data" / "seen.jsonl").is_file():
        prepare(chosen.model_copy(update={"seed": 0}), run)
        _new_numbers(chosen, run)
    if not (run / "adapter").is_dir():
        run.mkdir(parents=True, exist_ok=True)
        (run / "recipe.toml").write_text(recipe.dumps(chosen))
        command = [sys.executable, "-m", "srl_edge", "train", str(run)]
        subprocess.run(command, check=True)


def _new_numbers(chosen: Recipe, run: Path) -> None:
    """Write `seen.jsonl`: problems of the training templates with other names and numbers."""
    report = json.loads((run / "data" / "report.json").read_text())
    train = {t.problem for t in trajectories.load(run / "data" / "train.jsonl")}
    rows = gsm_symbolic.rows_by_template(chosen.data.rows_per_template + NEW_NUMBERS, 0)
    new = [
        t
        for template in report["templates"]["train"]
        for t in keep_fitting(rows[template], chosen.data, trajectories.ParseReport())
        if t.problem not in train
    ]
    trajectories.write_jsonl(run / "data" / "seen.jsonl", new)


def evaluate(run: Path, which: str) -> dict[str, Any]:
    """Greedy answers and step similarity of the warm start or of the trained adapter."""
    from srl_edge.models import resolve
    from srl_edge.trainers.batches import ids_of, solve_by_policy
    from srl_edge.trainers.policy import open_policy

    chosen = recipe.load(run)
    policy = open_policy(resolve(chosen.model.name), chosen.trainer, chosen.seed)
    policy.load_adapter(run / ("train/stage-0-sft" if which == "start" else "adapter"))
    result: dict[str, Any] = {}
    for name in ("test", "seen"):
        problems = _spread(trajectories.load(run / "data" / f"{name}.jsonl"), PROBLEMS)
        correct: dict[str, bool] = {}
        given: dict[str, list[str]] = {}
        similar: dict[str, list[float]] = {}
        faults = []
        for at in range(0, len(problems), CHUNK):
            chunk = problems[at : at + CHUNK]
            for attempt in solve_by_policy(policy, chunk, SOLVING, 0.0, 0):
                correct[attempt.id], given[attempt.id] = attempt.correct, attempt.steps
            prompts = [p for group in step_prompts(chunk, "all") for p in group]
            ids = [ids_of(policy, p) for p in prompts]
            replies = policy.sample(ids, 1, SOLVING.max_new_tokens, 0.0, 0)
            for prompt, (reply,) in zip(prompts, replies, strict=True):
                reward = step_reward(reply, prompt)
                faults.append(bool(reward.fault))
                similar.setdefault(prompt.trajectory_id, []).append(
                    reward.parts.get("similarity", 0.0)
                )
        result[name] = {
            "correct": correct,
            "similarity": {i: fmean(values) for i, values in similar.items()},
            "eval_format": 1 - fmean(faults),
            "steps": given,
        }
    return result


def _spread(rows: list[Any], count: int) -> list[Any]:
    """`count` rows at even distances."""
    return rows if len(rows) <= count else [rows[i * len(rows) // count] for i in range(count)]


if __name__ == "__main__":
    main()
