"""What the verbs of the line have in common: a recipe or run folder, and a stage's path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.files import parsed, read_text

# Where a stage leaves what it found, below the run folder.
_FOUND = {
    "data": "data/report.json",
    "export": "artifacts/*/manifest.json",
    "check": "parity/*.json",
    "bench": "bench/results.json",
    "report": "report.json",
}


def stage_parser(verb: str, said: str) -> Parser:
    """The arguments of a stage: a recipe or a run folder, and settings."""
    parser = Parser(verb, said, settings=True)
    parser.add_path()
    parser.add_no_code()
    return parser


def run_stage(verb: str, chosen: Any, flags: Sequence[str]) -> Outcome:
    """Run one stage of a recipe's run."""
    from srl_edge import line

    quiet_libraries()
    settings = recipe_of(chosen.path, flags, chosen.no_code)
    path = line.run_stage(settings, verb)
    return written(path, **(found(settings.run, verb) if chosen.json else {}))


def found(run: Path, stage: str) -> dict[str, Any]:
    """What a stage left in a run folder for programs to read."""
    if stage not in _FOUND:
        return {}
    files = sorted(run.glob(_FOUND[stage]))
    rows = [parsed(read_text(file), "Json") for file in files]
    return {stage: rows if "*" in _FOUND[stage] else rows[0] if rows else None}
