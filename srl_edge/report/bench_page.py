"""The report of a benchmark of artifacts, one offline page made from what is on disk."""

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from srl_edge import __version__, owned
from srl_edge.files import read_json_if_there
from srl_edge.report import bench_part, definitions, plots, rows
from srl_edge.report.layout import Part, document, render
from srl_edge.report.rows import BenchResults
from srl_edge.report.text import ABSENT, megabytes


def write_page(out: Path) -> Path:
    """Write `out/report.html` from the results, samples and soak of a benchmark; return it."""
    results = rows.read(out)
    soak = read_json_if_there(out / "soak.json", "Soak") or {}
    main = results.tasks[0]
    parts = [Part("speed", "Size, speed and memory", bench_part.speed(results, main))]
    parts += [
        Part(f"task-{at}", task, bench_part.task(out, results, task))
        for at, task in enumerate(results.tasks)
    ]
    if soak:
        parts.append(Part("soak", "Over time", _soak(soak)))
    parts.append(Part("method", "How it was measured", _method(results)))
    count = len(results.rows)
    summary = (
        f"{count} artifact{'s' * (count != 1)} on {results.device['processor']}, "
        f"threads: {results.device['threads']}, {results.date.replace('T', ' ')}."
    )
    kind = f"srl-edge {__version__}: benchmark of artifacts"
    page = document(kind, ", ".join(results.tasks), summary, _numbers(results, main), parts)
    owned.write(out / "report.html", page)
    return out / "report.html"


def _numbers(results: BenchResults, task: str) -> list[list[str]]:
    most = max(results.rows, key=lambda row: row.tasks[task].accuracy)
    least = min(results.rows, key=lambda row: row.size_mb)
    numbers = [
        [f"{most.tasks[task].accuracy:.0%}", f"of {task} solved by {most.name}, the most"],
        [f"{megabytes(least.size_mb)} MB", f"{least.name}, the smallest"],
    ]
    rates = {
        r.name: r.decode_tokens_per_second.p50 for r in results.rows if r.decode_tokens_per_second
    }
    if rates:
        fastest = max(rates, key=lambda name: rates[name])
        numbers.append([f"{rates[fastest]:.0f}", f"tokens a second by {fastest}, the fastest"])
    return numbers


def _soak(soak: dict[str, list[dict[str, Any]]]) -> Markup:
    def figure(key: str, label: str) -> Markup:
        lines = [
            plots.Series(name, drawn, 1 + at % 3)
            for at, (name, points) in enumerate(soak.items())
            if (drawn := [(p["minutes"], p[key]) for p in points if p[key] is not None])
        ]
        if not lines:
            return Markup("<p>{}: {}; the device does not tell.</p>").format(label, ABSENT)
        said = f"{label} while each model decodes without a pause, one after the other."
        return plots.figure(said, plots.curves, lines, "minutes", label, wide=980)

    return figure("tokens_per_second", "Tokens a second") + figure("celsius", "Degrees Celsius")


def _method(results: BenchResults) -> Markup:
    states = {row.name: row.state for row in results.rows}
    listed = {
        "Settings": json.dumps(results.settings, indent=1),
        "State of the device before and after": json.dumps(states, indent=1),
    }
    terms = definitions.of_bench(results)
    return render("method.html", definitions=terms, commands={}, listed=listed)
