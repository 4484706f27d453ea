"""Word problems for the learning benchmark: a count that changes, one event a step.

A template is a setting (its own words for what happens) and an order of gains and losses. Training,
validation and test share no setting. How hard a problem is depends on the number of events and the
size of the numbers.
"""

import random
from dataclasses import dataclass

from srl_edge.types import Trajectory

NAMES = ("Ann", "Omar", "Mei", "Lucas", "Priya", "Tom", "Sara", "Diego", "Nina", "Ivan")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is counted, how the story starts, and what can happen: (told, worked out)."""

    thing: str
    start: str
    gains: tuple[tuple[str, str], ...]
    losses: tuple[tuple[str, str], ...]


SETTINGS = (
    Setting("marbles", "{name} has {n} marbles in a jar.",
            (("{name} finds {n} marbles under the bed.", "With those from under the bed"),
             ("A friend gives {name} {n} marbles.", "With the friend's marbles")),
            (("{name} loses {n} marbles in a game.", "After the game"),
             ("{n} marbles roll down a drain.", "Without those in the drain"))),
    Setting("books", "A shelf in the school of {name} holds {n} books.",
            (("The teacher adds {n} books.", "With the teacher's books"),
             ("A parcel with {n} books arrives.", "With the parcel")),
            (("Pupils borrow {n} books.", "After the pupils have borrowed"),
             ("{n} old books are thrown away.", "Without the old ones"))),
    Setting("eggs", "{name} collects {n} eggs in the morning.",
            (("The hens lay {n} eggs at noon.", "With the eggs of noon"),
             ("A neighbour brings {n} eggs.", "With the neighbour's eggs")),
            (("{n} eggs break on the way.", "After some broke"),
             ("{name} bakes a cake with {n} eggs.", "After the cake"))),
    Setting("passengers", "A bus that {name} drives starts with {n} passengers.",
            (("At the station {n} people get on.", "After the station"),
             ("{n} children get on at the school.", "With the children")),
            (("{n} people get off at the market.", "After the market"),
             ("At the park {n} people leave the bus.", "After the park"))),
    Setting("coins", "{name} keeps {n} coins in a box.",
            (("Grandmother puts {n} coins into it.", "With grandmother's coins"),
             ("{name} earns {n} coins by washing cars.", "With the earned coins")),
            (("{name} spends {n} coins on a kite.", "After the kite"),
             ("A ticket costs {name} {n} coins.", "After the ticket"))),
    Setting("apples", "{name} picks {n} apples.",
            (("A brother picks {n} apples more.", "With the brother's apples"),
             ("{name} buys {n} apples at the market.", "With the bought apples")),
            (("{n} apples are rotten and go to the pigs.", "Without the rotten ones"),
             ("{name} presses juice out of {n} apples.", "After the juice"))),
    Setting("pencils", "There are {n} pencils in the drawer of {name}.",
            (("{name} buys a pack of {n} pencils.", "With the pack"),
             ("{n} pencils turn up behind the desk.", "With those from behind the desk")),
            (("{name} lends {n} pencils to the class.", "After lending some"),
             ("{n} pencils break.", "Without the broken ones"))),
    Setting("fish", "{name} has a pond with {n} fish.",
            (("{n} fish hatch in spring.", "After spring"),
             ("{name} sets {n} fish free in it.", "With those set free")),
            (("A heron eats {n} fish.", "After the heron"),
             ("{name} gives {n} fish to the zoo.", "Without those for the zoo"))),
    Setting("stickers", "{name} owns {n} stickers.",
            (("A magazine comes with {n} stickers.", "With the magazine"),
             ("{name} swaps a toy for {n} stickers.", "After the swap")),
            (("{name} glues {n} stickers on a door.", "After the door"),
             ("A sister takes {n} stickers.", "Without those of the sister"))),
    Setting("chairs", "{name} sets up {n} chairs in a hall.",
            (("Helpers carry in {n} chairs.", "With the helpers' chairs"),
             ("{n} chairs come from the cellar.", "With those from the cellar")),
            (("{n} chairs are taken to the stage.", "Without those on the stage"),
             ("{name} puts {n} wobbly chairs aside.", "Without the wobbly ones"))),
    Setting("tickets", "{name} has {n} tickets to sell.",
            (("The theatre prints {n} tickets more.", "With the new tickets"),
             ("Visitors hand back {n} tickets.", "With those handed back")),
            (("{name} sells {n} tickets on Monday.", "After Monday"),
             ("On Friday {n} tickets are sold.", "After Friday"))),
    Setting("sheep", "{name} looks after {n} sheep.",
            (("{n} lambs are born.", "With the lambs"),
             ("A farmer leaves {n} sheep with {name}.", "With the farmer's sheep")),
            (("{n} sheep run away in the night.", "After the night"),
             ("{name} sells {n} sheep at the fair.", "After the fair"))),
    # Validation.
    Setting("cups", "A café that {name} runs owns {n} cups.",
            (("{name} orders {n} cups.", "With the order"),
             ("{n} cups come back from a party.", "With those from the party")),
            (("A waiter drops {n} cups.", "After the fall"),
             ("{n} cups are lent to a club.", "Without those of the club"))),
    Setting("photos", "{name} has {n} photos on a phone.",
            (("{name} takes {n} photos at the lake.", "With those of the lake"),
             ("A cousin sends {n} photos.", "With the cousin's photos")),
            (("{name} deletes {n} photos that are blurred.", "Without the blurred ones"),
             ("{n} photos are lost in an update.", "After the update"))),
    # Test.
    Setting("bricks", "{name} stacks {n} bricks.",
            (("A truck brings {n} bricks.", "With the truck's bricks"),
             ("{name} digs up {n} bricks in the yard.", "With those from the yard")),
            (("{n} bricks go into a wall.", "After the wall"),
             ("{n} bricks crack in the frost.", "After the frost"))),
    Setting("roses", "{name} grows {n} roses.",
            (("{n} roses open in June.", "After June"),
             ("{name} plants {n} roses more.", "With those planted")),
            (("{name} cuts {n} roses for a wedding.", "After the wedding"),
             ("A storm ruins {n} roses.", "After the storm"))),
    Setting("cards", "{name} collects cards and has {n} of them.",
            (("{name} opens a pack with {n} cards.", "With the pack"),
             ("An uncle mails {n} cards.", "With the uncle's cards")),
            (("{name} gives {n} cards to a friend.", "After the gift"),
             ("The dog chews up {n} cards.", "After the dog"))),
    Setting("boats", "{n} boats lie in the harbour where {name} works.",
            (("{n} boats sail in at dawn.", "After dawn"),
             ("{n} boats return from a race.", "After the race")),
            (("{n} boats leave to catch fish.", "Without those that catch fish"),
             ("{name} sends {n} boats to be painted.", "Without those being painted"))),
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
        for k in range(events):
            room = min(largest - amount, largest // 2)
            gain = room > 2 and (amount < 5 or rng.random() < 0.5)
            change = rng.randrange(2, room if gain else min(amount, largest // 2))
            text, after = rng.choice(setting.gains if gain else setting.losses)
            told.append(text.format(name=name, n=change))
            result = amount + change if gain else amount - change
            worked = f"{amount} {'+' if gain else '-'} {change} = {result} {setting.thing}"
            steps.append(f"{after}, {'there are' if k % 2 else 'that makes'} {worked}.")
            amount = result
        question = f"How many {setting.thing} are there in the end?"
        problem = " ".join((*told, question))
        steps[-1] += f"\n#### {amount}"
        number = f"{setting.thing}/{len(found)}"
        found[problem] = Trajectory(number, problem, tuple(steps), str(amount))
    return list(found.values())
