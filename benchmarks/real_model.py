"""Does a real model get better? Pilots of recipes/gsm8k.toml on Qwen2.5-Coder-0.5B-Instruct.

    python benchmarks/real_model.py run PILOT --source gsm8k/train.jsonl [--seeds 0]
    python benchmarks/real_model.py base --source gsm8k/train.jsonl [--seeds 0]
    python benchmarks/real_model.py report

`base` asks the model itself, in each of the ways below, about the problems that a seed holds out;
`run` trains a pilot and asks its adapter in the way that it was trained to be asked. Results are
files in benchmarks/results/real-model, answers problem by problem; what is there is skipped, what
was cut off goes on. `report` compares, paired by problem, with the base's best way.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.method.prompt_form import PRESETS, PromptForm
from srl_edge.recipe import Recipe, Stage
from srl_edge.report.statistics import difference

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "real-model"
RESULTS = ROOT / "benchmarks" / "results" / "real-model"
TUTOR = (
    "You are a careful math tutor. Solve the problem step by step, then state the final answer in "
    r"\boxed{}."
)
PLAIN = PRESETS["math"].whole_system
# Ways to ask, each a system message and what the user says.
WAYS = {
    "boxed": (PLAIN, PRESETS["math"].whole),
    "plain": (PLAIN, "{problem}"),
    "tutor": (TUTOR, "{problem}"),
    "hashes": (PLAIN, "{problem}\nSolve step by step and end with a line '#### answer'."),
}
# Flags over recipes/gsm8k.toml.
PILOTS: dict[str, tuple[str, ...]] = {
    "rlvr": (),
    # Hotter steps from surer replies.
    "rlvr_fast": ("--stages.0.learning_rate", "3e-4", "--stages.0.temperature", "0.8"),
    # The expert's results as a dense reward: groups in which no answer is right count too.
    "results": (
        "--stages.0.kind",
        "srl",
        "--stages.0.reward",
        "results",
        "0.5",
        "answer",
        "0.5",
        "--stages.0.spread_epsilon",
        "0.05",
    ),
    "results_fast": (
        "--stages.0.kind",
        "srl",
        "--stages.0.reward",
        "results",
        "0.5",
        "answer",
        "0.5",
        "--stages.0.spread_epsilon",
        "0.05",
        "--stages.0.learning_rate",
        "3e-4",
        "--stages.0.temperature",
        "0.8",
    ),
}
ANSWERING = Stage(kind="rlvr", reply="whole", steps=1, max_new_tokens=512)
CHUNK = 100  # problems that are answered at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "base", "report"))
    parser.add_argument("pilot", nargs="?", choices=PILOTS)
    parser.add_argument("--source", help="GSM8K's train.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.command == "report":
        print(table())
        return
    if not options.source:
        parser.error("--source: where GSM8K's train.jsonl is.")
    name = "base" if options.command == "base" else options.pilot
    if name is None:
        parser.error(f"run: name a pilot of {', '.join(PILOTS)}.")
    for seed in options.seeds:
        file = RESULTS / f"{name}-{seed}.json"
        if file.exists():
            continue
        result = base(options.source, seed) if name == "base" else run(name, options.source, seed)
        scratch = file.with_suffix(".part")
        scratch.write_text(json.dumps(result) + "\n")
        scratch.rename(file)
        print(table())


def settings(pilot: str, source: str, seed: int) -> Recipe:
    """The recipe of a pilot."""
    flags = (
        "--data.source",
        source,
        "--seed",
        str(seed),
        "--output",
        str(RUNS / f"{pilot}-{seed}"),
    )
    return recipe.load(ROOT / "recipes" / "gsm8k.toml", [*PILOTS.get(pilot, ()), *flags])


def base(source: str, seed: int) -> dict[str, Any]:
    """The model's own answers in each way."""
    chosen = settings("base", source, seed)
    _stage("data", chosen)
    return {"ways": {way: answers(chosen, None, form_of(way)) for way in WAYS}}


def form_of(way: str) -> PromptForm:
    """How that way asks."""
    system, whole = WAYS[way]
    changed = PRESETS["math"].as_dict() | {"whole_system": system, "whole": whole}
    return PromptForm(**changed)


def run(pilot: str, source: str, seed: int) -> dict[str, Any]:
    """Train, then answer; `cpu_seconds` are the training's, over all cores."""
    chosen = settings(pilot, source, seed)
    _stage("data", chosen)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _stage("train", chosen)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = (chosen.run / "train" / "metrics.jsonl").read_text().splitlines()
    return {
        "flags": PILOTS[pilot],
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "metrics": [{k: _short(v) for k, v in json.loads(line).items()} for line in lines],
        "answers": answers(chosen, chosen.run / "adapter", chosen.prompt.form),
    }


def answers(chosen: Recipe, adapter: Path | None, form: PromptForm) -> dict[str, Any]:
    """By held-out problem: right, right and marked as the answer, and the reply's characters."""
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop.batches import solve_by_policy
    from srl_edge.trainers.open import open_policy

    policy = open_policy(resolve(chosen.model.name), chosen.trainer, chosen.seed)
    if adapter:
        policy.load_adapter(adapter)
    problems = trajectories.load(chosen.run / "data" / "test.jsonl")
    found = {}
    for at in range(0, len(problems), CHUNK):
        for a in solve_by_policy(policy, problems[at : at + CHUNK], ANSWERING, form, 0.0, 0):
            found[a.id] = [a.correct, a.marked, len(a.replies[0]), bool(a.fault)]
    return found


def table() -> str:
    """Each result beside the base of its seed, asked in its best way."""
    bases = {}
    lines = ["| run | seed | solved | less the base's best [95%] | CPU-hours |", "| --- " * 5 + "|"]
    for file in sorted(RESULTS.glob("base-*.json")):
        seed = file.stem.rpartition("-")[2]
        ways = json.loads(file.read_text())["ways"]
        bases[seed] = max(ways.values(), key=lambda way: fmean(row[0] for row in way.values()))
        for way, rows in ways.items():
            lines.append(f"| base, {way} | {seed} | {_share(rows)} | | |")
    for file in sorted(RESULTS.glob("*.json")):
        pilot, _, seed = file.stem.rpartition("-")
        if pilot == "base" or seed not in bases:
            continue
        result = json.loads(file.read_text())
        ids = list(result["answers"])
        before = [float(bases[seed][i][0]) for i in ids]
        change = difference(before, [float(result["answers"][i][0]) for i in ids])
        said = f"{change.mean:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"
        hours = result["cpu_seconds"] / 3600
        lines.append(f"| {pilot} | {seed} | {_share(result['answers'])} | {said} | {hours:.1f} |")
    return "\n".join(lines)


def _share(rows: dict[str, Any]) -> str:
    strict = fmean(row[1] for row in rows.values())
    return f"{fmean(row[0] for row in rows.values()):.1%} ({strict:.1%} marked)"


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _stage(name: str, chosen: Recipe) -> None:
    chosen.run.mkdir(parents=True, exist_ok=True)
    file = chosen.run / "pilot.toml"
    file.write_text(recipe.dumps(chosen))
    subprocess.run([sys.executable, "-m", "srl_edge", name, str(file)], check=True)


if __name__ == "__main__":
    main()
