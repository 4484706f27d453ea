"""The decoder of an mlx-lm model run by mlx-lm itself, from caches that are forked.

For families whose layers share keys and values or carry a state: their forward pass stays mlx-lm's.
What prompts share is run once, up to each place where a row leaves it; rows that leave at one
place are one padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import ArraysCache, KVCache

from srl_edge.trainers.mlx_backend.decoder import projection
from srl_edge.trainers.policy.packing import Pack

Caches = list[Any]
ARRAYS = 2  # of a cache: keys and values, or the states of a convolution and a recurrence


@dataclass(frozen=True, slots=True)
class MlxCachedDecoder:
    """An mlx-lm language model. softcap: logits are bent to stay within it; None: they are not."""

    model: Any
    softcap: float | None

    @property
    def head(self) -> mx.array:
        """The projection to the vocabulary [V, d]."""
        return projection(self.model)

    def trunk(self, packed: Pack) -> list[mx.array]:
        """What the caches hold at each place where rows leave the trunk, in their order."""
        self.model.train()
        caches, held, start = self.caches(), [], 0
        for bound in places(packed):
            self.run(mx.array([packed.trunk[start:bound]]), caches)
            held += [x for cache in caches for x in arrays(cache)]
            start = bound
        return held

    def rows(self, part: Pack, trunk: Sequence[mx.array], whole: Pack) -> mx.array:
        """Hidden states [N, d] of the tokens of some rows of a pack, one row after another."""
        self.model.train()
        found = []
        leaving = zip(part.bounds, part.rows, strict=True)
        for bound, group in groupby(leaving, itemgetter(0)):
            rows = [ids for _, ids in group]
            width = max(map(len, rows))
            # What is at the right of a row's end is seen by nothing before it.
            ids = mx.array([[*row, *[0] * (width - len(row))] for row in rows])
            hidden = self.run(ids, self.at(bound, trunk, whole, len(rows)))
            inside = np.arange(width) < np.array([len(row) for row in rows])[:, None]
            flat = hidden.reshape(-1, hidden.shape[-1])
            found.append(flat[mx.array(np.flatnonzero(inside))])
        return mx.concatenate(found)

    def at(self, bound: int, trunk: Sequence[mx.array], whole: Pack, count: int) -> Caches:
        """Caches of rows that leave the trunk at a place, for so many rows."""
        caches = self.caches()
        if not bound:
            return caches
        start = places(whole).index(bound) * ARRAYS * len(caches)
        for index, cache in enumerate(caches):
            first = start + ARRAYS * index
            one, two = (mx.repeat(x, count, axis=0) for x in trunk[first : first + ARRAYS])
            if isinstance(cache, KVCache):
                cache.state = one, two, bound
            else:
                cache[0], cache[1] = one, two
        return caches

    def caches(self) -> Caches:
        """Empty caches; those of a sliding window keep everything, so that they can be forked."""
        made = self.model.make_cache()
        return [cache if isinstance(cache, ArraysCache) else KVCache() for cache in made]

    def run(self, ids: mx.array, caches: Caches) -> mx.array:
        """Hidden states [B, T, d] of more tokens [B, T], which the caches take in."""
        hidden: mx.array = self.model.model(ids, list(caches))
        return hidden

    def first_layers(self, count: int, ids: mx.array) -> mx.array:
        """Hidden states [T, d] of tokens [T] after so many layers and the last norm."""
        inner = self.model.model
        layers, inner.layers = inner.layers, inner.layers[:count]
        try:
            return self.run(ids[None], self.caches())[0]
        finally:
            inner.layers = layers


def places(packed: Pack) -> list[int]:
    """How much of the trunk rows see, each number once, without nothing at all."""
    return sorted({*packed.bounds} - {0})


def arrays(cache: Any) -> tuple[mx.array, mx.array]:
    """The arrays of a cache that has read something."""
    if isinstance(cache, KVCache):
        return cache.keys[:, :, : cache.offset], cache.values[:, :, : cache.offset]
    return cache[0], cache[1]
