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
from srl_edge.report.results import read_samples
from srl_edge.report.rows import BenchResults, ModelRow
from srl_edge.report.statistics import paired
from srl_edge.run_folder import RECIPE, superseded

SLOWER = 0.1  # share of speed that may be lost, or of memory and size gained


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of a model in both: in words, whether it got worse, and its values by name."""

    text: str
    worse: bool
    values: dict[str, Any]


def compare(old: Path, new: Path, slower: float = SLOWER) -> list[Change]:
    """What changed between two folders of results or runs.

    Answers are compared problem by problem (exact sign test, 5%), speeds by their medians, memory
    and size as they are. Raises InputError where the folders have no model or no figure in
    common, or where their problems differ.
    """
    old, new = _results(old), _results(new)
    before, after = rows.read(old), rows.read(new)
    common = [(row, there) for row in before.rows if (there := after.row(row.name))]
    if not common:
        raise InputError(f"{old} and {new}: no model is in both.")
    found = []
    for a, b in common:
        found += _figures(a, b, slower)
        found += _answers(a.name, (old, before), (new, after))
    if not found:
        raise InputError(f"{old} and {new}: no figure of a model is in both.")
    return found


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


def _figures(a: ModelRow, b: ModelRow, slower: float) -> list[Change]:
    """Those that were measured in both."""
    found = []
    for key, unit, digits in (
        ("prefill_tokens_per_second", "tokens/s prefill", 1),
        ("decode_tokens_per_second", "tokens/s decode", 1),
        ("peak_memory_mib", "MiB peak memory", 0),
        ("size_mb", "MB size", 0),
    ):
        before, after = (getattr(row, key) for row in (a, b))
        if None in (before, after):
            continue
        if digits:  # a speed
            before, after = before.p50, after.p50
        worse = after < before * (1 - slower) if digits else after > before * (1 + slower)
        share = f"{after / before - 1:+.0%}" if before else "from nothing"
        text = f"{a.name}: {before:.{digits}f} -> {after:.{digits}f} {unit} ({share})"
        values = {"model": a.name, "figure": key, "before": before, "after": after}
        found.append(Change(text, worse, values))
    return found


def _answers(
    name: str, old: tuple[Path, BenchResults], new: tuple[Path, BenchResults]
) -> list[Change]:
    found = []
    for task in (task for task in old[1].tasks if task in new[1].tasks):
        first, second = (
            read_samples(folder, name, task, results.date) for folder, results in (old, new)
        )
        if [row["doc"] for row in first] != [row["doc"] for row in second]:
            raise InputError(
                f"{old[0]} and {new[0]}: other problems of {task}; only results on the same ones "
                "are compared. Runs have the same where their data and seed are; `srl-edge watch` "
                "shows any two side by side."
            )
        if not first:  # not measured
            continue
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
        found.append(Change(text, result.worse, values))
    return found


def _scores(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The share of attempts at each problem that were right, by its id."""
    return {f"{sample['doc']['id']}": sample["exact_match"] for sample in samples}
