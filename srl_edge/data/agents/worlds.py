"""Worlds by their records: what an agent acts in, and what says whether it did what was asked."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from srl_edge.data.agents import sandbox
from srl_edge.data.agents.home import COMMANDS, LIST, TIMERS, Home
from srl_edge.data.agents.shell import Shell
from srl_edge.data.agents.shell_families import is_own
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError, StageError
from srl_edge.method.prompt_form import DONE, PRESETS, PromptForm
from srl_edge.method.solving import World
from srl_edge.terminal import progress

_SECONDS = 60.0  # for all actions of a row


class Unconfined(Unusable):
    """Why commands of others are not run: nothing here keeps them in their folder."""


def require_bubblewrap() -> None:
    """Raise Unconfined where commands are kept in their folder by limits alone."""
    if sandbox.is_weak():
        raise Unconfined("a repository with commands of others, for which bubblewrap is needed")


def _require_confined(record: Mapping[str, Any]) -> None:
    """The same for a world that we did not make, whatever file it came from."""
    if record.get("kind") == "shell" and sandbox.is_weak() and not is_own(record):
        require_bubblewrap()


def announce(what: str, records: Iterable[Any]) -> None:
    """Say what keeps the commands of such worlds in their folder, if they take any.

    Raises InputError, before any is run, where that is too little.
    """
    taking = [r for r in records if isinstance(r, Mapping) and r.get("kind") == "shell"]
    try:
        for record in taking:
            _require_confined(record)
    except Unconfined as why:
        raise _refused(what, why) from None
    if taking:
        progress.say(f"{what}: {sandbox.kept()}")


def _refused(what: str, why: Unconfined) -> InputError:
    return InputError(
        f"{what}: a task is in {why}; install it, or, where the task is of agent-shell, make the "
        "data again with this version."
    )


def enter(record: Mapping[str, Any]) -> World:
    """The world of a record, as it is before the first action.

    Raises Unusable for none, and Unconfined where its commands may not be run here.
    """
    _require_confined(record)
    match record.get("kind"):
        case "home":
            return Home(record)
        case "shell":
            return Shell(record)
    raise Unusable(f"a world of no known kind ({record.get('kind')!r}); home and shell are known")


def entered(record: Mapping[str, Any]) -> World:
    """As `enter`; raises StageError, since the record was entered when it was read.

    What was read elsewhere, or is not what was read, may be refused here: InputError.
    """
    try:
        return enter(record)
    except Unconfined as why:
        raise _refused("agents", why) from None
    except Unusable as why:
        raise StageError(f"a task's world cannot be entered: {why}; make the data again.") from None


def form_of(record: Mapping[str, Any]) -> PromptForm:
    """How somebody who was never taught to is asked to act there."""
    system = described(record)
    return replace(PRESETS["agent"], system=system, think=False, context_pairs=None)


def described(record: Mapping[str, Any]) -> str:
    """What somebody who acts there has to know, as a system message."""
    if record.get("kind") == "home":
        commands = "\n".join(f"{name} {about}" for name, about in COMMANDS.items())
        return (
            "You run a home by these commands, one at a time. You are given a request, and your "
            "commands so far with what came of them. Write only the next command, or done once "
            f"the request is fulfilled.\n{commands}\nBeside rooms, {LIST} and {TIMERS} are places "
            "to look at."
        )
    return (
        "You work in a git repository by commands of bash, one at a time. You are given a task, "
        "and your commands so far with their output. Write only the next command, in one line, or "
        "done once the task is fulfilled."
    )


def recorded(
    record: Mapping[str, Any], steps: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What comes of an expert's actions, one by one, and the record with the goal that they reach.

    Raises Unusable where an action fails, where all take over a minute, and where a goal that is
    given is not reached.
    """
    observations = []
    until = time.monotonic() + _SECONDS
    with enter(record) as world:
        for step in steps:
            observations.append("" if step == DONE else world.act(step))
            if time.monotonic() > until:
                raise Unusable("actions that take too long")
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
