"""`srl-edge report`."""

from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.commands.stages import run_stage, stage_parser
from srl_edge.errors import InputError
from srl_edge.files import read_json


def parser() -> Parser:
    parser = stage_parser(
        "report",
        "One page of a run that can be handed on: report.html, report.md and report.json.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write into in place of the run, which may then be read-only",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    if chosen.out is None:
        return run_stage("report", chosen, flags)
    from srl_edge import owned
    from srl_edge.report.run import report

    quiet_libraries()
    settings = recipe_of(chosen.path, flags, chosen.no_code)
    if not settings.run.is_dir():
        raise InputError(f"{settings.run}: no run is there; `srl-edge data RECIPE` begins one.")
    out = owned.claim(chosen.out, f"report of {settings.run.resolve()}")
    page = report(settings, settings.run, out)
    facts = {"report": read_json(chosen.out / "report.json", "Json")} if chosen.json else {}
    return written(page, **facts)
