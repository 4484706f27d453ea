"""`srl-edge init`: a commented recipe to begin with."""

import shlex
from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    from srl_edge.recipe.starters import names

    parser = Parser("init", "A commented recipe to begin with; change what is yours.")
    parser.add_path("to write (recipe.toml)", "file", nargs="?", default=Path("recipe.toml"))
    parser.add_argument(
        "--from", dest="name", default="starter", help="recipe to begin with: " + ", ".join(names())
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.recipe.starters import write_starter

    file = write_starter(chosen.file, chosen.name)
    named = shlex.quote(str(file))
    text = (
        f"{file}: change what is yours, then: srl-edge data {named} --show 3, "
        f"and srl-edge headroom {named}"
    )
    return Outcome(text, {"path": str(file)})
