"""The benchmark of a run: the same held-out problems on every runtime of this computer."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge.data import trajectories
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.live import Board
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.step_similarity import chosen_prompts, step_rows, summarized
from srl_edge.devices.hosts import local
from srl_edge.devices.runtimes.chat import Asked
from srl_edge.method.types import Trajectory
from srl_edge.models.catalog import resolve
from srl_edge.recipe import Bench, Recipe
from srl_edge.report.statistics import difference, paired
from srl_edge.terminal import progress

Facts = dict[str, Any]


def bench(recipe: Recipe, run: Path) -> Path:
    """Measure the base model, the tuned model and every artifact; return `run/bench/results.json`.

    Base and tuned also answer in the model's own way, so that what training cost can be seen.
    Beside it, `samples_<name>.jsonl` holds every attempt at every problem, written as it ends, and
    `samples_<name>_own-way.jsonl` those in its own way.
    """
    found = local.runnable(run)
    folder = run / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    problems = trajectories.load(run / "data" / "test.jsonl")[: recipe.bench.problems]
    threads = recipe.bench.threads or os.cpu_count() or 1
    settings = recipe.bench.model_copy(update={"threads": threads})
    trained = Asked(recipe.prompt.form, recipe.whole)
    own = Asked(recipe.prompt.own_form, whole=True)
    asked = [
        Model("torch base", "torch", resolve(recipe.model.name), trained),
        Model("torch tuned", "torch", run / "merged", trained),
        *(Model(artifact.name, "artifact", artifact.path, trained) for artifact in found),
    ]
    prompts = [] if recipe.whole else chosen_prompts(problems, settings, trained.form)
    # Where the run asks as the model is asked in its own way, once is enough.
    once = trained.whole and trained.form.answers_like(own.form)
    in_own_way = [] if once else problems[: recipe.bench.own_way_problems]
    total = len(asked) * (len(problems) + len(prompts) + settings.repeats + 1)
    total += 2 * len(in_own_way)
    board = Board([model.name for model in asked])
    with progress.bar("bench", total, above=board.table) as advance:
        rows = measure.speeds(asked, problems, settings, local, advance, board.show)
        solved: dict[str, list[Facts]] = {}
        for model, row in zip(asked, rows, strict=True):
            name = f"samples_{model.name.replace(' ', '-')}"
            each = _noted(folder / f"{name}.jsonl", model, problems, settings)
            samples = list(_shown(each, board, advance, model.name, "solved"))
            row |= measure.accuracy(samples)
            solved[model.name] = samples
            if in_own_way and model.kind == "torch":
                long = settings.model_copy(update={"max_new_tokens": settings.own_way_tokens})
                asked_own = model._replace(asked=own)
                each = _noted(folder / f"{name}_own-way.jsonl", asked_own, in_own_way, long)
                samples = list(_shown(each, board, advance, model.name, "own way"))
                row["own_way"] = measure.own_way(samples)
                solved[f"{model.name}, own way"] = samples
            steps = []
            for step in step_rows(model, prompts, settings, local):
                steps.append(step)
                advance(model.name)
            row["step_similarity"] = summarized(steps)
    results = {
        "device": measure.machine_of(rows), "rows": rows, "gain": _gain(solved),
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder / "results.json"


def _gain(solved: dict[str, list[Facts]]) -> dict[str, Facts]:
    """What training brought, problem by problem: tuned less the base, asked in its best way.

    best: the tuned model as it was trained to be asked. own_way: both in the model's own way.
    """
    ways = [solved[name] for name in ("torch base", "torch base, own way") if name in solved]
    count = min(map(len, ways))
    best = max(ways, key=lambda samples: measure.accuracy(samples[:count])["accuracy"])
    found = {"best": _paired(best, solved["torch tuned"])}
    found["best"]["base_asked"] = "in its own way" if best is not ways[0] else "as the run asks"
    if len(ways) > 1:
        found["own_way"] = _paired(ways[1], solved["torch tuned, own way"])
    return found


def _paired(base: Sequence[Facts], tuned: Sequence[Facts]) -> Facts:
    count = min(len(base), len(tuned))
    before, after = ([float(s["correct"]) for s in samples[:count]] for samples in (base, tuned))
    return {"base": fmean(before), "tuned": fmean(after), **paired(before, after),
            "difference": difference(before, after)}  # fmt: skip


def _shown(
    samples: Iterable[Facts], board: Board, advance: progress.Advance, name: str, column: str
) -> Iterator[Facts]:
    """Samples as they end, counted on the board."""
    found: list[Facts] = []
    for sample in samples:
        found.append(sample)
        board.show(name, **{column: measure.so_far(found)})
        advance(name)
        yield sample


def _noted(
    file: Path, model: Model, problems: Sequence[Trajectory], settings: Bench
) -> Iterator[Facts]:
    """A model's samples as they end, each written down first."""
    with file.open("w", encoding="utf-8") as out:
        for sample in measure.solved(model, problems, settings, local):
            out.write(json.dumps(sample, ensure_ascii=False) + "\n")
            out.flush()
            yield sample
