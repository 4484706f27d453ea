"""`srl-edge scale`: a recipe's last stage as a job for an engine of many machines."""

from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of


def parser() -> Parser:
    parser = Parser(
        "scale",
        "The recipe's last stage as a job for an engine of many machines (docs/scale.md).",
        settings=True,
    )
    parser.add_path()
    parser.add_argument("--engine", required=True, help="engine of the job: trl or verl")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the job")
    parser.add_argument(
        "--adapter", type=Path, metavar="A", help="an adapter by PEFT that training goes on from"
    )
    parser.add_no_code()
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import line

    quiet_libraries()
    settings = recipe_of(chosen.path, flags, chosen.no_code)
    return written(line.scale(settings, chosen.engine, chosen.out, chosen.adapter))
