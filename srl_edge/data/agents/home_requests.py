"""Requests to a home that take several actions, and the scripted expert that fulfils them.

What is to be done follows from what the home is like, so the expert looks first where a request
does not say it. Splits share no place, no thing, no item and no sentence.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srl_edge.data.agents.home import HEATING, LIST, TIMERS
from srl_edge.data.agents.worlds import recorded
from srl_edge.data.home import TEST, TRAIN, VALIDATION
from srl_edge.data.home import Words as Vocabulary
from srl_edge.method.prompt_form import DONE
from srl_edge.method.types import Trajectory

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """What one split speaks of, and by family the sentences that ask for it."""

    things: Vocabulary
    items: Sequence[str]
    timers: Sequence[str]
    sentences: Mapping[str, Sequence[str]]


SPLITS = {
    "train": Words(
        TRAIN,
        (
            "milk",
            "bread",
            "eggs",
            "butter",
            "rice",
            "salt",
            "apples",
            "cheese",
            "soap",
            "tea",
            "flour",
            "honey",
            "pasta",
            "beans",
            "onions",
            "juice",
        ),
        ("pasta", "eggs", "laundry", "nap", "cake", "call", "break", "soup"),
        {
            "switch": (
                "turn {value} the {thing} in the {place}",
                "switch the {thing} in the {place} {value}",
                "the {place} {thing} should be {value}",
            ),
            "all off": (
                "turn everything off in the {place}",
                "switch off all that runs in the {place}",
                "nothing in the {place} should be on",
                "I leave the {place}, so stop all there",
            ),
            "close all": (
                "shut everything in the {place}",
                "close all that is open in the {place}",
                "it rains, so nothing in the {place} may stay open",
            ),
            "as warm": (
                "make the {place} as warm as the {other}",
                "heat the {place} like the {other}",
                "the {place} should be as warm as the {other} is",
            ),
            "warmer": (
                "make the {place} {more} degrees warmer",
                "heat the {place} by {more} degrees more",
                "the {place} is {more} degrees too cold",
            ),
            "buy": (
                "we need {items}",
                "put {items} on the list",
                "I have to buy {items}",
                "see that {items} are on the list",
            ),
            "bought": ("I bought {items}", "take {items} off the list", "we have {items} now"),
            "time": (
                "remind me of the {timer} in {minutes} minutes",
                "the {timer} takes {minutes} minutes",
                "start a timer for the {timer} of {minutes} minutes",
            ),
            "stop all": (
                "stop all timers",
                "no timer should run",
                "forget what I timed",
                "end every timer",
            ),
        },
    ),
    "validation": Words(
        VALIDATION,
        ("sugar", "oil", "pears", "yoghurt", "candles"),
        ("tea", "walk", "oven"),
        {
            "switch": ("I want the {thing} in the {place} {value}",),
            "all off": ("switch everything in the {place} off",),
            "close all": ("shut all that is open in the {place}",),
            "as warm": ("I want the {place} as warm as the {other}",),
            "warmer": ("I want the {place} {more} degrees warmer",),
            "buy": ("I need to buy {items}",),
            "bought": ("{items} can be taken off the list",),
            "time": ("start the {timer} timer with {minutes} minutes",),
            "stop all": ("all timers should stop",),
        },
    ),
    "test": Words(
        TEST,
        ("pepper", "plums", "coffee", "paper", "carrots", "jam", "vinegar", "nuts"),
        ("roast", "bath", "meeting", "dough", "game"),
        {
            "switch": (
                "in the {place}, turn the {thing} {value}",
                "the {thing} in the {place} should be {value}",
            ),
            "all off": (
                "in the {place}, turn off all that is on",
                "let nothing run in the {place}",
            ),
            "close all": ("in the {place}, close everything", "let nothing be open in the {place}"),
            "as warm": (
                "let the {place} be as warm as the {other}",
                "heat the {place} as the {other} is heated",
            ),
            "warmer": (
                "heat the {place} {more} degrees more",
                "let the {place} be {more} degrees warmer",
            ),
            "buy": ("add {items} to what we buy", "{items} should be on the list"),
            "bought": ("remove {items}, since we have them", "{items} are bought"),
            "time": (
                "set {minutes} minutes for the {timer}",
                "in {minutes} minutes the {timer} is over",
            ),
            "stop all": ("let all timers end", "I need no timer any more"),
        },
    ),
}


def problems(
    split: str, count: int, seed: int, advance: Callable[[], None] = lambda: None
) -> list[Trajectory]:
    """`count` requests of a split, each recorded in a home of its own; all change something."""
    rng, words = random.Random(f"{split}/{seed}"), SPLITS[split]
    found: list[Trajectory] = []
    while len(found) < count:
        family = rng.choice(list(FAMILIES))
        state = _state(words, rng)
        sentence, actions = FAMILIES[family](words, state, rng)
        steps = (*actions, DONE)
        observations, world = recorded({"kind": "home", "state": state}, steps)
        if world["goal"] == state:
            continue
        found.append(
            Trajectory(
                f"{family}/{len(found)}",
                f"{sentence[0].upper()}{sentence[1:]}.",
                steps,
                "\n".join(actions),
                observations=observations,
                world=world,
            )
        )
        advance()
    return found


def _state(words: Words, rng: random.Random) -> State:
    """A home of three places, with things in any state."""
    vocabulary = words.things
    state: State = {}
    for place in rng.sample(list(vocabulary.rooms), 3):
        switched = {d: rng.choice(("on", "off")) for d in rng.sample(list(vocabulary.devices), 3)}
        opened = {
            o: rng.choice(("open", "closed")) for o in rng.sample(list(vocabulary.openings), 2)
        }
        things: State = switched | opened
        things[HEATING] = rng.choice(vocabulary.degrees)
        state[place] = dict(rng.sample(list(things.items()), len(things)))
    state[LIST] = rng.sample(list(words.items), rng.randint(1, 3))
    minutes = {
        name: rng.randint(2, 30) for name in rng.sample(list(words.timers), rng.randint(1, 2))
    }
    state[TIMERS] = minutes
    return state


Request = tuple[str, list[str]]  # a sentence, and the expert's actions


def _switch(words: Words, state: State, rng: random.Random) -> Request:
    place = _place(state, rng)
    thing = rng.choice([t for t, value in state[place].items() if value in ("on", "off")])
    value = rng.choice(("on", "off"))
    sentence = rng.choice(words.sentences["switch"]).format(thing=thing, place=place, value=value)
    return sentence, [f"turn_{value} {thing} {place}"]


def _all_off(words: Words, state: State, rng: random.Random) -> Request:
    return _each(words, state, rng, "all off", "on", "turn_off")


def _close_all(words: Words, state: State, rng: random.Random) -> Request:
    return _each(words, state, rng, "close all", "open", "close")


def _each(
    words: Words, state: State, rng: random.Random, family: str, value: str, command: str
) -> Request:
    place = _place(state, rng)
    changed = [thing for thing, is_ in state[place].items() if is_ == value]
    actions = [f"{command} {thing} {place}" for thing in changed]
    return rng.choice(words.sentences[family]).format(place=place), [f"look {place}", *actions]


def _as_warm(words: Words, state: State, rng: random.Random) -> Request:
    place, other = rng.sample([p for p in state if p not in (LIST, TIMERS)], 2)
    sentence = rng.choice(words.sentences["as warm"]).format(place=place, other=other)
    return sentence, [f"look {other}", f"heat {place} {state[other][HEATING]}"]


def _warmer(words: Words, state: State, rng: random.Random) -> Request:
    place, more = _place(state, rng), rng.choice((2, 3))
    sentence = rng.choice(words.sentences["warmer"]).format(
        place=place, more={2: "two", 3: "three"}[more]
    )
    return sentence, [f"look {place}", f"heat {place} {state[place][HEATING] + more}"]


def _buy(words: Words, state: State, rng: random.Random) -> Request:
    items = rng.sample(list(words.items), 2)
    sentence = rng.choice(words.sentences["buy"]).format(items=" and ".join(items))
    missing = [item for item in items if item not in state[LIST]]
    return sentence, [f"look {LIST}", *(f"add {item}" for item in missing)]


def _bought(words: Words, state: State, rng: random.Random) -> Request:
    items = rng.sample(state[LIST], min(2, len(state[LIST])))
    sentence = rng.choice(words.sentences["bought"]).format(items=" and ".join(items))
    return sentence, [f"remove {item}" for item in items]


def _time(words: Words, state: State, rng: random.Random) -> Request:
    timer, minutes = rng.choice(words.timers), rng.randint(2, 30)
    sentence = rng.choice(words.sentences["time"]).format(timer=timer, minutes=minutes)
    return sentence, [f"timer {timer} {minutes}"]


def _stop_all(words: Words, state: State, rng: random.Random) -> Request:
    actions = [f"stop {name}" for name in state[TIMERS]]
    return rng.choice(words.sentences["stop all"]), [f"look {TIMERS}", *actions]


def _place(state: State, rng: random.Random) -> str:
    return rng.choice([place for place in state if place not in (LIST, TIMERS)])


FAMILIES: Mapping[str, Callable[[Words, State, random.Random], Request]] = {
    "switch": _switch,
    "all off": _all_off,
    "close all": _close_all,
    "as warm": _as_warm,
    "warmer": _warmer,
    "buy": _buy,
    "bought": _bought,
    "time": _time,
    "stop all": _stop_all,
}
