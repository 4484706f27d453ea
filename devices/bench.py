"""The benchmark of a run: the same held-out problems on every runtime of this computer."""

import json
import os
from pathlib import Path
from typing import Any

from srl_edge import models, progress, trajectories
from srl_edge.devices import local, measure
from srl_edge.devices.live import Board
from srl_edge.devices.measure import Model
from srl_edge.devices.step_similarity import chosen_prompts, step_rows, summarized
from srl_edge.recipe import Recipe

Facts = dict[str, Any]


def bench(recipe: Recipe, run: Path) -> Path:
    """Measure the base model, the tuned model and every artifact; return `run/bench/results.json`.

    Beside it, `samples_<name>.jsonl` holds every attempt at every problem, written as it ends.
    """
    found = local.runnable(run)
    folder = run / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    problems = trajectories.load(run / "data" / "test.jsonl")[: recipe.bench.problems]
    threads = recipe.bench.threads or os.cpu_count() or 1
    settings = recipe.bench.model_copy(update={"threads": threads})
    asked = [
        Model("torch base", "torch", models.resolve(recipe.model.name)),
        Model("torch tuned", "torch", run / "merged"),
        *(Model(artifact.name, "artifact", artifact.path) for artifact in found),
    ]
    prompts = chosen_prompts(problems, settings)
    total = len(asked) * (len(problems) + len(prompts) + settings.repeats + 1)
    board = Board([model.name for model in asked])
    with progress.bar("bench", total, above=board.table) as advance:
        rows = measure.speeds(asked, problems, settings, local, advance, board.show)
        for model, row in zip(asked, rows, strict=True):
            samples: list[Facts] = []
            with (folder / f"samples_{model.name.replace(' ', '-')}.jsonl").open("w") as out:
                for sample in measure.solved(model, problems, settings, local):
                    samples.append(sample)
                    out.write(json.dumps(sample, ensure_ascii=False) + "\n")
                    out.flush()
                    board.show(model.name, solved=measure.so_far(samples))
                    advance(model.name)
            row |= measure.accuracy(samples)
            steps = []
            for step in step_rows(model, prompts, settings, local):
                steps.append(step)
                advance(model.name)
            row["step_similarity"] = summarized(steps)
    results = {"device": measure.machine_of(rows), "rows": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder / "results.json"
