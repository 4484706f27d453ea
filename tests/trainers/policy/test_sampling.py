"""Rows that finish leave the batch: each of the others goes on as if nothing had happened."""

import random

import numpy as np
import pytest

from srl_edge.trainers.policy.packing import PrefixCache
from srl_edge.trainers.policy.sampling import Drawn, Ids, sample

STOP = 0


class Scripted:
    """Says of each row what a script has for it, and keeps a row's name as its cache."""

    def __init__(self, scripts: list[list[int]]) -> None:
        self.scripts, self.slots = scripts, 0

    def start(
        self,
        prompts: object,
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        self.names: Ids = np.arange(len(self.scripts)).reshape(-1, group_size)
        return self._drawn(0)

    def advance(self, ids: Ids, step: int) -> Drawn:
        self.slots += self.names.size
        for name, token in zip(self.names.ravel(), ids, strict=True):
            script = self.scripts[name]  # each reads what itself has drawn
            assert step >= len(script) or token == script[step]
        return self._drawn(step + 1)

    def keep(self, prompts: Ids, rows: Ids) -> None:
        assert len(prompts) * rows.shape[1] <= self.names.size
        self.names = self.names[prompts[:, None], rows]

    def finish(self) -> None: ...

    def _drawn(self, step: int) -> Drawn:
        scripts = [self.scripts[name] for name in self.names.ravel()]
        ids = [script[step] if step < len(script) else 7 for script in scripts]
        return Drawn(np.array(ids), np.array(ids, np.float32))


def scripts_of(lengths: list[int]) -> list[list[int]]:
    return [[*(1 + (i + t) % 5 for t in range(n - 1)), STOP] for i, n in enumerate(lengths)]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_gets_what_it_would_alone(seed: int) -> None:
    rng = random.Random(seed)
    count, group = rng.randint(1, 6), rng.choice([1, 2, 3, 8])
    scripts = scripts_of([rng.randint(1, 40) for _ in range(count * group)])
    prompts = [tuple(range(rng.randint(1, 300))) for _ in range(count)]
    most = rng.choice([10, 60])
    groups = sample(Scripted(scripts), prompts, group, most, 1.0, [STOP], 0, list)
    flat = [rollout for members in groups for rollout in members]
    for rollout, script in zip(flat, scripts, strict=True):
        assert list(rollout.completion_ids) == script[:most]
        assert rollout.logprobs == tuple(map(float, script[:most]))
        assert rollout.finished == (len(script) <= most)


def test_groups_that_finish_unevenly_leave_few_slots_of_padding() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(20, 400) for _ in range(64 * 8)]
    decoding = Scripted(scripts_of(lengths))
    prompts = [tuple(range(120))] * 64
    sample(decoding, prompts, 8, 400, 1.0, [STOP], 0, list)
    assert decoding.slots < 1.25 * sum(lengths)
