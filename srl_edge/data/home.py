"""Requests to a home, and the commands that fulfil them, one a step: made up, any number of them.

A request names things to be done; each is worded by a frame. Training, validation and test share
no frame, no room, no device, and nothing else that a command is about: what is held out can only be
answered by reading it. Its verbs occur in training too, in other sentences and of other things.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srl_edge.method.prompt_form import DONE
from srl_edge.method.types import Trajectory


@dataclass(frozen=True, slots=True)
class Words:
    """What one split speaks of, and how: by command, the frames that ask for it."""

    rooms: Sequence[str]
    devices: Sequence[str]
    openings: Sequence[str]
    music: Sequence[str]
    degrees: Sequence[int]
    frames: Mapping[str, Sequence[str]]
    between: Sequence[str]


# Words stand between spaces, as in requests: in brackets a tokenizer would cut them otherwise.
COMMANDS = {
    "turn_on": "turn_on {device} {room}",
    "turn_off": "turn_off {device} {room}",
    "open": "open {opening} {room}",
    "close": "close {opening} {room}",
    "heat": "heat {room} {degrees}",
    "play": "play {music} {room}",
}
TRAIN = Words(
    ("kitchen", "bedroom", "bathroom", "office", "hall", "garage", "nursery", "cellar", "laundry",
     "pantry", "balcony", "gym", "den", "loft", "closet", "lounge", "shed", "garden", "terrace",
     "corridor"),
    ("light", "fan", "heater", "radio", "printer", "oven", "kettle", "vacuum", "dryer", "freezer",
     "router", "camera", "alarm", "pump"),
    ("window", "blinds", "curtain", "gate", "door", "valve", "vent", "awning"),
    ("jazz", "rock", "opera", "blues", "pop", "funk", "reggae", "disco"),
    (15, 16, 18, 19, 21, 22, 24, 25),
    {
        "turn_on": ("turn on the {device} in the {room}", "switch the {device} in the {room} on",
                    "start the {room} {device}", "I need the {device} in the {room}",
                    "the {room} {device} should run", "in the {room}, start the {device}"),
        "turn_off": ("turn off the {device} in the {room}", "switch the {device} in the {room} off",
                     "stop the {room} {device}", "nobody needs the {device} in the {room}",
                     "the {room} {device} should not run", "in the {room}, stop the {device}"),
        "open": ("open the {opening} in the {room}", "the {room} {opening} should be open",
                 "let air in by the {opening} of the {room}", "I want the {room} {opening} open"),
        "close": ("close the {opening} in the {room}", "the {room} {opening} should be shut",
                  "shut the {opening} of the {room}", "keep the {room} {opening} closed"),
        "heat": ("set the {room} to {degrees} degrees", "make it {degrees} degrees in the {room}",
                 "heat the {room} to {degrees}", "the {room} should have {degrees} degrees"),
        "play": ("play {music} in the {room}", "I want to hear {music} in the {room}",
                 "put {music} on in the {room}", "the {room} should have some {music}"),
    },
    ("; ", ", then ", " and "),
)  # fmt: skip
VALIDATION = Words(
    ("attic", "studio", "playroom", "dormitory"), ("lamp", "speaker", "toaster"),
    ("flap", "lid", "grille"), ("folk", "soul", "metal"), (17, 23),
    {
        "turn_on": ("start the {device} in the {room}", "put the {room} {device} on"),
        "turn_off": ("stop the {device} in the {room}", "put the {room} {device} off"),
        "open": ("I want the {opening} in the {room} open", "open the {room} {opening}"),
        "close": ("I want the {opening} in the {room} shut", "close the {room} {opening}"),
        "heat": ("I want {degrees} degrees in the {room}", "set {degrees} degrees in the {room}"),
        "play": ("start some {music} in the {room}", "let the {room} hear {music}"),
    },
    ("; ", ", then "),
)  # fmt: skip
TEST = Words(
    ("library", "porch", "workshop", "sauna", "barn", "chapel"),
    ("television", "humidifier", "projector", "charger", "mixer"),
    ("shutter", "skylight", "hatch", "roof"), ("swing", "techno", "tango", "salsa"), (14, 20, 26),
    {
        "turn_on": ("switch on the {room} {device}", "in the {room}, turn the {device} on",
                    "let the {device} in the {room} start"),
        "turn_off": ("switch off the {room} {device}", "in the {room}, turn the {device} off",
                     "let the {device} in the {room} stop"),
        "open": ("in the {room}, open the {opening}", "let the {opening} of the {room} be open"),
        "close": ("in the {room}, shut the {opening}", "let the {opening} of the {room} be closed"),
        "heat": ("in the {room}, make it {degrees} degrees", "heat the {room} up to {degrees}"),
        "play": ("in the {room}, play {music}", "I need to hear {music} in the {room}"),
    },
    ("; ", ", then "),
)  # fmt: skip
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def problems(words: Words, count: int, things: int, seed: str) -> list[Trajectory]:
    """`count` distinct requests for so many things; the answer is all commands, in their order."""
    rng = random.Random(seed)
    found: dict[str, Trajectory] = {}
    while len(found) < count:
        asked, commands = zip(*(_thing(words, rng) for _ in range(things)), strict=True)
        if len(set(commands)) < things:
            continue
        text = asked[0] + "".join(rng.choice(words.between) + other for other in asked[1:])
        problem = f"{text[0].upper()}{text[1:]}."
        found[problem] = Trajectory(
            f"home/{len(found)}", problem, (*commands, DONE), "\n".join(commands)
        )
    return list(found.values())


def _thing(words: Words, rng: random.Random) -> tuple[str, str]:
    name = rng.choice(list(COMMANDS))
    about = {
        "room": rng.choice(words.rooms),
        "device": rng.choice(words.devices),
        "opening": rng.choice(words.openings),
        "music": rng.choice(words.music),
        "degrees": rng.choice(words.degrees),
    }
    return rng.choice(words.frames[name]).format(**about), COMMANDS[name].format(**about)
