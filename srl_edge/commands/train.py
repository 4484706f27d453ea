"""`srl-edge train`."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, recipe_of
from srl_edge.commands.stages import run_stage, stage_parser


def parser() -> Parser:
    parser = stage_parser(
        "train",
        "Step prompts into an adapter; it goes on from the newest checkpoint, if there is one.",
    )
    parser.add_argument(
        "--resume", action="store_true", help="fail where there is no checkpoint to go on from"
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import line

    if chosen.resume:
        line.require_checkpoint(recipe_of(chosen.path, flags).run, "train")
    return run_stage("train", chosen, flags)
