"""`srl-edge report`."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser
from srl_edge.commands.stages import run_stage, stage_parser


def parser() -> Parser:
    return stage_parser(
        "report",
        "One page of a run that can be handed on: report.html, report.md and report.json.",
    )


def run(chosen: Any, flags: list[str]) -> Outcome:
    return run_stage("report", chosen, flags)
