"""Several sequences at once on PyTorch, whose model is transformers'."""

import inspect
from collections.abc import Sequence
from typing import Any

from srl_edge.devices.runtimes.contract import Logits
from srl_edge.method.prompts import shared_length

_LEAST = 32  # tokens that all prompts share, for which a pass of their own pays


def takes_rows(model: Any) -> bool:
    """Whether a model's caches are keys and values alone, which rows of padded texts may share."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    return all(type(layer) in plain for layer in DynamicCache(config=model.config).layers)


class TorchRows:
    """Implements `Rows`: what prompts share is read once, and the rest is padded on its left."""

    def __init__(self, model: Any) -> None:
        import torch

        self._torch, self._model = torch, model
        # Not every family is told positions; those that are not take them from the mask, or as
        # MPT from places in the cache, between which no padding may then stand.
        self._positioned = "position_ids" in inspect.signature(model.forward).parameters
        self._bytes = 0
        self._shared: list[int] = []
        self._read: list[tuple[Any, Any]] = []  # keys and values of `_shared`, a pair a layer

    def bytes_a_token(self) -> int:
        if not self._bytes:
            self._cache, self._mask = self._filled(0, 1), self._torch.ones(1, 1).long()
            self._forward(self._torch.tensor([[0]]))
            held = [(layer.keys, layer.values) for layer in self._cache.layers]
            self._bytes = sum(part.nbytes for both in held for part in both if part is not None)
        return max(self._bytes, 1)

    def start(self, prompts: Sequence[Sequence[int]], room: int) -> Logits:
        del room
        torch = self._torch
        alike = list(dict.fromkeys(map(tuple, prompts)))  # attempts at one problem ask the same
        known = self._read_shared(alike)
        width = max(map(len, alike))
        ids = torch.tensor([[0] * (width - len(p)) + list(p[known:]) for p in alike])
        self._mask = torch.tensor(
            [[1] * known + [0] * (width - len(p)) + [1] * (len(p) - known) for p in alike]
        )
        self._cache = self._filled(known, len(alike))
        logits = self._forward(ids)
        rows = [alike.index(tuple(p)) for p in prompts]
        if len(alike) < len(prompts):
            self.keep(rows)
        found: Logits = logits[rows]
        return found

    def advance(self, tokens: Sequence[int]) -> Logits:
        one = self._torch.ones(len(tokens), 1, dtype=self._mask.dtype)
        self._mask = self._torch.cat([self._mask, one], 1)
        return self._forward(self._torch.tensor(tokens)[:, None])

    def keep(self, rows: Sequence[int]) -> None:
        chosen = self._torch.tensor(rows)
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]

    def _read_shared(self, prompts: Sequence[Sequence[int]]) -> int:
        """How many tokens all prompts begin with, once their keys and values are known."""
        from transformers.cache_utils import DynamicLayer

        least = min(min(shared_length(prompts[0], p) for p in prompts), *map(len, prompts))
        count = min(least, min(map(len, prompts)) - 1)
        empty = self._filled(0, 1)
        if (
            count < _LEAST
            or not self._positioned
            or any(type(layer) is not DynamicLayer for layer in empty.layers)
        ):
            return 0
        ids = list(prompts[0][:count])
        known = shared_length(self._shared, ids)
        if known < count:
            self._cache = self._filled(known, 1)
            self._mask = self._torch.ones(1, count, dtype=self._torch.long)
            self._forward(self._torch.tensor([ids[known:]]))
            self._read = [(layer.keys, layer.values) for layer in self._cache.layers]
            self._shared = ids
        return count

    def _filled(self, known: int, rows: int) -> Any:
        """A cache of rows that all begin with the first `known` tokens of what is shared."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self._model.config)
        for layer, (keys, values) in enumerate(self._read if known else ()):
            cache.update(
                keys[:, :, :known].expand(rows, -1, -1, -1),
                values[:, :, :known].expand(rows, -1, -1, -1),
                layer,
            )
        return cache

    def _forward(self, ids: Any) -> Logits:
        """Logits [R, V] after the last of ids [R, S], whose mask is the end of `_mask`."""
        asked = {}
        if self._positioned:
            positions = (self._mask.cumsum(1) - 1).clamp(min=0)
            asked["position_ids"] = positions[:, -ids.shape[1] :]
        with self._torch.inference_mode():
            out = self._model(
                input_ids=ids,
                attention_mask=self._mask,
                past_key_values=self._cache,
                logits_to_keep=1,
                **asked,
            )
        logits: Logits = out.logits[:, -1].float().numpy()
        return logits
