"""`srl-edge data record`: requests to a home of your own, as you fulfil them."""

import sys
from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser
from srl_edge.data.agents import record
from srl_edge.errors import InputError
from srl_edge.terminal import progress


def parser() -> Parser:
    parser = Parser("data record", "Requests to a home of your own, as you fulfil them.")
    parser.add_path('JSON such as {"kind": "home", "state": {…}}', "world")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="requests to write, a .jsonl file; one that is there is gone on with",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    if not chosen.world.is_file():
        raise InputError(f"{chosen.world}: no such file.")
    count = record.record(chosen.world, chosen.out, sys.stdin, sys.stdout)
    progress.say(f"data: {count} requests were recorded.")
    return written(chosen.out, recorded=count)
