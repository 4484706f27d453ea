"""`srl-edge run`: the whole line."""

from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.commands.stages import found, stage_parser


def parser() -> Parser:
    return stage_parser(
        "run",
        "The whole line, from data to report; what is done and current is skipped. Ctrl-C leaves\n"
        "a run that the same command goes on with.",
    )


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import line

    quiet_libraries()
    settings = recipe_of(chosen.path, flags, chosen.no_code)
    page = line.run_line(settings)
    return written(page, **(found(settings.run, "report") if chosen.json else {}))
