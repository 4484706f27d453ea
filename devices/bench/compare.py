"""Two benchmarks of the same models: what got worse, and by more than chance."""

from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.report import rows
from srl_edge.report.results import read_samples
from srl_edge.report.rows import BenchResults, ModelRow
from srl_edge.report.statistics import paired

SLOWER = 0.1  # share of speed that may be lost, or of memory and size gained


def compare(old: Path, new: Path, slower: float = SLOWER) -> tuple[list[str], list[str]]:
    """What changed between two folders of results or runs, a line each, and which got worse.

    Answers are compared problem by problem (exact sign test, 5%), speeds by their medians, memory
    and size as they are. Raises InputError where the folders have no model in common, or where
    their problems differ.
    """
    old, new = _results(old), _results(new)
    before, after = rows.read(old), rows.read(new)
    common = [(row, there) for row in before.rows if (there := after.row(row.name))]
    if not common:
        raise InputError(f"{old} and {new}: no model is in both.")
    said, worse = [], []
    for a, b in common:
        for line, regressed in (
            *_figures(a, b, slower),
            *_answers(a.name, (old, before), (new, after)),
        ):
            said.append(line)
            if regressed:
                worse.append(line)
    return said, worse


def _results(folder: Path) -> Path:
    """The folder itself, or of a run the one of its benchmark."""
    of_run = folder / "bench"
    return (
        of_run if (of_run / rows.FILE).is_file() and not (folder / rows.FILE).is_file() else folder
    )


def _change(before: float, after: float) -> str:
    return f"{after / before - 1:+.0%}" if before else "from nothing"


def _figures(a: ModelRow, b: ModelRow, slower: float) -> list[tuple[str, bool]]:
    name, lines = a.name, []
    for key, unit in (
        ("prefill_tokens_per_second", "tokens/s prefill"),
        ("decode_tokens_per_second", "tokens/s decode"),
    ):
        first, second = getattr(a, key), getattr(b, key)
        if None in (first, second):
            lines.append((f"{name}: {unit} not measured in both", False))
            continue
        before, after = first.p50, second.p50
        line = f"{name}: {before:.1f} -> {after:.1f} {unit} ({_change(before, after)})"
        lines.append((line, after < before * (1 - slower)))
    for key, unit in (("peak_memory_mib", "MiB peak memory"), ("size_mb", "MB size")):
        before, after = getattr(a, key), getattr(b, key)
        if None in (before, after):  # not measured
            continue
        line = f"{name}: {before:.0f} -> {after:.0f} {unit} ({_change(before, after)})"
        lines.append((line, after > before * (1 + slower)))
    return lines


def _answers(
    name: str, old: tuple[Path, BenchResults], new: tuple[Path, BenchResults]
) -> list[tuple[str, bool]]:
    lines = []
    for task in (task for task in old[1].tasks if task in new[1].tasks):
        a, b = (_scores(folder, name, task, found.date) for folder, found in (old, new))
        if list(a) != list(b):
            raise InputError(f"{old[0]} and {new[0]}: other problems of {task}.")
        if not a:  # not measured
            continue
        result = paired(list(a.values()), list(b.values()))
        flipped = [key for key in a if a[key] != b[key]]
        line = (
            f"{name}: {task}: {sum(a.values()):g} -> {sum(b.values()):g} of {len(a)} solved, "
            f"{result.lost} lost, {result.won} won (p = {result.sign_test:.3f})"
        )
        if flipped:
            line += f"; flipped: {', '.join(flipped[:8])}{', …' * (len(flipped) > 8)}"
        lines.append((line, result.worse))
    return lines


def _scores(folder: Path, name: str, task: str, date: str) -> dict[str, float]:
    """The share of attempts at each problem that were right, by its id."""
    samples = read_samples(folder, name, task, date)
    return {f"{sample['doc']['id']}": sample["exact_match"] for sample in samples}
