"""Decoding on MLX: shared prefixes are prefilled once, and forked into the rows of their groups."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np

from srl_edge.trainers.mlx_backend.attention import (
    DecodeAttention,
    KeysValues,
    RowAttention,
    SideBySide,
)
from srl_edge.trainers.mlx_backend.decoder import MlxDecoder
from srl_edge.trainers.mlx_backend.logprobs import bent_logits
from srl_edge.trainers.policy.packing import PrefixCache, pack, passes
from srl_edge.trainers.policy.sampling import Drawn, Ids


class MlxDecoding:
    """Implements `Decoding` with a decoder and its projection to the vocabulary."""

    def __init__(self, decoder: MlxDecoder) -> None:
        # No gradient is taken, so no layer is computed again.
        self.decoder = replace(decoder, checkpointed=False)

    def start(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        caches, hidden = prefill(self.decoder, prompts, prefix_cache)
        self.draw = Draw(self.decoder, temperature, seed)
        self.attention = DecodeAttention(caches, np.array([len(p) for p in prompts]), group_size)
        return self.draw(mx.repeat(hidden, group_size, axis=0))

    def advance(self, ids: Ids, step: int) -> Drawn:
        self.attention.advance(step)
        return self.draw(self.decoder(mx.array(ids), self.attention))

    def keep(self, prompts: Ids, rows: Ids) -> None:
        self.attention.keep(prompts, rows)

    def finish(self) -> None:
        del self.attention


class Draw:
    """Draws a token for each row; greedy ones carry their log-probability at temperature 1."""

    def __init__(self, decoder: Any, temperature: float, seed: int) -> None:
        self.decoder, self.temperature, self.key = decoder, temperature, mx.random.key(seed)

    def __call__(self, hidden: mx.array) -> Drawn:
        logits, _ = bent_logits(hidden, self.decoder.head, self.decoder.softcap)
        if self.temperature == 0:
            ids = mx.argmax(logits, -1)
        else:
            logits = logits / self.temperature
            self.key, key = mx.random.split(self.key)
            ids = mx.random.categorical(logits, key=key)
        chosen = mx.take_along_axis(logits, ids[:, None], 1)[:, 0] - mx.logsumexp(logits, -1)
        mx.eval(ids, chosen)
        return Drawn(np.array(ids).astype(np.int64), np.array(chosen))


def prefill(
    decoder: MlxDecoder,
    prompts: Sequence[tuple[int, ...]],
    prefix_cache: PrefixCache | None = None,
) -> tuple[KeysValues, mx.array]:
    """Run prompts once, shared prefixes once, and those of the prefix cache not at all.

    Returns a (k, v) [P, Hkv, T, D] for each layer, padded, and hidden states [P, d] after each
    prompt's last token.
    """
    caches: list[KeysValues] = [[] for _ in prompts]
    last: list[mx.array] = [mx.zeros(0)] * len(prompts)
    read = {} if prefix_cache is None else prefix_cache
    for together in passes(pack(prompts, [()] * len(prompts), 1.0, read), read):
        trunks = [read.get(p.trunk) or decoder.keys_values(p.trunk) for p in together]
        parts = zip(together, trunks, strict=True)
        rows = SideBySide([RowAttention(p.rows, p.bounds, trunk) for p, trunk in parts])
        hidden = decoder(rows.ids, rows)
        start = 0
        for packed, trunk in zip(together, trunks, strict=True):
            for owner, bound, here in packed.spans(start):
                caches[owner] = [
                    (
                        mx.concatenate([trunk_k[:bound], k[here]]),
                        mx.concatenate([trunk_v[:bound], v[here]]),
                    )
                    for (trunk_k, trunk_v), (k, v) in zip(trunk, rows.kept.values(), strict=True)
                ]
                last[owner] = hidden[here.stop - 1]
                start = here.stop
        mx.eval([caches[owner] for packed in together for owner in packed.owners])
    read.clear()
    width = max(map(len, prompts))
    padded = []
    for layer in range(len(decoder.windows)):
        k, v = (
            mx.stack(
                [
                    mx.pad(cache[layer][side], [(0, width - len(p)), (0, 0), (0, 0)])
                    for p, cache in zip(prompts, caches, strict=True)
                ]
            ).transpose(0, 2, 1, 3)
            for side in (0, 1)
        )
        padded.append((k, v))
    if prefix_cache is not None:
        for index, prompt in enumerate(prompts):
            prefix_cache[prompt] = [
                tuple(x[index, :, : len(prompt)].transpose(1, 0, 2) for x in layer)
                for layer in padded
            ]
    return padded, mx.stack(last)
