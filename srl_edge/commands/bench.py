"""`srl-edge bench`."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser
from srl_edge.commands.stages import run_stage, stage_parser


def parser() -> Parser:
    return stage_parser(
        "bench",
        "Accuracy, speed, memory and size of a run's models, on the same held-out problems.",
    )


def run(chosen: Any, flags: list[str]) -> Outcome:
    return run_stage("bench", chosen, flags)
