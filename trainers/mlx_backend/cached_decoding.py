"""Decoding by mlx-lm's own forward pass: a prompt's cache is forked into its group's rows."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map

from srl_edge.trainers.mlx_backend.cached_decoder import Caches, MlxCachedDecoder
from srl_edge.trainers.mlx_backend.decoding import Draw
from srl_edge.trainers.policy.packing import PrefixCache, pack
from srl_edge.trainers.policy.sampling import Drawn, Ids


class MlxCachedDecoding:
    """Implements `Decoding`; all rows of a prompt are one batch."""

    def __init__(self, decoder: MlxCachedDecoder) -> None:
        self.decoder = decoder

    def start(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        del prefix_cache  # a recurrence's state cannot go back to where a prompt leaves another
        self.draw = Draw(self.decoder, temperature, seed)
        self.caches: list[Caches] = [[]] * len(prompts)
        last = [mx.zeros(0)] * len(prompts)
        for packed in pack(prompts, [()] * len(prompts), gate=1.0):
            trunk = self.decoder.trunk(packed)
            self.decoder.model.eval()
            for owner, bound, row in zip(packed.owners, packed.bounds, packed.rows, strict=True):
                caches = self.decoder.at(bound, trunk, packed, 1)
                last[owner] = self.decoder.run(mx.array([row]), caches)[0, -1]
                self.caches[owner] = forked(caches, [0] * group_size)
                mx.eval(last[owner], [cache.state for cache in self.caches[owner]])
        return self.draw(mx.repeat(mx.stack(last), group_size, axis=0))

    def advance(self, ids: Ids, step: int) -> Drawn:
        rows = mx.array(ids).reshape(len(self.caches), -1, 1)
        hidden = [self.decoder.run(*one)[:, 0] for one in zip(rows, self.caches, strict=True)]
        return self.draw(mx.concatenate(hidden))

    def keep(self, prompts: Ids, rows: Ids) -> None:
        self.caches = [
            forked(self.caches[prompt], kept) for prompt, kept in zip(prompts, rows, strict=True)
        ]

    def finish(self) -> None:
        del self.caches


def forked(caches: Caches, rows: Any) -> Caches:
    """Copies of the caches with these rows, each of which goes on alone."""
    which = mx.array(np.asarray(rows))
    copies = [copy(cache) for cache in caches]
    for cache in copies:
        cache.state = tree_map(lambda x: x[which] if isinstance(x, mx.array) else x, cache.state)
    return copies
