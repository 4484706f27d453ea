"""What is known of runs as pages; every text of a model or a data set is escaped."""

import shlex
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from srl_edge import __version__
from srl_edge.files import read_text
from srl_edge.report import layout, plots
from srl_edge.report.training_rows import placed
from srl_edge.terminal.rollouts import choose
from srl_edge.watch import charts, comparison, rollouts_page
from srl_edge.watch.comparison import Side
from srl_edge.watch.run import Run, StageProgress, State
from srl_edge.watch.templates import FOLDER, render

GROUPS = 3  # of the newest step, whose best and worst rollouts are shown
PASSING = 5  # seconds after which times on the page are said anew
_LETTERS = "AB"


def style() -> str:
    """The style sheet of all pages: the reports' own, and what these add."""
    return "\n".join(
        [read_text(layout.TEMPLATES / "style.css"), plots.CSS, read_text(FOLDER / "watch.css")]
    )


def names(runs: Sequence[Run]) -> list[str]:
    """What runs are called: their folders' names, with those above where these are equal."""
    folders = [run.folder.absolute() for run in runs]
    depth = 1
    while len({f.parts[-depth:] for f in folders}) < len({*folders}):
        depth += 1
    called = ["/".join(f.parts[-depth:]) or str(f) for f in folders]
    return called if len({*called}) == len(called) else [called[0], f"{called[0]}, again"]


def shell(runs: Sequence[Run], here: str, body: Markup) -> str:
    """A whole page around a body; here: its own address among the pages'."""
    called = names(runs)
    many = len(runs) > 1
    pages = [("Training" if not many else "Both runs", "/")]
    pages += [
        (f"Rollouts of {name}" if many else "Rollouts", f"/rollouts?run={at}")
        for at, name in enumerate(called)
    ]
    return render(
        "shell.html",
        title=" and ".join(called),
        version=__version__,
        body=body,
        kind="two runs compared" if many else "a run",
        pages=[(name, link, link == here) for name, link in pages],
    )


def parts(runs: Sequence[Run], states: Sequence[State]) -> list[tuple[str, Markup]]:
    """What takes a while to draw, and changes with the runs' editions: curves, tables of two."""
    labels = short(names(runs)) if len(runs) > 1 else [""]
    curves = [charts.Curves(label, placed(s.rows)) for label, s in zip(labels, states, strict=True)]
    return [*figures(curves), *(beside(sides(runs, states)) if len(runs) > 1 else ())]


def live(
    runs: Sequence[Run], states: Sequence[State], drawn: Sequence[tuple[str, Markup]]
) -> Markup:
    """What changes while training goes on; drawn: the `parts` of these runs."""
    called = names(runs)
    many = len(runs) > 1
    labels = short(called) if many else [""]
    shown = [
        _run(run, state, name, label, at, many)
        for at, (run, state, name, label) in enumerate(
            zip(runs, states, called, labels, strict=True)
        )
    ]
    return render(
        "live.html",
        edition=moment(runs, states),
        runs=shown,
        soon="1" if any(run.rollouts.left for run in runs) else "",
        parts=drawn if many else drawn[:1],
        later=[] if many else drawn[1:],
    )


def moment(runs: Sequence[Run], states: Sequence[State]) -> str:
    """Changes whenever the page does; while a process works, now and then with time alone."""
    works = ("starting", "training")
    return ".".join(
        f"{run.edition}-{s.status}-{(s.age or 0) // PASSING if s.status in works else 0:.0f}"
        for run, s in zip(runs, states, strict=True)
    )


def short(called: Sequence[str]) -> list[str]:
    """Labels for lines that have little room: the names, or letters where these are long."""
    return list(called) if max(map(len, called)) <= 10 else list(_LETTERS)


def sides(runs: Sequence[Run], states: Sequence[State]) -> list[Side]:
    """Runs as they are compared."""
    return [
        Side(name, run.folder, run.recipe, state.rows)
        for name, run, state in zip(names(runs), runs, states, strict=True)
    ]


def figures(curves: Sequence[charts.Curves]) -> list[tuple[str, Markup]]:
    """The curves of runs: titles, and what is below each."""
    return [
        (section.title, render("figures.html", figures=section.figures))
        for section in charts.sections(curves)
    ]


def legend(labels: Sequence[str], called: Sequence[str]) -> Markup:
    """Which colour is which run's."""
    return render("legend.html", runs=list(zip(labels, called, strict=True)))


def beside(both: Sequence[Side]) -> list[tuple[str, Markup]]:
    """Two runs in tables: titles, and what is below each."""
    a, b = both
    trained, differ, found = (
        comparison.trained(a, b),
        comparison.settings(a, b),
        comparison.results(a, b),
    )
    known = a.recipe and b.recipe
    same = "The recipes are the same." if known else "Not both of the runs have a recipe."
    shown = [
        ("What training gave", {"": trained}, []),
        ("Settings that differ", {"": differ}, [] if differ else [same]),
        ("Results side by side", found.tables, found.said),
    ]
    return [
        (
            title,
            render(
                "beside.html",
                tables=[t for t in tables.items() if t[1]],
                said=said,
                free=tables is not found.tables,  # values of settings may be of any length
            ),
        )
        for title, tables, said in shown
        if said or any(tables.values())
    ]


def _run(run: Run, state: State, name: str, label: str, at: int, many: bool) -> dict[str, Any]:
    groups = 1 if many else GROUPS
    newest = run.rollouts.rows(run.rollouts.newest(groups))
    entries = {id(row): entry for entry, row in newest}
    shown = choose([row for _, row in newest], None, groups)
    said = ""
    if newest:
        entry = newest[0][0]
        of = "group whose rewards differ" if many else "groups whose rewards differ"
        said = f"{entry.kind} step {entry.step}: the best and the worst of the {of} most."
    return {
        "name": name,
        "label": label,
        "status": state.status,
        "said": _said(run, state),
        "warnings": state.warnings,
        "alarms": state.alarms,
        "stages": [_stage(stage, state) for stage in state.stages],
        "numbers": _numbers(state),
        "newest": [rollouts_page.beside(entries[id(row)], row, run.form) for row in shown],
        "newest_said": said,
        "link": f"/rollouts?run={at}",
    }


def _said(run: Run, state: State) -> str:
    """How things stand, in a sentence or two."""
    folder = shlex.quote(str(run.folder if run.folder.is_dir() else run.path))
    if run.rollouts.left:
        return f"Rollouts are being read, {run.rollouts.left / 1e6:.0f} MB are left."
    now = state.now
    age = f"Last written {span(state.age)} ago." if state.age is not None else ""
    match state.status:
        case "waiting":
            return f"Training has not begun; `srl-edge train {folder}` begins it."
        case "starting":
            return "A process works on this run; its first figures are still to come."
        case "stopped":
            return (
                f"No process of this computer works on it; `srl-edge train {folder}` goes on. {age}"
            )
        case "finished":
            return f"Training is done. {age}"
    if now and now.steps and now.done >= now.steps:
        return f"Stage {now.index + 1} of {len(state.stages)} is at its end. {age}"
    left = f", about {span(state.left)} left in this stage" if state.left is not None else ""
    return f"Stage {now.index + 1 if now else 1} of {len(state.stages)}{left}. {age}"


def span(seconds: float) -> str:
    """A time in its two largest units."""
    whole = round(seconds)
    for unit, name, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {smaller}"
    return f"{whole // 60} min" if whole >= 120 else f"{whole} s"


def _stage(stage: StageProgress, state: State) -> dict[str, Any]:
    steps = stage.steps
    of = f"/{steps}" if steps else " steps"
    return {
        "kind": stage.kind,
        "done": stage.done,
        "most": max(steps or stage.done, 1),
        "count": f"{stage.done}{of}",
        "now": stage == state.now,
    }


def _numbers(state: State) -> list[tuple[str, str]]:
    """The newest figures, each with what it is."""
    step = state.steps[-1] if state.steps else {}
    kind = f"{step['kind']} step {step['step']}" if step else ""
    # Of sampled replies it is near 0 by construction: advantages are relative to their group.
    loss = {"loss": (f"loss, {kind}", ".4f")} if "reward" not in step else {}
    of_step = loss | {
        "reward": (f"mean reward, {kind}", ".2f"),
        "keep_rate": ("keep-rate: groups that are learned from", ".0%"),
        "sampling/tokens_per_second": ("tokens a second, sampling", ".0f"),
        "step_time": ("seconds a step", ".1f"),
        "completions/clipped_ratio": ("of replies cut off", ".0%"),
    }
    found = [
        (f"{step[key]:z{form}}".replace("-", "\N{MINUS SIGN}"), said)
        for key, (said, form) in of_step.items()
        if key in step
    ]
    for key, said, form in (
        ("eval_accuracy", "of held-out problems solved, at first and now", ".0%"),
        ("eval_similarity", "similarity on held-out prompts, at first and now", ".2f"),
    ):
        if values := [row[key] for row in state.validations if key in row]:
            ends = [values[0], values[-1]] if len(values) > 1 else values
            found.append((" → ".join(f"{v:{form}}" for v in ends), said))
    return found
