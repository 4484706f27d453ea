"""What a benchmark found, as the parts of a page: speeds, and the answers at each task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from srl_edge.report import plots, tables
from srl_edge.report.layout import render
from srl_edge.report.results import read_samples
from srl_edge.report.rows import BenchResults

MOST = 60  # problems of a task whose answers are shown
MOST_KINDS = 20  # of problems


def speed(results: BenchResults, task: str, verdicts: Sequence[str] = ()) -> Markup:
    """Size, speed and memory of all models, their marks as large as they are good at a task."""
    models = plots.models(results, task)
    figure = Markup()
    if models:
        unbeaten = ", ".join(best(results, task))
        said = (
            f"Up is faster, left is smaller. Area: share of {task} solved. Nothing here is "
            f"smaller, faster and better at once than {unbeaten}."
        )
        figure = plots.figure(said, plots.size_and_speed, models, wide=980)
    lost = [f"{row.name}: {row.unmeasured}" for row in results.rows if row.unmeasured]
    return render(
        "bench.html",
        verdicts=verdicts,
        size_and_speed=figure,
        speeds=tables.speeds(results),
        unmeasured=lost,
        told=tables.told(results),
    )


def task(folder: Path, results: BenchResults, name: str, heading: str = "") -> Markup:
    """How all models did at a task, and their answers side by side."""
    problems, differing = _side_by_side(folder, results, name)
    answers = tables.answers(results, name)
    said = f"The same {answers[0]['problems']} problems for all, with 95% intervals."
    models = plots.models(results, name, timed=False)
    return render(
        "task.html",
        heading=heading,
        answers=answers,
        problems=problems[:MOST],
        kinds=by_kind(folder, results, name),
        intervals=plots.figure(said, plots.intervals, models, wide=980),
        differing=differing,
        count=len(problems),
        notes=tables.cut_off(results, name) + tables.batching(results, name),
    )


def by_kind(folder: Path, results: BenchResults, task: str) -> list[dict[str, str]]:
    """How many problems of each kind every model solved, where their ids say kinds: `kind/7`."""
    solved: dict[str, dict[str, list[float]]] = {}
    for row in results.rows:
        for sample in read_samples(folder, row.name, task, results.date):
            kind, slash, _ = str(sample["doc"]["id"]).partition("/")
            if slash:
                of_kind = solved.setdefault(kind, {})
                of_kind.setdefault(row.name, []).append(sample["exact_match"])
    if not 1 < len(solved) <= MOST_KINDS:
        return []
    return [
        {"kind": kind}
        | {name: f"{sum(each):.0f} of {len(each)}" for name, each in solved[kind].items()}
        for kind in sorted(solved)
    ]


def best(results: BenchResults, task: str) -> list[str]:
    """Names of the models that no other beats in size, decoding speed and accuracy at once."""
    figures = {
        row.name: (-row.size_mb, row.decode_tokens_per_second.p50, row.tasks[task].accuracy)
        for row in results.rows
        if row.decode_tokens_per_second and task in row.tasks
    }
    return [
        name
        for name, mine in figures.items()
        if not any(
            theirs != mine and all(b >= a for a, b in zip(mine, theirs, strict=True))
            for theirs in figures.values()
        )
    ]


def _side_by_side(
    folder: Path, results: BenchResults, task: str
) -> tuple[list[dict[str, Any]], int]:
    """Problems with the answers of all models, those first where they differ, and how many do."""
    samples: dict[int, dict[str, dict[str, Any]]] = {}
    for row in results.rows:
        for sample in read_samples(folder, row.name, task, results.date):
            samples.setdefault(sample["doc_id"], {})[row.name] = sample
    differing = {
        number: len({sample["exact_match"] for sample in by_model.values()}) > 1
        for number, by_model in samples.items()
    }
    order = sorted(samples, key=lambda number: (not differing[number], number))
    return [_problem(samples[number]) for number in order], sum(differing.values())


def _problem(by_model: dict[str, dict[str, Any]]) -> dict[str, Any]:
    doc = next(iter(by_model.values()))["doc"]
    marks = ", ".join(
        f"{name} lost" if s["lost"] else f"{name} {s['exact_match']:.0%}"
        for name, s in by_model.items()
    )
    replies = [
        (
            name,
            ", ".join(s["filtered_resps"]) or s["lost"],
            _reply(s),
        )
        for name, s in by_model.items()
    ]
    return {"problem": doc["problem"], "answer": doc["answer"], "marks": marks, "replies": replies}


def _reply(sample: dict[str, Any]) -> str:
    """The first attempt's replies; of actions in a world, each with what came of it."""
    came = (sample.get("observations") or [[]])[0]
    if not came:
        return sample["resps"][0][0] if sample["resps"][0] else ""
    steps = sample["steps"][0]
    pairs = zip(steps, [*came, *[""] * (len(steps) - len(came))], strict=True)
    return "\n".join(f"> {step}\n{observed}".rstrip() for step, observed in pairs)
