"""The order in which step prompts are trained on."""

from collections.abc import Sequence
from random import Random

from srl_edge.errors import InputError
from srl_edge.method.types import StepPrompt


class PromptStream:
    """An endless shuffled stream of step prompts, addressed by how many were taken.

    Trajectories are shuffled, their steps stay together: neighbours share a prefix. The longest
    comes first of all, so that memory that does not suffice shows at the first step.
    """

    def __init__(self, prompts: Sequence[Sequence[StepPrompt]], seed: str) -> None:
        if not prompts:
            raise InputError("data: no step prompts to train on; the trajectories are too short.")
        self.prompts = prompts
        self.seed = seed
        self.size = sum(map(len, prompts))
        self._epoch: tuple[int, list[StepPrompt]] = (-1, [])

    def take(self, cursor: int, count: int) -> list[StepPrompt]:
        """`count` prompts from position `cursor` on."""
        return [self._at(i) for i in range(cursor, cursor + count)]

    def _at(self, index: int) -> StepPrompt:
        epoch = index // self.size
        if self._epoch[0] != epoch:
            order = list(self.prompts)
            Random(f"{self.seed}/{epoch}").shuffle(order)
            if epoch == 0:
                longest = max(range(len(order)), key=lambda i: _characters(order[i]))
                order.insert(0, order.pop(longest))
            self._epoch = epoch, [p for trajectory in order for p in trajectory]
        return self._epoch[1][index % self.size]


def _characters(trajectory: Sequence[StepPrompt]) -> int:
    """Characters of the longest prompt and the reply to it."""
    return max(
        len(p.problem) + sum(map(len, p.previous_steps)) + len(p.expert_action) for p in trajectory
    )
