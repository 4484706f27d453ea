"""Two benchmarks of the same models: what got worse, and by more than chance."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge import recipe
from srl_edge.errors import InputError
from srl_edge.report import rows
from srl_edge.report.comparable import solved_otherwise, timed_otherwise
from srl_edge.report.results import read_samples
from srl_edge.report.rows import ModelRow
from srl_edge.report.statistics import paired
from srl_edge.run_folder import RECIPE, superseded

SLOWER = 0.1  # share of speed that may be lost, or of memory and size gained


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of a model in both: in words, whether it got worse, and its values by name."""

    text: str
    worse: bool
    values: dict[str, Any]


def compare(old: Path, new: Path, slower: float = SLOWER) -> tuple[list[Change], list[str]]:
    """What changed between two folders of results or runs, and sentences on what is not compared.

    Answers are compared problem by problem (exact sign test, 5%), speeds by their medians, memory
    and size as they are; not those that were measured in another way. What was measured in the old
    one and not in the new counts as worse. Raises InputError where the folders have no model in
    common, or where the problems that are compared differ.
    """
    old, new = _results(old), _results(new)
    before, after = rows.read(old), rows.read(new)
    if not any(after.row(row.name) for row in before.rows):
        raise InputError(f"{old} and {new}: no model is in both.")
    found: list[Change] = []
    kept_apart: dict[str, list[str]] = {}  # models by what of them is not compared, and why
    for a in before.rows:
        b = after.row(a.name)
        if b is None or (b.unmeasured and not a.unmeasured):
            found.append(_gone(a.name, b.unmeasured if b else f"it is not in {new}"))
        if b is None:
            continue
        if differing := timed_otherwise((before, a), (after, b)):
            said = f"{', '.join(differing)}: speed and peak memory are not compared."
            kept_apart.setdefault(said, []).append(a.name)
        found += _figures(a, b, slower, timed=not differing and not b.unmeasured)
        for task in a.tasks:
            if task not in b.tasks:
                found.append(_gone(a.name, f"it has no answers in {new}", task))
            elif differing := solved_otherwise((before, a), (after, b), task):
                said = f"{', '.join(differing)}: answers to {task} are not compared."
                kept_apart.setdefault(said, []).append(a.name)
            else:
                found += _answers(a.name, task, (old, before.date), (new, after.date))
    return found, [f"{', '.join(names)}: other {said}" for said, names in kept_apart.items()]


def _gone(model: str, why: str, figure: str = "all") -> Change:
    """Of a model whose figures, or one of them, are no longer there."""
    what = model if figure == "all" else f"{model}: {figure}"
    values = {"model": model, "figure": figure, "before": True, "after": None}
    return Change(f"{what}: was measured, and is not now ({why})", True, values)


def notes(*folders: Path) -> list[str]:
    """Which results of runs are of an earlier state of these, and why."""
    said = []
    for folder in folders:
        bench = _results(folder).resolve()
        run = bench.parent
        if bench.name != "bench" or not (run / RECIPE).is_file():
            continue
        with suppress(InputError):  # a recipe of another version, whose results can be read
            if why := superseded(recipe.load(run), "bench"):
                said.append(
                    f"{folder}: its benchmark is of an earlier state of the run ({why}); `srl-edge "
                    f"bench {shlex.quote(str(run))}` measures it as it is."
                )
    return said


def _results(folder: Path) -> Path:
    """The folder itself, or of a run the one of its benchmark."""
    of_run = folder / "bench"
    return (
        of_run if (of_run / rows.FILE).is_file() and not (folder / rows.FILE).is_file() else folder
    )


def _figures(a: ModelRow, b: ModelRow, slower: float, timed: bool) -> list[Change]:
    """Those that were measured in both; size alone, unless `timed`."""
    found = []
    for key, unit, digits in (
        ("prefill_tokens_per_second", "tokens/s prefill", 1),
        ("decode_tokens_per_second", "tokens/s decode", 1),
        ("peak_memory_mib", "MiB peak memory", 0),
        ("size_mb", "MB size", 0),
    ):
        before, after = (getattr(row, key) for row in (a, b))
        if before is None or not (timed or key == "size_mb"):
            continue
        if after is None:
            found.append(_gone(a.name, "the new results have no such figure", unit))
            continue
        if digits:  # a speed
            before, after = before.p50, after.p50
        worse = after < before * (1 - slower) if digits else after > before * (1 + slower)
        share = f"{after / before - 1:+.0%}" if before else "from nothing"
        text = f"{a.name}: {before:.{digits}f} -> {after:.{digits}f} {unit} ({share})"
        values = {"model": a.name, "figure": key, "before": before, "after": after}
        found.append(Change(text, worse, values))
    return found


def _answers(name: str, task: str, old: tuple[Path, str], new: tuple[Path, str]) -> list[Change]:
    """A model's answers to a task, in folders of results with their dates; none if not measured."""
    first, second = (read_samples(folder, name, task, date) for folder, date in (old, new))
    if [row["doc"] for row in first] != [row["doc"] for row in second]:
        raise InputError(
            f"{old[0]} and {new[0]}: other problems of {task}; only results on the same ones "
            "are compared. Runs have the same where their data and seed are; `srl-edge watch` "
            "shows any two side by side."
        )
    if not first:
        return []
    a, b = _scores(first), _scores(second)
    result = paired(list(a.values()), list(b.values()))
    flipped = [key for key in a if a[key] != b[key]]
    before, after = sum(a.values()), sum(b.values())
    text = (
        f"{name}: {task}: {before:g} -> {after:g} of {len(a)} solved, "
        f"{result.lost} lost, {result.won} won (p = {result.sign_test:.3f})"
    )
    if flipped:
        text += f"; flipped: {', '.join(flipped[:8])}{', …' * (len(flipped) > 8)}"
    values = {
        "model": name,
        "figure": task,
        "before": before,
        "after": after,
        "of": len(a),
        "lost": result.lost,
        "won": result.won,
        "p": result.sign_test,
        "flipped": flipped,
    }
    return [Change(text, result.worse, values)]


def _scores(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The share of attempts at each problem that were right, by its id."""
    return {f"{sample['doc']['id']}": sample["exact_match"] for sample in samples}
