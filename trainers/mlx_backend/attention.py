"""Attention on MLX over packed tokens: of a trunk, of rows that leave it, and of rows that decode.

Queries are [N, H, D], keys and values [N, Hkv, D]. Inside, the heads that share keys and values
meet them in one product, so that neither is copied for each head or row.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

KeysValues = list[tuple[mx.array, mx.array]]
BLOCK = 16  # places for new tokens that are added at a time


class Causal:
    """Plain causal attention over one text; keeps each layer's keys and values in `kept`."""

    def __init__(self, length: int) -> None:
        self.positions = mx.arange(length)
        self.kept: dict[int, tuple[mx.array, mx.array]] = {}

    def __call__(
        self,
        layer: int,
        q: mx.array,
        k: mx.array,
        v: mx.array,
        scaling: float,
        window: int | None,
    ) -> mx.array:
        mask: Any = "causal"
        if window is not None and len(q) > window:
            distance = self.positions[:, None] - self.positions
            mask = (distance >= 0) & (distance < window)
        q, k, v = (x.transpose(1, 0, 2)[None] for x in (q, k, v))
        out = mx.fast.scaled_dot_product_attention(q, k, v, scale=scaling, mask=mask)
        return out[0].transpose(1, 0, 2)

    def trunk_of(self, layer: int) -> tuple[mx.array, ...]:
        """Keys and values from elsewhere that a gradient goes to: none."""
        del layer
        return ()

    def with_trunk(self, layer: int, trunk: tuple[mx.array, ...]) -> "Causal":
        """Itself, as it has no trunk."""
        del layer, trunk
        return self


class RowAttention:
    """Attention of rows to their part of the trunk and to themselves, over packed tokens [N].

    `kept` maps a layer to the rows' own keys and values [N, Hkv, D].
    """

    def __init__(
        self, rows: Sequence[tuple[int, ...]], seen: Sequence[int], trunk: KeysValues
    ) -> None:
        lengths = np.array([len(r) for r in rows])
        bounds, offsets = np.array(seen), np.arange(lengths.max())
        starts = np.cumsum(lengths) - lengths
        inside = offsets < lengths[:, None]
        self.trunk = trunk
        self.seen = max(seen)  # no row looks at the trunk beyond it
        self.kept: dict[int, tuple[mx.array, mx.array]] = {}
        self.ids = mx.array([i for row in rows for i in row])
        self.positions = mx.array((bounds[:, None] + offsets)[inside])
        # Rows are padded to the widest for attention alone; linear layers see no padding.
        self._gather = mx.array(np.minimum(starts[:, None] + offsets, lengths.sum() - 1))
        self._scatter = mx.array(np.flatnonzero(inside))
        self._bounds, self._offsets = bounds, offsets
        self._masks: dict[int | None, mx.array] = {}

    def trunk_of(self, layer: int) -> tuple[mx.array, ...]:
        """Keys and values from elsewhere that a gradient goes to: the trunk's in a layer."""
        return self.trunk[layer]

    def with_trunk(self, layer: int, trunk: Any) -> "RowAttention":
        """Attend to these keys and values in a layer from now on."""
        self.trunk = [*self.trunk[:layer], trunk, *self.trunk[layer + 1 :]]
        return self

    def __call__(
        self,
        layer: int,
        q: mx.array,
        k: mx.array,
        v: mx.array,
        scaling: float,
        window: int | None,
    ) -> mx.array:
        (rows, width), (kv_heads, dim) = self._gather.shape, k.shape[1:]
        trunk_k, trunk_v = (x[: self.seen].transpose(1, 0, 2) for x in self.trunk[layer])
        own_k, own_v = (x[self._gather].transpose(2, 0, 1, 3) for x in (k, v))
        queries = (q * scaling)[self._gather].reshape(rows, width, kv_heads, -1, dim)
        queries = queries.transpose(2, 0, 3, 1, 4).reshape(kv_heads, rows, -1, dim)
        flat = queries.reshape(kv_heads, -1, dim)
        to_trunk = (flat @ trunk_k.swapaxes(1, 2)).reshape(*queries.shape[:3], -1)
        scores = mx.concatenate([to_trunk, queries @ own_k.swapaxes(2, 3)], -1)
        by_head = scores.reshape(kv_heads, rows, -1, width, scores.shape[-1]) + self._mask(
            window, scores.dtype
        )
        weights = mx.softmax(by_head.reshape(scores.shape), -1, precise=True)
        on_trunk, on_own = weights[..., : self.seen], weights[..., self.seen :]
        out = (on_trunk.reshape(kv_heads, -1, self.seen) @ trunk_v).reshape(queries.shape)
        out = out + on_own @ own_v
        out = out.reshape(kv_heads, rows, -1, width, dim).transpose(1, 3, 0, 2, 4)
        return out.reshape(rows * width, -1, dim)[self._scatter]

    def _mask(self, window: int | None, dtype: mx.Dtype) -> mx.array:
        """-inf where a row's token cannot see, else 0: [R, 1, S, seen + S]."""
        if window not in self._masks:
            at, offsets = np.arange(self.seen), self._offsets
            here = (self._bounds[:, None] + offsets)[:, :, None]  # [R, S, 1]
            shape = (*here.shape[:2], self.seen)
            to_trunk = np.broadcast_to(at >= self._bounds[:, None, None], shape)
            distance = np.broadcast_to(
                offsets[:, None] - offsets, (len(here), len(offsets), len(offsets))
            )
            to_own = distance < 0
            if window is not None:
                to_trunk = to_trunk | (here - at >= window)
                to_own = to_own | (distance >= window)
            hidden = mx.array(np.concatenate([to_trunk, to_own], -1)[:, None])
            self._masks[window] = mx.where(hidden, float("-inf"), 0.0).astype(dtype)
        return self._masks[window]


class SideBySide:
    """Attention of rows of several trunks, each to its own: linear layers see them all at once.

    `kept` maps a layer to all rows' own keys and values [N, Hkv, D].
    """

    def __init__(self, parts: Sequence[RowAttention]) -> None:
        self.parts = parts
        self.kept: dict[int, tuple[mx.array, mx.array]] = {}
        self.ids = mx.concatenate([part.ids for part in parts])
        self.positions = mx.concatenate([part.positions for part in parts])
        self.cuts = np.cumsum([len(part.ids) for part in parts])[:-1].tolist()

    def __call__(
        self,
        layer: int,
        q: mx.array,
        k: mx.array,
        v: mx.array,
        scaling: float,
        window: int | None,
    ) -> mx.array:
        each = zip(self.parts, *(mx.split(x, self.cuts) for x in (q, k, v)), strict=True)
        return mx.concatenate([part(layer, *heads, scaling, window) for part, *heads in each])


class DecodeAttention:
    """Attention of one new token a row; the rows of a group share their prompt.

    Rows form a grid [P, G]. Prompt keys and values: [P, Hkv, T, D] a layer, padded, `lengths` [P]
    of it real; own keys and values: [P, Hkv, G, places, D].
    """

    def __init__(self, prompts: KeysValues, lengths: Any, group: int) -> None:
        count, kv_heads, _, dim = prompts[0][0].shape
        self.prompts, self.lengths, self.group, self.step = prompts, lengths, group, 0
        none = mx.zeros((count, kv_heads, group, 0, dim), prompts[0][0].dtype)
        self.own = [(none, none) for _ in prompts]
        self.kept: dict[int, Any] = {}
        self._masks: dict[int | None, mx.array] = {}

    def advance(self, step: int) -> None:
        """Go to the next token: its keys and values are written at place `step`."""
        self.step = step
        self._masks = {}
        if step == self.own[0][0].shape[3]:
            room = [(0, 0), (0, 0), (0, 0), (0, BLOCK), (0, 0)]
            self.own = [(mx.pad(k, room), mx.pad(v, room)) for k, v in self.own]

    @property
    def positions(self) -> mx.array:
        """Position of the token being decoded, [P * G]."""
        return mx.array(np.repeat(self.lengths + self.step, self.group))

    def __call__(
        self,
        layer: int,
        q: mx.array,
        k: mx.array,
        v: mx.array,
        scaling: float,
        window: int | None,
    ) -> mx.array:
        (prompt_k, prompt_v), (own_k, own_v) = self.prompts[layer], self.own[layer]
        count, kv_heads, group, places, dim = own_k.shape
        width = prompt_k.shape[2]
        own_k[:, :, :, self.step] = k.reshape(count, group, kv_heads, dim).swapaxes(1, 2)
        own_v[:, :, :, self.step] = v.reshape(count, group, kv_heads, dim).swapaxes(1, 2)
        self.own[layer] = own_k, own_v
        grid = (q * scaling).reshape(count, group, kv_heads, -1, dim).swapaxes(1, 2)
        by_prompt = grid.reshape(count, kv_heads, -1, dim)
        to_prompt = (by_prompt @ prompt_k.swapaxes(2, 3)).reshape(*grid.shape[:4], width)
        scores = mx.concatenate([to_prompt, grid @ own_k.swapaxes(3, 4)], -1)
        weights = mx.softmax(scores + self._mask(window, width, places, scores.dtype), -1)
        on_prompt = weights[..., :width].reshape(*by_prompt.shape[:3], width)
        out = (on_prompt @ prompt_v).reshape(grid.shape) + weights[..., width:] @ own_v
        return out.swapaxes(1, 2).reshape(q.shape)

    def _mask(self, window: int | None, width: int, places: int, dtype: mx.Dtype) -> mx.array:
        """-inf where a row cannot see a prompt's or its own token: [P, 1, 1, 1, T + places]."""
        if window not in self._masks:
            at, age = np.arange(width), self.step - np.arange(places)
            hidden, not_own = at >= self.lengths[:, None], age < 0
            if window is not None:
                hidden = hidden | (self.lengths[:, None] + self.step - at >= window)
                not_own = not_own | (age >= window)
            not_own = np.broadcast_to(not_own, (len(hidden), places))
            both = mx.array(np.concatenate([hidden, not_own], -1)[:, None, None, None])
            self._masks[window] = mx.where(both, float("-inf"), 0.0).astype(dtype)
        return self._masks[window]

    def keep(self, prompts: Any, rows: Any) -> None:
        """Go on with prompts [P'] and, of each, rows [P', G'], as `Decoding.keep` says."""
        self.lengths, self.group = self.lengths[prompts], rows.shape[1]
        width, which = int(self.lengths.max()), mx.array(prompts)
        self.prompts = [(k[which, :, :width], v[which, :, :width]) for k, v in self.prompts]
        heads = mx.arange(self.own[0][0].shape[1])[:, None]
        slots = which[:, None, None], heads, mx.array(rows)[:, None]
        self.own = [(k[slots], v[slots]) for k, v in self.own]
