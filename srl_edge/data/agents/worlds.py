"""Worlds by their records: what an agent acts in, and what says whether it did what was asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from srl_edge.data.agents.home import Home
from srl_edge.data.agents.shell import Shell
from srl_edge.data.values import Unusable
from srl_edge.method.prompt_form import DONE
from srl_edge.method.solving import World


def enter(record: Mapping[str, Any]) -> World:
    """The world of a record, as it is before the first action; raises Unusable for none."""
    match record.get("kind"):
        case "home":
            return Home(record)
        case "shell":
            return Shell(record)
    raise Unusable(f"a world of no known kind ({record.get('kind')!r})")


def recorded(
    record: Mapping[str, Any], steps: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What comes of an expert's actions, one by one, and the record with the goal that they reach.

    Raises Unusable where an action fails, and where a goal that is given is not reached.
    """
    observations = []
    with enter(record) as world:
        for step in steps:
            observations.append("" if step == DONE else world.act(step))
            if world.failed:
                raise Unusable("an action that failed in the recorded world")
        goal = record.get("goal")
        if goal is None:
            goal = world.reached()
        elif not world.fulfilled():
            raise Unusable("actions that do not reach the goal")
    if goal is None:
        raise Unusable("a world without a goal")
    return tuple(observations), dict(record) | {"goal": goal}
