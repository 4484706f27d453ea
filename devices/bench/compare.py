"""Two benchmarks of the same artifacts: what got worse, and by more than chance."""

import json
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.report.results import samples_file
from srl_edge.report.statistics import paired

Facts = dict[str, Any]
SLOWER = 0.1  # share of speed that may be lost, or of memory and size gained


def compare(old: Path, new: Path, slower: float = SLOWER) -> tuple[list[str], list[str]]:
    """What changed between two folders of results, a line each, and which lines are regressions.

    Answers are compared problem by problem (exact sign test, 5%), speeds by their medians, memory
    and size as they are. Raises InputError where the folders have no model in common, or where
    their problems differ.
    """
    before, after = _read(old), _read(new)
    common = [name for name in before["rows"] if name in after["rows"]]
    if not common:
        raise InputError(f"{old} and {new}: no model is in both.")
    said, worse = [], []
    for name in common:
        a, b = before["rows"][name], after["rows"][name]
        for line, regressed in (
            *_figures(name, a, b, slower),
            *_answers(name, (old, before, a), (new, after, b)),
        ):
            said.append(line)
            if regressed:
                worse.append(line)
    return said, worse


def _read(folder: Path) -> Facts:
    file = folder / "results.json"
    if not file.is_file():
        raise InputError(f"{folder}: no results.json; name a folder that `srl-edge bench` wrote.")
    found: Facts = read_json(file)
    return found | {"rows": {row["name"]: row for row in found["rows"]}}


def _figures(name: str, a: Facts, b: Facts, slower: float) -> list[tuple[str, bool]]:
    lines = []
    for key, unit in (("prefill_tokens_per_second", "tokens/s prefill"),
                      ("decode_tokens_per_second", "tokens/s decode")):  # fmt: skip
        if None in (a[key], b[key]):
            lines.append((f"{name}: {unit} not measured in both", False))
            continue
        before, after = a[key]["p50"], b[key]["p50"]
        line = f"{name}: {before:.1f} -> {after:.1f} {unit} ({after / before - 1:+.0%})"
        lines.append((line, after < before * (1 - slower)))
    for key, unit in (("peak_memory_mib", "MiB peak memory"), ("size_mb", "MB size")):
        before, after = a[key], b[key]
        if None in (before, after):  # not measured
            continue
        line = f"{name}: {before:.0f} -> {after:.0f} {unit} ({after / before - 1:+.0%})"
        lines.append((line, after > before * (1 + slower)))
    return lines


def _answers(
    name: str, old: tuple[Path, Facts, Facts], new: tuple[Path, Facts, Facts]
) -> list[tuple[str, bool]]:
    lines = []
    for task in old[2]["tasks"]:
        if task not in new[2]["tasks"]:
            continue
        a, b = (_samples(folder, facts["date"], name, task) for folder, facts, _ in (old, new))
        if list(a) != list(b):
            raise InputError(f"{old[0]} and {new[0]}: other problems of {task}.")
        result = paired(list(a.values()), list(b.values()))
        flipped = [key for key in a if a[key] != b[key]]
        line = (
            f"{name}: {task}: {sum(a.values()):g} -> {sum(b.values()):g} of {len(a)} solved, "
            f"{result['lost']} lost, {result['won']} won (p = {result['sign_test']:.3f})"
        )
        if flipped:
            line += f"; flipped: {', '.join(flipped[:8])}{', …' * (len(flipped) > 8)}"
        lines.append((line, result["sign_test"] < 0.05 and result["lost"] > result["won"]))
    return lines


def _samples(folder: Path, date: str, name: str, task: str) -> dict[str, float]:
    """The share of attempts at each problem that were right, by its id."""
    rows = samples_file(folder, name, task, date).read_text(encoding="utf-8").splitlines()
    ordered = sorted(map(json.loads, rows), key=lambda row: row["doc_id"])
    return {f"{row['doc']['id']}": row["exact_match"] for row in ordered}
