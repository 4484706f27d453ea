"""The benchmark of a run: base, tuned model and artifacts at its held-out problems."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from srl_edge import processes
from srl_edge.data import trajectories
from srl_edge.devices.bench.benchmark import Task, begin_or_go_on, benchmark
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.step_similarity import chosen_prompts
from srl_edge.devices.hosts import local
from srl_edge.devices.runtimes.chat import Asked
from srl_edge.recipe import Recipe
from srl_edge.report import results, rows
from srl_edge.report.rows import AFTER, BASE, HELD_OUT, IN_OWN_WAY, OWN_WAY, TUNED, Gain
from srl_edge.report.statistics import difference, paired
from srl_edge.run_folder import base_of, inputs_of


def bench(recipe: Recipe, run: Path) -> Path:
    """Measure the base model, the tuned model and every artifact; return `run/bench/results.json`.

    What each stage but the last had learned is asked as well, so that what a stage adds can be
    seen. Base and tuned also answer in the model's own way, so that what training cost can be seen.
    One that was cut off goes on; see `results` for what is beside.
    """
    found, folder = local.runnable(run, recipe.export.artifacts), run / "bench"
    settings = recipe.benchmark
    settings = settings.model_copy(update={"threads": settings.threads or processes.cores()})
    problems = trajectories.load(run / "data" / "test.jsonl")[: settings.problems]
    trained = Asked(recipe.prompt.form, recipe.whole)
    own = Asked(recipe.prompt.own_form, whole=True)
    prompts = [] if recipe.whole else chosen_prompts(problems, settings, trained.form)
    tasks = [Task(HELD_OUT, problems, trained, prompts=prompts)]
    # Where the run asks as the model is asked in its own way, once is enough.
    once = trained.whole and trained.form.answers_like(own.form)
    if not once and (few := problems[: settings.own_way_problems]):
        tasks.append(Task(OWN_WAY, few, own, settings.own_way_tokens, kinds=("torch",)))
    base = base_of(recipe)
    stages = {name: folder for name, folder in after_stages(recipe, run).items() if folder.is_dir()}
    models = [
        Model(BASE, "torch", base, answers_only=True),
        *(
            Model(name, "adapter", path, tokenizer=base, answers_only=True)
            for name, path in stages.items()
        ),
        Model(TUNED, "torch", run / "merged"),
        *(Model(artifact.name, "artifact", artifact.path, artifact.format) for artifact in found),
    ]
    asked = {"models": {model.name: model.contents for model in models}}
    date = begin_or_go_on(folder, inputs_of(recipe, "bench") | asked)
    measured = benchmark(models, tasks, settings, local, folder, date)
    scores = {
        (name, task.name): [
            row["exact_match"] for row in results.read_samples(folder, name, task.name, date)
        ]
        for name in (model.name for model in models)
        for task in tasks
        if name in (BASE, TUNED) or task.name == HELD_OUT
    }
    found_gain = gain(scores, list(stages), [artifact.name for artifact in found])
    results.write(folder, replace(measured, gain=found_gain))
    return folder / rows.FILE


def after_stages(recipe: Recipe, run: Path) -> dict[str, Path]:
    """The adapters that the stages before the last one handed on, by the names of their rows."""
    kinds = [stage.kind for stage in recipe.stages[:-1]]
    return {
        f"{AFTER}{kind}{f' {at + 1}' if kinds.count(kind) > 1 else ''}": run
        / "train"
        / f"stage-{at}-{kind}"
        for at, kind in enumerate(kinds)
    }


def gain(
    scores: dict[tuple[str, str], list[float]],
    stages: Sequence[str] = (),
    shipped: Sequence[str] = (),
) -> dict[str, Gain]:
    """What training brought, problem by problem: tuned less the base, asked in its best way.

    scores: by model and task, in the order of the problems. best: the tuned model as it was trained
    to be asked. own_way: both in the model's own way. last_stage: tuned less what the stage before
    the last had learned, of `stages`. By the name of each artifact that is `shipped`: less tuned.
    """
    ways = {task: scores[BASE, task] for task in (HELD_OUT, OWN_WAY) if (BASE, task) in scores}
    count = min(map(len, ways.values()))
    best = max(ways, key=lambda task: fmean(ways[task][:count]))
    asked = IN_OWN_WAY if best == OWN_WAY else "as the run asks"
    found = {"best": _paired(ways[best], scores[TUNED, HELD_OUT], asked)}
    if OWN_WAY in ways:
        found["own_way"] = _paired(ways[OWN_WAY], scores[TUNED, OWN_WAY])
    if stages:
        found["last_stage"] = _paired(
            scores[stages[-1], HELD_OUT], scores[TUNED, HELD_OUT], stages[-1]
        )
    for name in shipped:
        found[name] = _paired(scores[TUNED, HELD_OUT], scores[name, HELD_OUT], TUNED)
    return found


def _paired(base: Sequence[float], tuned: Sequence[float], asked: str = "") -> Gain:
    count = min(len(base), len(tuned))
    before, after = base[:count], tuned[:count]
    counts = paired(before, after)
    return Gain(
        base=fmean(before),
        tuned=fmean(after),
        problems=count,
        lost=counts.lost,
        won=counts.won,
        sign_test=counts.sign_test,
        difference=difference(before, after),
        base_asked=asked,
    )
