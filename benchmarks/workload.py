"""What the training benchmarks compute: optimizer steps over prompts of made-up solutions."""

import random
from dataclasses import dataclass

from srl_edge.method.prompts import step_prompts
from srl_edge.method.types import StepPrompt, Trajectory

GROUP_SIZE = 8
SENTENCES = (
    "{name} packs {a} {thing} into each of {b} crates, so there are {a} * {b} = {product} {thing}.",
    "Adding the {a} {thing} of {day} to the {b} from before gives {a} + {b} = {sum} {thing}.",
    "At {b} dollars for one, the {a} {thing} sold on {day} bring in {product} dollars.",
    "{name} keeps {a} of the {sum} {thing} and gives the other {b} away on {day}.",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What one optimizer step is made of; a sentence is about 30 tokens."""

    trajectories: int
    steps: int
    sentences: int
    new_tokens: int
    warm_up: int
    timed_steps: int

    @property
    def rollouts(self) -> int:
        """Completions of one optimizer step."""
        return self.trajectories * self.steps * GROUP_SIZE


SHAPES = {
    "short": Shape(8, steps=1, sentences=3, new_tokens=64, warm_up=1, timed_steps=2),
    # One step takes TRL a quarter of an hour: next to that, warming up is nothing.
    "long": Shape(1, steps=8, sentences=7, new_tokens=96, warm_up=0, timed_steps=1),
    # The smallest batch there is: nothing but one group to decode together.
    "single": Shape(1, steps=1, sentences=3, new_tokens=64, warm_up=1, timed_steps=3),
}


def step_prompts_of(shape: Shape) -> list[list[StepPrompt]]:
    """Step prompts of each trajectory of an optimizer step, the same ones every time."""
    rng = random.Random(0)
    trajectories = []
    for index in range(shape.trajectories):
        problem = f"{_sentences(rng, 4)} How many dollars does the whole week bring in?"
        steps = tuple(_sentences(rng, shape.sentences) for _ in range(shape.steps))
        trajectories.append(Trajectory(str(index), problem, steps))
    return step_prompts(trajectories, "all")


def _sentences(rng: random.Random, count: int) -> str:
    text = []
    for _ in range(count):
        a, b = rng.randrange(11, 99), rng.randrange(3, 40)
        text.append(
            rng.choice(SENTENCES).format(
                a=a,
                b=b,
                product=a * b,
                sum=a + b,
                name=rng.choice(("Ann", "Omar", "Mei", "Lucas")),
                thing=rng.choice(("apples", "pencils", "eggs", "tickets")),
                day=rng.choice(("Monday", "Wednesday", "Friday")),
            )
        )
    return " ".join(text)
