"""What 4 bits cost after training, and what they cost where training rounds as the artifact does.

    python benchmarks/quantization_aware.py run RUN [--quantization 8da4w] [--seeds 0 1 2]
    python benchmarks/quantization_aware.py report

RUN is a run folder with a recipe, data and an adapter (`--start` names another one in it). From
that adapter `run` trains the recipe's last SRL stage twice for each seed, in fp32 and with
`trainer.quantization`. On the same held-out problems it measures fp32 by the trainer's sampler, its
artifact with 4-bit weights fitted to texts, the same merely rounded, and the artifact of rounded
training, each of them by its runtime. Results are files in benchmarks/results/quantization_aware;
what is there is skipped, what was cut off goes on. `report` writes the tables of
docs/lab/quantization.md.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.step_similarity import chosen_prompts, step_rows
from srl_edge.devices.hosts import local
from srl_edge.errors import InputError, StageError
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Recipe
from srl_edge.report.statistics import bootstrap_interval
from srl_edge.terminal import progress

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quantization_aware"
PAGE = ROOT / "docs" / "lab" / "quantization.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
ARTIFACTS = {"8da4w": "executorch-8da4w", "int4-onnx": "onnx-int4"}
CHUNK = 50  # problems or steps at a time
NAMES = {
    "fp32": "fp32",
    "fitted": "4 bits after training, fitted to texts",
    "rounded": "4 bits after training, rounded",
    "aware": "4 bits in the last stage's training",
    "throughout": "4 bits in all of training",
}
MEASURES = {"correct": "problems solved", "similarity": "step similarity"}
Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("report")
    run = commands.add_parser("run")
    run.add_argument("run", type=Path)
    run.add_argument("--quantization", choices=ARTIFACTS, default="8da4w")
    run.add_argument("--start", default="adapter", help="the adapter in RUN that is trained on")
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--throughout", action="store_true", help="also all stages, from no adapter")
    run.add_argument("--steps", type=int, help="optimizer steps; without it, the recipe's")
    run.add_argument("--problems", type=int, default=150)
    run.add_argument("--step-prompts", type=int, default=250)
    run.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.command == "report":
        print(write(RESULTS, PAGE))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        compare(options, seed)


def compare(options: argparse.Namespace, seed: int) -> None:
    """Train, export and measure all of one seed that is not done."""
    kind, work = options.quantization, options.run / "quantization_aware"
    plain, aware = work / f"none-{seed}", work / f"{kind}-{seed}"
    rounded, throughout = work / f"{kind}-rounded-{seed}", work / f"{kind}-throughout-{seed}"
    settings = {
        run: chosen(options, seed, run, trained)
        for run, trained in ((plain, "none"), (aware, kind), (rounded, kind))
    }
    if options.throughout:
        settings[throughout] = chosen(options, seed, throughout, kind, whole=True)
        alone(train, settings[throughout], throughout, options.run, None)
    for run in (plain, aware):
        alone(train, settings[run], run, options.run, options.start)
    as_if_trained(plain / "adapter", rounded / "adapter", kind)
    for run, recipe_ in settings.items():
        alone(export, recipe_, run)
    name = Path("artifacts", ARTIFACTS[kind])
    runs = {"fitted": plain, "rounded": rounded, "aware": aware, "throughout": throughout}
    models = {
        variant: Model(variant, "artifact", run / name)
        for variant, run in runs.items()
        if run in settings
    }
    problems = trajectories.load(options.run / "data" / "test.jsonl")[: options.problems]
    for variant in ("fp32", *models):
        label = None if variant == "fp32" else kind
        file = RESULTS / f"{label or 'none'}-{variant}-{seed}.json"
        if file.is_file():
            continue
        of = {
            "quantization": label,
            "variant": variant,
            "seed": seed,
            "model": settings[plain].model.name,
            "steps": settings[plain].stages[0].steps,
        }
        if variant == "fp32":
            found = alone(sampled, settings[plain], plain, problems)
        else:
            found = measured(models[variant], problems, settings[plain].bench)
        written(file, of | found)


def chosen(
    options: argparse.Namespace, seed: int, run: Path, trained: str, whole: bool = False
) -> Recipe:
    """The recipe of one training: the last SRL stage alone, or the whole of it up to there."""
    source = recipe.load(options.run)
    srl = [at for at, stage in enumerate(source.stages) if stage.kind == "srl"]
    if not srl:
        raise InputError(f"{options.run}/recipe.toml: has no srl stage to train.")
    before, stage = source.stages[: srl[-1]], source.stages[srl[-1]]
    if options.steps:
        stage = stage.model_copy(update={"steps": options.steps, "epochs": None})
    values = source.model_dump(mode="json", exclude_none=True) | {
        "output": str(run),
        "seed": seed,
        "stages": [
            each.model_dump(mode="json", exclude_none=True)
            for each in (*(before if whole else ()), stage)
        ],
    }
    values["trainer"] |= {
        "backend": "torch",
        "dtype": "float32",
        "sampler": "torch",
        "quantization": trained,
        "threads": options.threads,
    }
    values["export"] |= {
        "artifacts": [ARTIFACTS[options.quantization]],
        "adapter": "merged",
        "int8_layers": [],
    }
    values["bench"] |= {
        "threads": options.threads,
        "step_prompts": options.step_prompts,
        "max_new_tokens": stage.max_new_tokens,
        "max_steps": stage.max_steps,
    }
    return Recipe.model_validate(values)


def alone(do: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a process of its own: its gigabytes are free when the next one starts."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(do, *arguments).result()


def train(settings: Recipe, run: Path, source: Path, start: str | None) -> None:
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop import train as stages
    from srl_edge.trainers.open import open_policy

    if (run / "adapter").is_dir():
        return
    shutil.copytree(source / "data", run / "data", dirs_exist_ok=True)
    (run / "recipe.toml").write_text(recipe.dumps(settings))
    policy = open_policy(resolve(settings.model.name), settings.trainer, settings.seed)
    if start:
        policy.load_adapter(source / start)
    stages.train(settings, run, policy)


def as_if_trained(adapter: Path, out: Path, quantization: str) -> None:
    """A copy of an adapter that the export rounds as one that was trained rounded."""
    from srl_edge.models.adapter_folder import FROZEN

    shutil.copytree(adapter, out, dirs_exist_ok=True)
    told = json.loads((adapter / FROZEN).read_text()) | {"quantization": quantization}
    (out / FROZEN).write_text(json.dumps(told) + "\n")


def export(settings: Recipe, run: Path) -> None:
    from srl_edge.exporters import export as stage

    if not (run / "artifacts" / settings.export.artifacts[0] / "manifest.json").is_file():
        stage.export(settings, run)


def sampled(settings: Recipe, run: Path, problems: Sequence[Trajectory]) -> Result:
    """What `measured` returns, of the adapter beside the model, many problems at a time."""
    from srl_edge.method.prompt_form import DEFAULT
    from srl_edge.method.prompts import prompt_ids
    from srl_edge.models.catalog import resolve
    from srl_edge.trainers.loop.batches import solve_by_policy
    from srl_edge.trainers.open import open_policy

    policy = open_policy(resolve(settings.model.name), settings.trainer, settings.seed)
    policy.load_adapter(run / "adapter")
    (stage,) = settings.stages
    correct: dict[str, bool] = {}
    similar: dict[str, list[float]] = {}
    prompts = chosen_prompts(problems, settings.bench)
    with progress.bar("fp32", len(problems) + len(prompts)) as advance:
        for at in range(0, len(problems), CHUNK):
            for attempt in solve_by_policy(
                policy, problems[at : at + CHUNK], stage, DEFAULT, 0.0, 0
            ):
                correct[attempt.id] = attempt.correct
                advance("problems")
        for at in range(0, len(prompts), CHUNK):
            ids = [prompt_ids(policy.tokenizer, prompt) for prompt in prompts[at : at + CHUNK]]
            groups = policy.sample(ids, 1, stage.max_new_tokens, 0.0, 0)
            for prompt, (reply,) in zip(prompts[at : at + CHUNK], groups, strict=True):
                reward = step_reward(reply, prompt, {"characters": 1.0})
                parts = similar.setdefault(prompt.trajectory_id, [])
                parts.append(reward.parts.get("similarity", 0.0))
                advance("steps")
    return {"correct": correct, "similarity": {i: fmean(x) for i, x in similar.items()}}


def measured(model: Model, problems: Sequence[Trajectory], settings: recipe.Bench) -> Result:
    """Greedy answers by problem, and each problem's mean similarity of greedy steps."""
    correct: dict[str, float] = {}
    similar: dict[str, list[float]] = {}
    prompts = chosen_prompts(problems, settings)
    with (
        progress.bar(model.name, len(problems) + len(prompts)) as advance,
        Connection(local, settings.threads) as connection,
    ):
        samples = chain.from_iterable(measure.solved(model, problems, settings, connection))
        for problem, sample in zip(problems, samples, strict=True):
            not_lost(model, sample.lost)
            correct[problem.id] = sample.correct
            advance("problems")
        for row in step_rows(model, prompts, settings, connection):
            not_lost(model, row["lost"])
            similar.setdefault(row["id"], []).append(row["similarity"])
            advance("steps")
    return {"correct": correct, "similarity": {i: fmean(x) for i, x in similar.items()}}


def not_lost(model: Model, lost: str) -> None:
    if lost:
        raise StageError(f"{model.path}: {lost}")


def written(path: Path, result: Result) -> None:
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(result) + "\n")
    scratch.rename(path)


def write(folder: Path, page: Path) -> Path:
    """Put the tables of what is in `folder` between the marks of a page; returns it."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise InputError(f"{folder}: no results; measure with `run` first.")
    kinds = [kind for kind in ARTIFACTS if any(r["quantization"] == kind for r in results)]
    lines = [line for kind in kinds for line in table(results, kind)]
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join((before + BEGIN, *lines, END)) + after, encoding="utf-8")
    return page


def table(results: Sequence[Result], kind: str) -> list[str]:
    """Markdown of one artifact; models without a result are left out, seeds that one lacks too."""
    every = {
        variant: {
            r["seed"]: r
            for r in results
            if r["variant"] == variant and r["quantization"] in (None, kind)
        }
        for variant in NAMES
    }
    by_variant = {variant: found for variant, found in every.items() if found}
    seeds = sorted(set.intersection(*(set(found) for found in by_variant.values())))
    if not seeds:
        return []
    heads = [x for title in MEASURES.values() for x in (title, "over fp32")]
    lines = ["", f"| {ARTIFACTS[kind]} | {' | '.join(heads)} |", "| --- " * 5 + "|"]
    means = {
        variant: {key: by_problem([runs[seed][key] for seed in seeds]) for key in MEASURES}
        for variant, runs in by_variant.items()
    }
    for variant in by_variant:
        cells = []
        for key in MEASURES:
            now, floats = means[variant][key], means["fp32"][key]
            cells.append(interval([*now.values()]))
            gains = [now[i] - floats[i] for i in now]
            cells.append("" if variant == "fp32" else interval(gains, signed=True))
        lines.append(f"| {NAMES[variant]} | {' | '.join(cells)} |")
    for variant in ("aware", "throughout"):
        for key, title in MEASURES.items() if variant in means else ():
            aware, fitted = means[variant][key], means["fitted"][key]
            gain = interval([aware[i] - fitted[i] for i in aware], signed=True)
            said = (
                f"{title.capitalize()}, {NAMES[variant]} over fitted after it, by problem: {gain}."
            )
            lines += ["", said]
    count = len(means["fp32"]["correct"])
    return [*lines, "", f"{count} problems, seeds {', '.join(map(str, seeds))}."]


def by_problem(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each problem's mean over seeds."""
    return {i: fmean(float(row[i]) for row in rows) for i in rows[0]}


def interval(values: Sequence[float], signed: bool = False) -> str:
    """Mean and 95% bootstrap interval over problems of values in [0, 1], or signed in [-1, 1]."""
    low, high = bootstrap_interval([(x + 1) / 2 for x in values] if signed else values)
    if signed:
        low, high = 2 * low - 1, 2 * high - 1
    sign = "+" if signed else ""
    return f"{fmean(values):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


if __name__ == "__main__":
    main()
