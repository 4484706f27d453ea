"""`srl-edge doctor`: what this machine can do, and what to install for the rest."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    return Parser("doctor", "What this machine can do, and what to install for the rest.")


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.terminal.doctor import doctor, facts

    found = facts()
    return Outcome(doctor(found), found)
