"""A home with state, run by commands: places with things in them, a shopping list, timers.

Its record is JSON: `{"kind": "home", "state": {"kitchen": {"lamp": "on", "window": "closed",
"heating": 19}, "list": ["milk"], "timers": {"tea": 4}}, "goal": {…}}`. What a thing can do follows
from its state: on or off, open or closed, degrees, a list, minutes by name.
"""

import copy
from collections.abc import Mapping
from typing import Any

from srl_edge.data.values import Unusable, is_text

LIST, TIMERS, HEATING = "list", "timers", "heating"
OK = "ok"
# Each command with what stands after it.
COMMANDS = {
    "look": "PLACE",
    "turn_on": "THING PLACE",
    "turn_off": "THING PLACE",
    "open": "THING PLACE",
    "close": "THING PLACE",
    "heat": "PLACE DEGREES",
    "add": "ITEM",
    "remove": "ITEM",
    "timer": "NAME MINUTES",
    "stop": "NAME",
}
_CHANGES = {
    "turn_on": ("off", "on"),
    "turn_off": ("on", "off"),
    "open": ("closed", "open"),
    "close": ("open", "closed"),
}
_LONGEST = 400  # characters of an action; longer ones are no command


class Refused(Exception):
    """Why a command did nothing, in the words that the home answers."""


class Home:
    """A home that takes commands; `state` is what it is like now."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.failed = False
        self.state = copy.deepcopy(_checked(record.get("state"), "state"))
        goal = record.get("goal")
        self._goal = None if goal is None else _checked(goal, "goal")

    def __enter__(self) -> "Home":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def act(self, action: str) -> str:
        """What the home answers a line each: what it sees, `ok`, or why it did nothing."""
        self.failed = False
        if len(action) > _LONGEST:
            self.failed = True
            return "that is too long"
        answers = []
        for line in action.strip().split("\n"):
            try:
                answers.append(self._done(line.split()))
            except Refused as why:
                self.failed = True
                answers.append(str(why))
        return "\n".join(answers)

    def fulfilled(self) -> bool:
        """Whether the home is as the goal says, and nothing beside it was changed."""
        if self._goal is None:
            return False
        listed, wanted = (sorted(state.get(LIST, ())) for state in (self.state, self._goal))
        # A list is the same in any order.
        return self.state | {LIST: listed} == self._goal | {LIST: wanted}

    def reached(self) -> dict[str, Any]:
        """The state as the goal of a record."""
        return copy.deepcopy(self.state)

    def _done(self, words: list[str]) -> str:
        command, *about = words or [""]
        if command not in COMMANDS:
            raise Refused(f"no command {command}; there are {', '.join(COMMANDS)}")
        form = COMMANDS[command]
        if len(about) != len(form.split()):
            raise Refused(f"say: {command} {form}")
        match command:
            case "look":
                return self._seen(about[0])
            case "heat":
                self._heat(*about)
            case "add" | "remove":
                self._shop(command, about[0])
            case "timer" | "stop":
                self._time(command, *about)
            case _:
                self._switch(command, *about)
        return OK

    def _seen(self, place: str) -> str:
        match self.state.get(place):
            case dict() as things if things:
                return ", ".join(f"{thing} {value}" for thing, value in things.items())
            case list() as items if items:
                return ", ".join(items)
            case None:
                raise Refused(f"there is no {place}")
        return "nothing"

    def _switch(self, command: str, thing: str, place: str) -> None:
        things = self._place(place)
        before, after = _CHANGES[command]
        if things.get(thing) not in (before, after):
            raise Refused(f"there is no {thing} in the {place} to {command.replace('_', ' ')}")
        things[thing] = after

    def _heat(self, place: str, degrees: str) -> None:
        things = self._place(place)
        if not isinstance(things.get(HEATING), int):
            raise Refused(f"there is no {HEATING} in the {place}")
        things[HEATING] = _number(degrees, "degrees")

    def _shop(self, command: str, item: str) -> None:
        items = self.state.get(LIST)
        if not isinstance(items, list):
            raise Refused("there is no list")
        if command == "add" and item not in items:
            items.append(item)
        elif command == "remove":
            if item not in items:
                raise Refused(f"{item} is not on the list")
            items.remove(item)

    def _time(self, command: str, name: str, minutes: str = "") -> None:
        timers = self.state.get(TIMERS)
        if not isinstance(timers, dict):
            raise Refused("there are no timers")
        if command == "timer":
            timers[name] = _number(minutes, "minutes")
        elif name not in timers:
            raise Refused(f"there is no timer {name}")
        else:
            del timers[name]

    def _place(self, place: str) -> dict[str, Any]:
        things = self.state.get(place)
        if not isinstance(things, dict) or place == TIMERS:
            raise Refused(f"there is no {place}")
        return things


def _number(text: str, what: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise Refused(f"{text} is no whole number of {what}")
    return int(text)


def _checked(state: Any, name: str) -> dict[str, Any]:
    """A state as JSON has it; raises Unusable where it is none."""
    if not isinstance(state, dict):
        raise Unusable(f"a home without its {name}, an object of places")
    for place, things in state.items():
        if place == LIST:
            if not isinstance(things, list):
                raise Unusable(f"a home whose {LIST} is no list of items")
        elif not isinstance(things, dict):
            raise Unusable(f"a home whose {_shown(place)} is no object of things")
        for word in (place, *things):
            if not _is_word(word):
                raise Unusable(f"a home with {_shown(word)}, which is no single word")
        for thing, value in things.items() if isinstance(things, dict) else ():
            if place == TIMERS and type(value) is not int:
                raise Unusable(f"a home whose timer {thing} has no whole number of minutes")
            if place != TIMERS and not _is_state(thing, value):
                raise Unusable(
                    f"a home whose {place} has {thing} {_shown(value)}; {HEATING} has a whole "
                    "number of degrees, other things are on, off, open or closed"
                )
    return state


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _is_word(name: Any) -> bool:
    """Whether a command can name it."""
    return is_text(name) and name.split() == [name]


def _is_state(thing: str, value: Any) -> bool:
    return type(value) is int if thing == HEATING else value in ("on", "off", "open", "closed")
