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


def speed(results: BenchResults, task: str, verdicts: Sequence[str] = ()) -> Markup:
    """Size, speed and memory of all models, their marks as large as they are good at a task."""
    models = plots.models(results, task)
    figure = Markup()
    if models:
        unbeaten = ", ".join(best(results, task))
        said = (
            f"Up is faster, left is smaller. Area: share of {task} solved. None of the others is "
            f"smaller, faster and better at once than {unbeaten}."
        )
        figure = plots.figure(said, plots.size_and_speed, models, wide=980)
    lost = [f"{row.name}: {row.unmeasured}" for row in results.rows if row.unmeasured]
    return render(
        "bench.html", verdicts=verdicts, size_and_speed=figure, speeds=tables.speeds(results),
        unmeasured=lost, told=tables.told(results),
    )  # fmt: skip


def task(folder: Path, results: BenchResults, name: str, heading: str = "") -> Markup:
    """How all models did at a task, and their answers side by side."""
    problems, differing = _side_by_side(folder, results, name)
    answers = tables.answers(results, name)
    said = f"The same {answers[0]['problems']} problems for all, with 95% intervals."
    models = plots.models(results, name, timed=False)
    return render(
        "task.html", heading=heading, answers=answers, problems=problems[:MOST],
        intervals=plots.figure(said, plots.intervals, models, wide=980),
        differing=differing, count=len(problems), batching=tables.batching(results, name),
    )  # fmt: skip


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
            s["resps"][0][0] if s["resps"][0] else "",
        )
        for name, s in by_model.items()
    ]
    return {"problem": doc["problem"], "answer": doc["answer"], "marks": marks, "replies": replies}
