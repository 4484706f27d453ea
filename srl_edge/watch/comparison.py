"""Two runs beside each other: settings that differ, what training gave, results by problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.recipe import Recipe
from srl_edge.report import rows
from srl_edge.report.comparable import solved_otherwise, timed_otherwise
from srl_edge.report.results import read_samples
from srl_edge.report.rows import BenchResults, Difference, ModelRow
from srl_edge.report.statistics import difference, paired
from srl_edge.report.text import ABSENT, accuracy, points, shown, signed
from srl_edge.report.training_rows import STAGES, training_of
from srl_edge.run_folder import flat

Table = list[dict[str, str]]
_LONGEST = 90  # characters of a setting's value


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs: its name on the page, its folder, and what is known of it."""

    name: str
    folder: Path
    recipe: Recipe | None
    rows: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Results:
    """Benchmarks of both runs beside each other: tables by title, and sentences about them."""

    tables: dict[str, Table]
    said: list[str]


def settings(a: Side, b: Side) -> Table:
    """The settings in which the recipes of two runs differ; empty where one has no recipe."""
    if not (a.recipe and b.recipe):
        return []
    mine, theirs = (flat(side.recipe.model_dump(mode="json")) for side in (a, b) if side.recipe)
    return [
        {"setting": key, a.name: _value(mine, key), b.name: _value(theirs, key)}
        for key in {**mine, **theirs}
        if key != "output" and _value(mine, key) != _value(theirs, key)
    ]


def trained(a: Side, b: Side) -> Table:
    """What training gave in either run."""
    found = [_trained(side) for side in (a, b)]
    keys = list(dict.fromkeys(key for each in found for key in each))
    return [
        {"training": key, a.name: found[0].get(key, ABSENT), b.name: found[1].get(key, ABSENT)}
        for key in keys
    ]


def results(a: Side, b: Side) -> Results:
    """The benchmarks of two runs beside each other, answers compared problem by problem.

    Differences are of the second from the first, with 95% bootstrap intervals and the exact sign
    test.
    """
    found: list[BenchResults] = []
    missing = []
    for side in (a, b):
        try:
            found.append(rows.read(side.folder / "bench"))
        except InputError:
            missing.append(side.name)
    if missing:
        names = " and ".join(missing)
        return Results({}, [f"No benchmark is in {names}; `srl-edge bench` of that run makes it."])
    first, second = found
    common = [(row, there) for row in first.rows if (there := second.row(row.name))]
    if not common:
        return Results({}, ["No model is in both benchmarks."])
    tables = {
        f"Solved: {task}": _answers(task, common, (a, first), (b, second))
        for task in first.tasks
        if task in second.tasks
    }
    said = [
        f"A difference above 0 speaks for {b.name}. Differences are paired by problem and have "
        "95% intervals; p is the exact sign test's."
    ]
    otherwise: dict[str, None] = {}  # each sentence once, in order
    for mine, theirs in common:
        old, new = (first, mine), (second, theirs)
        timed = ", ".join(timed_otherwise(old, new))
        otherwise |= {f"Speed and peak memory say little: other {timed}.": None} if timed else {}
        for task in (task for task in mine.tasks if task in theirs.tasks):
            asked = ", ".join(solved_otherwise(old, new, task))
            otherwise |= {f"Answers to {task} say little: other {asked}.": None} if asked else {}
    return Results(tables | {"Size and speed": _figures(a, b, common)}, [*said, *otherwise])


def _trained(side: Side) -> dict[str, str]:
    training = training_of(side.rows)
    if not training:
        return {}
    found = {f"steps of {said}": str(len(training.steps[kind])) for kind, said in STAGES.items()}
    found = {said: count for said, count in found.items() if count != "0"}
    if reward := training.reward:
        found["reward, first quarter of SRL"] = signed(reward.start.mean)
        found["reward, last quarter of SRL"] = signed(reward.end.mean)
    if kept := training.kept:
        found["kept adapter"] = f"{kept.kind} step {kept.at}"
        for key, said, form in (
            ("eval_reward", "its reward on held-out prompts", "+.3f"),
            ("eval_similarity", "similarity there", ".3f"),
            ("eval_format", "in the format there", ".0%"),
            ("eval_accuracy", "held-out problems solved", ".0%"),
            ("eval_own_accuracy", "solved in the model's own way", ".0%"),
            ("eval_kl", "divergence from the base, nats", ".3f"),
        ):
            if key in kept.figures:
                found[said] = shown(kept.figures[key], form).replace("-", "\N{MINUS SIGN}")
    return found


def _answers(
    task: str,
    common: Sequence[tuple[ModelRow, ModelRow]],
    a: tuple[Side, BenchResults],
    b: tuple[Side, BenchResults],
) -> Table:
    table = []
    for mine, theirs in common:
        if task not in mine.tasks or task not in theirs.tasks:
            continue
        scores = [_scores(side.folder / "bench", mine.name, task, r.date) for side, r in (a, b)]
        both = [key for key in scores[0] if key in scores[1]]
        row = {
            "model": mine.name,
            a[0].name: _together(accuracy(mine.tasks[task])),
            b[0].name: _together(accuracy(theirs.tasks[task])),
            "difference": ABSENT,
            "problems in both": str(len(both)),
            "lost": "",
            "won": "",
            "p": "",
        }
        if both:
            before, after = ([each[key] for key in both] for each in scores)
            found, sign = difference(before, after), paired(before, after)
            row["difference"] = _chance(found)
            row |= {"lost": str(sign.lost), "won": str(sign.won)}
            row["p"] = f"{sign.sign_test:.3f}"
        table.append(row)
    return table


def _chance(found: Difference) -> str:
    return _together(points(found)) + ("; may be chance" if found.may_be_chance else "")


def _together(figure: str) -> str:
    """A figure with its interval, which no line's end may part."""
    return figure.replace(" ", "\N{NO-BREAK SPACE}")


def _scores(folder: Path, model: str, task: str, date: str) -> dict[tuple[str, str], float]:
    """Shares of right attempts by a problem's id and its text: one id may name two problems."""
    try:
        samples = read_samples(folder, model, task, date)
    except InputError:
        return {}
    docs = [(s.get("doc"), s["exact_match"]) for s in samples]
    return {
        (str(doc.get("id")), str(doc.get("problem"))): right
        for doc, right in docs
        if isinstance(doc, dict)
    }


def _figures(a: Side, b: Side, common: Sequence[tuple[ModelRow, ModelRow]]) -> Table:
    def of(row: ModelRow) -> dict[str, str]:
        speed = row.decode_tokens_per_second
        return {
            "MB": f"{row.size_mb:.0f}",
            "decode, tokens/s": shown(speed.p50 if speed else None, ".1f"),
            "peak memory, MiB": shown(row.peak_memory_mib, ".0f"),
        }

    table = []
    for mine, theirs in common:
        first, second = of(mine), of(theirs)
        row = {"model": mine.name}
        for key in first:
            row |= {f"{key}: {a.name}": first[key], f"{key}: {b.name}": second[key]}
        table.append(row)
    return table


def _value(settings: dict[str, Any], key: str) -> str:
    if key not in settings:
        return "\N{EN DASH}"
    value = settings[key]
    match value:
        case None:
            text = "not set"
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    text = " ".join(text.split()) or "''"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
