"""Word problems that are made up: a count that changes, one event a step.

A template is a setting (its own words for what happens) and an order of gains and losses. Training,
validation and test share no setting; what is told in the held-out ones is told with verbs that
occur in training too, of other things and in other sentences. How hard a problem is depends on the
number of events and the size of the numbers.
"""

import random
from dataclasses import dataclass

from srl_edge.method.types import Trajectory

NAMES = ("Ann", "Omar", "Mei", "Lucas", "Priya", "Tom", "Sara", "Diego", "Nina", "Ivan")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is counted, how the story starts, and what can happen."""

    thing: str
    start: str
    gains: tuple[str, ...]
    losses: tuple[str, ...]


SETTINGS = (
    Setting("marbles", "{name} has {n} marbles in a jar.",
            ("{name} finds {n} more under the bed.", "A friend gives {name} {n} marbles.",
             "{name} wins {n} marbles in a game."),
            ("{name} loses {n} marbles in the grass.", "{name} gives {n} of them away.",
             "A sister takes {n} marbles.")),
    Setting("books", "A shelf in the school of {name} holds {n} books.",
            ("The teacher adds {n} books.", "A parcel brings {n} more books.",
             "{name} buys {n} books for it."),
            ("Pupils borrow {n} books.", "{n} old books are thrown away.",
             "{name} sells {n} of the books.")),
    Setting("eggs", "{name} has collected {n} eggs.",
            ("The hens lay {n} more.", "A neighbour brings {n} eggs.",
             "{name} finds {n} eggs in the barn."),
            ("{n} eggs break on the way.", "{name} uses {n} eggs for a cake.",
             "The family eats {n} of them.")),
    Setting("passengers", "A bus that {name} drives starts with {n} passengers.",
            ("{n} people get on at the station.", "{n} more get on at the school.",
             "{n} children come in at the park."),
            ("{n} people get off at the market.", "{n} passengers leave the bus.",
             "{n} children get off at the park.")),
    Setting("coins", "{name} keeps {n} coins in a box.",
            ("Grandmother puts {n} more coins into it.", "{name} earns {n} coins.",
             "{name} gets {n} coins from a friend."),
            ("{name} spends {n} coins on a kite.", "{name} pays {n} coins for a ticket.",
             "{name} loses {n} of the coins.")),
    Setting("apples", "{name} picks {n} apples.",
            ("A brother picks {n} more.", "{name} buys {n} apples at the market.",
             "A neighbour gives {name} {n} apples."),
            ("{n} rotten apples are thrown away.", "{name} eats {n} of the apples.",
             "{name} uses {n} apples to make juice.")),
    Setting("pencils", "There are {n} pencils in the drawer of {name}.",
            ("{name} buys {n} more pencils.", "{name} puts {n} pencils into it.",
             "{n} pencils come in the mail."),
            ("{name} lends {n} pencils to the class.", "{n} pencils break.",
             "A brother takes {n} of them away.")),
    Setting("fish", "{name} has a pond with {n} fish.",
            ("{n} more fish hatch.", "{name} adds {n} fish to the pond.",
             "{name} gets {n} fish from the zoo."),
            ("A bird eats {n} fish.", "{n} fish die in the winter.",
             "{name} gives {n} of the fish away.")),
    Setting("stickers", "{name} owns {n} stickers.",
            ("{name} gets {n} more with a magazine.", "{name} trades a toy for {n} stickers.",
             "An uncle sends {n} stickers."),
            ("{name} uses {n} stickers on a door.", "{name} lends a sister {n} of them.",
             "{name} sells {n} stickers.")),
    Setting("chairs", "{name} sets up {n} chairs in a hall.",
            ("Helpers bring {n} more chairs.", "{n} chairs come from the cellar.",
             "{name} adds {n} chairs at the back."),
            ("{n} chairs are taken to the stage.", "{name} removes {n} of the chairs.",
             "{n} chairs break.")),
    Setting("tickets", "{name} has {n} tickets for a play.",
            ("The theatre prints {n} more tickets.", "People bring {n} tickets back.",
             "{name} receives {n} tickets."),
            ("{name} sells {n} tickets on Monday.", "{n} of the tickets get lost.",
             "Friends take {n} tickets.")),
    Setting("sheep", "{name} looks after {n} sheep.",
            ("{n} lambs are born.", "A farmer leaves {n} more sheep with {name}.",
             "{name} buys {n} sheep."),
            ("{n} sheep run away.", "{name} sells {n} sheep at the fair.",
             "A wolf kills {n} of the sheep.")),
    # Validation.
    Setting("cups", "A café that {name} runs owns {n} cups.",
            ("{name} buys {n} cups.", "A guest brings {n} more.", "{n} cups come back."),
            ("A waiter breaks {n} cups.", "{name} lends {n} cups to a club.",
             "{n} of the cups are thrown away.")),
    Setting("photos", "{name} has {n} photos on a phone.",
            ("{name} adds {n} photos of the lake.", "A cousin sends {n} more.",
             "{name} gets {n} photos from Mei."),
            ("{name} removes {n} photos.", "{n} photos get lost.",
             "{name} throws away {n} of them.")),
    # Test.
    Setting("bricks", "{name} stacks {n} bricks.",
            ("A truck brings {n} more bricks.", "{name} finds {n} bricks in the yard.",
             "{name} puts {n} bricks on top."),
            ("{name} uses {n} bricks for a wall.", "{n} bricks break in the frost.",
             "Workers take {n} of them away.")),
    Setting("roses", "The garden of {name} has {n} roses.",
            ("{name} buys {n} roses.", "{name} adds {n} more by the gate.",
             "An aunt gives {name} {n} roses."),
            ("{name} sells {n} roses at a wedding.", "{n} roses die in a storm.",
             "{name} gives {n} of them to the teacher.")),
    Setting("cards", "{name} collects cards and has {n} of them.",
            ("{name} wins {n} cards.", "A neighbour sends {n} more.",
             "{name} gets {n} cards in a shop."),
            ("{name} gives {n} cards away.", "{name} loses {n} cards on a train.",
             "{name} trades away {n} of the cards.")),
    Setting("boats", "{n} boats lie in the harbour where {name} works.",
            ("{n} boats come in at dawn.", "{n} more come back from a race.",
             "The owner buys {n} boats."),
            ("{n} boats leave to catch fish.", "{n} of the boats are taken away.",
             "The owner sells {n} boats.")),
)  # fmt: skip
SPLITS = {"train": SETTINGS[:12], "validation": SETTINGS[12:14], "test": SETTINGS[14:]}


def problems(
    settings: tuple[Setting, ...], count: int, events: int, largest: int, seed: str
) -> list[Trajectory]:
    """`count` distinct problems, the settings in turn; what is counted stays in 0 .. `largest`."""
    rng = random.Random(seed)
    found: dict[str, Trajectory] = {}
    while len(found) < count:
        setting = settings[len(found) % len(settings)]
        name, amount = rng.choice(NAMES), rng.randrange(largest // 5, largest * 3 // 4)
        told, steps = [setting.start.format(name=name, n=amount)], []
        for _ in range(events):
            room = min(largest - amount, largest // 2)
            gain = room > 2 and (amount < 5 or rng.random() < 0.5)
            change = rng.randrange(2, room if gain else min(amount, largest // 2))
            sentence = rng.choice(setting.gains if gain else setting.losses)
            told.append(sentence.format(name=name, n=change))
            result = amount + change if gain else amount - change
            worked = f"{amount} {'+' if gain else '-'} {change} = {result}"
            steps.append(f"{told[-1][:-1]}, so there are {'more' if gain else 'fewer'}: {worked}.")
            amount = result
        question = f"How many {setting.thing} are there in the end?"
        problem = " ".join((*told, question))
        steps.append(f"#### {amount}")
        number = f"{setting.thing}/{len(found)}"
        found[problem] = Trajectory(number, problem, tuple(steps), str(amount))
    return list(found.values())
