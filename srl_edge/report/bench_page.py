"""The report of a benchmark of artifacts, one offline page made from what is on disk."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from srl_edge import __version__
from srl_edge.files import read_json, read_json_if_there, replace
from srl_edge.report import plots
from srl_edge.report.layout import Table, document, table
from srl_edge.report.results import ABSENT, answer_cells, samples_file, shown
from srl_edge.report.run_page import speed_cells

Facts = dict[str, Any]

MOST = 60  # problems of a task whose answers are shown
DEFINITIONS = {
    "Solved": "Share of attempts whose answer math-verify finds equal to the expected one, units "
    "left out; with a bootstrap interval of 95% over problems. Problems that were lost with a "
    "runner count as unsolved.",
    "Time to first token, prefill": "A prompt of which nothing is known yet is read, and the next "
    "token chosen; the prompt's tokens divided by that time.",
    "Decode": "Tokens after it, one at a time, divided by their time. Speeds are mean ± standard "
    "deviation over repeats after one warm-up, all models in turns.",
    "Energy": "All that the machine used meanwhile, whatever else it did, as RAPL, powermetrics or "
    "Android's BatteryManager tell. A token's share holds the reading of the prompt.",
    "Step similarity": "difflib's ratio of the greedy next step to the expert's, over characters; "
    "0 where the format is broken.",
    "Peak memory": "Highest resident memory of the runner's process, loading included.",
}


def write_page(out: Path) -> Path:
    """Write `out/report.html` from the results, samples and soak of a benchmark; return it."""
    results = read_json(out / "results.json")
    soak: dict[str, list[Facts]] = read_json_if_there(out / "soak.json") or {}
    rows: list[Facts] = results["rows"]
    device = results["device"]
    tasks = list(rows[0]["tasks"])
    parts = [("speed", "Size, speed and memory", _speed(rows, tasks))]
    parts += [(f"task-{at}", escape(task), _task(out, results, task)) for at, task in
              enumerate(tasks)]  # fmt: skip
    if soak:
        parts.append(("soak", "Over time", _soak(soak)))
    parts.append(("method", "How it was measured", _method(results)))
    summary = (
        f"{len(rows)} artifact{'s' * (len(rows) != 1)} on {device['processor']}, "
        f"threads: {device['threads']}, {results['date'].replace('T', ' ')}."
    )
    kind = f"srl-edge {__version__}: benchmark of artifacts"
    page = document(kind, ", ".join(tasks), summary, _numbers(rows, tasks[0]), parts)
    replace(out / "report.html", page)
    return out / "report.html"


def best(rows: Sequence[Facts], task: str) -> list[str]:
    """Names of the models that no other beats in size, decoding speed and accuracy at once."""
    figures = {
        row["name"]: (
            -row["size_mb"], row["decode_tokens_per_second"]["p50"],
            row["tasks"][task]["accuracy"],
        )
        for row in rows
        if row["decode_tokens_per_second"]
    }  # fmt: skip
    return [
        name
        for name, mine in figures.items()
        if not any(
            theirs != mine and all(b >= a for a, b in zip(mine, theirs, strict=True))
            for theirs in figures.values()
        )
    ]


def _numbers(rows: Sequence[Facts], task: str) -> list[list[str]]:
    most = max(rows, key=lambda row: float(row["tasks"][task]["accuracy"]))
    least = min(rows, key=lambda row: float(row["size_mb"]))
    numbers = [
        [f"{most['tasks'][task]['accuracy']:.0%}", f"of {task} solved by {most['name']}, the most"],
        [f"{least['size_mb']:.0f} MB", f"{least['name']}, the smallest"],
    ]
    timed = [row for row in rows if row["decode_tokens_per_second"]]
    if timed:
        fastest = max(timed, key=lambda row: float(row["decode_tokens_per_second"]["p50"]))
        rate = fastest["decode_tokens_per_second"]["p50"]
        numbers.append([f"{rate:.0f}", f"tokens a second by {fastest['name']}, the fastest"])
    return numbers


def _speed(rows: Sequence[Facts], tasks: Sequence[str]) -> str:
    html = ""
    timed = [row for row in rows if row["decode_tokens_per_second"]]
    for task in tasks if timed else []:
        models = [plots.Model.of(row | row["tasks"][task]) for row in timed]
        said = (
            f"Up is faster, left is smaller. Area: share of {task} solved. None of the others is "
            f"smaller, faster and better at once than {', '.join(best(rows, task))}."
        )
        html += plots.figure(said, plots.size_and_speed, models, wide=980)
    cells: Table = [
        {
            "model": row["name"],
            **speed_cells(row),
            "load, s": shown(row["load_seconds"], ".2f"),
            "joules a token": shown(row["joules_per_token"], ".3f"),
        }
        for row in rows
    ]
    lost = "".join(
        f"<p>{escape(row['name'])}: {escape(row['unmeasured'])}</p>"
        for row in rows
        if row["unmeasured"]
    )
    return html + table(cells) + lost


def _task(out: Path, results: Facts, task: str) -> str:
    rows = results["rows"]
    models = [
        plots.Model.of({"decode_tokens_per_second": {"mean": 0.0}} | row["tasks"][task] | {
            "name": row["name"], "size_mb": row["size_mb"]
        })
        for row in rows
    ]  # fmt: skip
    said = f"The same {rows[0]['tasks'][task]['problems']} problems for all, with 95% intervals."
    html = plots.figure(said, plots.intervals, models, wide=980)
    heads = ("problems", "solved [95% interval]", "seconds a problem", "joules a correct answer",
             "step similarity, of steps", "lost")  # fmt: skip
    cells: Table = [
        {"model": row["name"], **dict(zip(heads, answer_cells(row["tasks"][task]), strict=True))}
        for row in rows
    ]
    return html + table(cells) + _answers(out, results, task)


def _answers(out: Path, results: Facts, task: str) -> str:
    """Problems with the answers of all models side by side, those first where they differ."""
    samples: dict[int, dict[str, Facts]] = {}
    for row in results["rows"]:
        file = samples_file(out, row["name"], task, results["date"])
        for sample in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            samples.setdefault(sample["doc_id"], {})[row["name"]] = sample
    differing = {
        number: len({sample["exact_match"] for sample in by_model.values()}) > 1
        for number, by_model in samples.items()
    }
    order = sorted(samples, key=lambda number: (not differing[number], number))
    html = (
        f"<h3>Answers side by side</h3><p>{sum(differing.values())} of {len(samples)} problems are "
        f"solved by some models and not by others; they come first. {min(MOST, len(order))} are "
        "shown.</p>"
    )
    return html + "".join(_answer(samples[number]) for number in order[:MOST])


def _answer(by_model: dict[str, Facts]) -> str:
    doc = next(iter(by_model.values()))["doc"]
    marks = ", ".join(
        f"{name} lost" if s["lost"] else f"{name} {s['exact_match']:.0%}"
        for name, s in by_model.items()
    )
    columns = "".join(
        f'<div><p class="who">{escape(name)}: {escape(", ".join(s["filtered_resps"]) or s["lost"])}'
        f'</p><p class="step">{escape(s["resps"][0][0] if s["resps"][0] else "")}</p></div>'
        for name, s in by_model.items()
    )
    return (
        f"<details><summary>{escape(doc['problem'][:110])} ({escape(marks)})</summary>"
        f"<p>{escape(doc['problem'])}</p><p>Expected: {escape(str(doc['answer']))}</p>"
        f'<div class="pair">{columns}</div></details>'
    )


def _soak(soak: dict[str, list[Facts]]) -> str:
    def figure(key: str, label: str) -> str:
        lines = [
            plots.Series(name, drawn, 1 + at % 3)
            for at, (name, points) in enumerate(soak.items())
            if (drawn := [(p["minutes"], p[key]) for p in points if p[key] is not None])
        ]
        if not lines:
            return f"<p>{label}: {ABSENT}; the device does not tell.</p>"
        said = f"{label} while each model decodes without a pause, one after the other."
        return plots.figure(said, plots.curves, lines, "minutes", label, wide=980)

    return figure("tokens_per_second", "Tokens a second") + figure("celsius", "Degrees Celsius")


def _method(results: Facts) -> str:
    device = results["device"]
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    where = (
        f"{device['processor']}, {device['cores']} cores, threads: {device['threads']}; "
        f"{device['system']}; {tools}."
    )
    terms = DEFINITIONS | {"Device": where}
    listed = "".join(f"<dt>{term}</dt><dd>{escape(said)}</dd>" for term, said in terms.items())
    settings = json.dumps(results["settings"], indent=1)
    states = json.dumps({row["name"]: row["state"] for row in results["rows"]}, indent=1)
    return (
        f'<dl class="terms">{listed}</dl><details><summary>Settings</summary>'
        f"<pre>{escape(settings)}</pre></details><details><summary>State of the device before and "
        f"after</summary><pre>{escape(states)}</pre></details>"
    )
