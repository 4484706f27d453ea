"""The benchmark of a run: the same held-out problems on every runtime of this computer."""

import json
import os
from pathlib import Path

from srl_edge import models, progress, trajectories
from srl_edge.devices import local, measure
from srl_edge.devices.measure import Model
from srl_edge.recipe import Recipe


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
    total = len(asked) * (len(problems) + settings.repeats + 1)
    with progress.bar("bench", total) as advance:
        rows = measure.speeds(asked, problems, settings, local, advance)
        for model, row in zip(asked, rows, strict=True):
            samples = []
            with (folder / f"samples_{model.name.replace(' ', '-')}.jsonl").open("w") as out:
                for sample in measure.solved(model, problems, settings, local):
                    samples.append(sample)
                    out.write(json.dumps(sample, ensure_ascii=False) + "\n")
                    out.flush()
                    advance(model.name)
            row |= measure.accuracy(samples)
    results = {"device": rows[0]["machine"], "rows": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder / "results.json"
