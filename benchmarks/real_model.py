"""Does a real model get better? Pilots of recipes/gsm8k.toml on Qwen2.5-Coder-0.5B-Instruct.

    python benchmarks/real_model.py pilot RECIPE --source gsm8k/train.jsonl [--data own.jsonl]
    python benchmarks/real_model.py run RECIPE --source gsm8k/train.jsonl [--seeds 0]
    python benchmarks/real_model.py base --source gsm8k/train.jsonl [--seeds 0]
    python benchmarks/real_model.py report

RECIPE is one of benchmarks/pilots, or recipes/gsm8k.toml. `pilot` trains it and keeps the metrics
of its steps and validations in pilots.json, and in validation/ what the base and the adapter that
its last step left answer in their own way; data: of its first stage, as retold.py writes it.
`base` asks the model itself, in each of the ways below, about the problems that a seed holds out;
`run` trains and asks the adapter in the way that it was trained to be asked. Results are
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
from srl_edge.report.statistics import difference, paired

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
ANSWERING = Stage(kind="rlvr", reply="whole", steps=1, max_new_tokens=512)
VALIDATING = Stage(kind="rlvr", reply="whole", steps=1, max_new_tokens=400)
VALIDATION = RESULTS / "validation"
CHUNK = 100  # problems that are answered at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pilot", "run", "base", "report"))
    parser.add_argument("recipe", nargs="?", type=Path, default=ROOT / "recipes" / "gsm8k.toml")
    parser.add_argument("--source", help="GSM8K's train.jsonl")
    parser.add_argument("--data", help="of the first stage")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.command == "report":
        print(table())
        return
    if not options.source:
        parser.error("--source: where GSM8K's train.jsonl is.")
    if options.command == "pilot":
        return pilot(options.recipe, options.source, options.data)
    name = "base" if options.command == "base" else options.recipe.stem
    for seed in options.seeds:
        file = RESULTS / f"{name}-{seed}.json"
        if file.exists():
            continue
        chosen = settings(options.recipe, name, options.source, seed)
        write(file, base(chosen) if name == "base" else run(chosen))
        print(table())


def settings(file: Path, name: str, source: str, seed: int, *flags: str) -> Recipe:
    """The recipe of a run."""
    output = ("--seed", str(seed), "--output", str(RUNS / f"{name}-{seed}"))
    return recipe.load(file, ["--data.source", source, *output, *flags])


def pilot(file: Path, source: str, data: str | None) -> None:
    """Train one, and keep its metrics beside those of the others."""
    flags = ("--stages.0.data", str(Path(data).resolve())) if data else ()
    chosen = settings(file, file.stem, source, 0, *flags)
    _stage("data", chosen)
    _stage("train", chosen)
    kept = RESULTS / "pilots.json"
    what = file.read_text().splitlines()[0].removeprefix("# ")
    write(kept, json.loads(kept.read_text()) | {file.stem: {"what": what} | trained(chosen)})
    validate(file.stem, chosen)


def validate(name: str, chosen: Recipe) -> None:
    """Write what the base, once for all pilots, and the trained adapter answer."""
    VALIDATION.mkdir(exist_ok=True)
    last = chosen.run / "train" / f"checkpoint-{len(chosen.stages) - 1}-"
    (checkpoint,) = last.parent.glob(f"{last.name}*")
    for who, adapter in (("base", None), (name, checkpoint / "adapter")):
        file = VALIDATION / f"{who}.json"
        if not file.exists():
            form = chosen.prompt.form
            write(file, answers(chosen, adapter, form, "validation", VALIDATING))


def write(file: Path, result: dict[str, Any]) -> None:
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps(result) + "\n")
    scratch.rename(file)


def base(chosen: Recipe) -> dict[str, Any]:
    """The model's own answers in each way."""
    _stage("data", chosen)
    return {"ways": {way: answers(chosen, None, form_of(way)) for way in WAYS}}


def form_of(way: str) -> PromptForm:
    """How that way asks."""
    system, whole = WAYS[way]
    changed = PRESETS["math"].as_dict() | {"whole_system": system, "whole": whole}
    return PromptForm(**changed)


def run(chosen: Recipe) -> dict[str, Any]:
    """Train, then answer; `cpu_seconds` are the training's, over all cores."""
    _stage("data", chosen)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _stage("train", chosen)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        **trained(chosen),
        "answers": answers(chosen, chosen.run / "adapter", chosen.prompt.form),
    }


def trained(chosen: Recipe) -> dict[str, Any]:
    """The metrics of each step and validation."""
    lines = (chosen.run / "train" / "metrics.jsonl").read_text().splitlines()
    return {"metrics": [{k: _short(v) for k, v in json.loads(line).items()} for line in lines]}


def answers(
    chosen: Recipe,
    adapter: Path | None,
    form: PromptForm,
    split: str = "test",
    stage: Stage = ANSWERING,
) -> dict[str, Any]:
    """By problem: right, right and marked as the answer, the reply's characters, faulty."""
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop.batches import solve_by_policy
    from srl_edge.trainers.open import open_policy

    policy = open_policy(resolve(chosen.model.name), chosen.trainer, chosen.seed)
    if adapter:
        policy.load_adapter(adapter)
    problems = trajectories.load(chosen.run / "data" / f"{split}.jsonl")
    found = {}
    for at in range(0, len(problems), CHUNK):
        for a in solve_by_policy(policy, problems[at : at + CHUNK], stage, form, 0.0, 0):
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
    return "\n".join(lines + pilots())


def pilots() -> list[str]:
    """Each pilot beside the base, on the validation problems."""
    lines = [
        "",
        "| pilot | solved | won, lost | less the base [95%] | faulty |",
        "| --- " * 5 + "|",
    ]
    base = json.loads((VALIDATION / "base.json").read_text())
    for file in sorted(VALIDATION.glob("*.json")):
        tuned = json.loads(file.read_text())
        before, after = ([rows[i][0] for i in base] for rows in (base, tuned))
        test, change = paired(before, after), difference(before, after)
        faulty = fmean(row[3] for row in tuned.values())
        lines.append(
            f"| {file.stem} | {_share(tuned)} | {test.won}, {test.lost} | {change.mean:+.1%} "
            f"[{change.low:+.1%}, {change.high:+.1%}] | {faulty:.0%} |"
        )
    return lines


def _share(rows: dict[str, Any]) -> str:
    strict = fmean(row[1] for row in rows.values())
    return f"{fmean(row[0] for row in rows.values()):.1%} ({strict:.1%} marked)"


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _stage(name: str, chosen: Recipe) -> None:
    chosen.run.parent.mkdir(parents=True, exist_ok=True)
    file = chosen.run.with_suffix(".toml")  # a run's folder holds its own files alone
    file.write_text(recipe.dumps(chosen))
    subprocess.run([sys.executable, "-m", "srl_edge", name, str(file)], check=True)


if __name__ == "__main__":
    main()
