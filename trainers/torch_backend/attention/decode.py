"""Attention of many rows that are decoded together, each to its prompt and to its own tokens."""

import math
from collections.abc import Callable

import torch

from srl_edge.trainers.torch_backend.attention.rows import KeysValues
from srl_edge.trainers.torch_backend.sizes import DECODE_BLOCK


class DecodeAttention:
    """Attention of one new token a row; the rows of a group share their prompt.

    Rows form a grid [P, G]. Prompt keys and values: [P, Hkv, T, D] a layer, padded, `lengths` [P]
    of it real; own keys and values: [P, Hkv, G, places, D], filled in place. Plain products: for
    one token a row, torch's fused kernel for a CPU takes twice as long.

    tokens: the most that will be decoded.
    """

    def __init__(self, prompts: KeysValues, lengths: torch.Tensor, group: int, tokens: int) -> None:
        count, kv_heads, _, dim = prompts[0][0].shape
        self.prompts = prompts
        self.lengths = lengths
        self.step = 0
        size = count * kv_heads * group * -(-tokens // DECODE_BLOCK) * DECODE_BLOCK * dim
        # Memory that is touched as the places need it: to take it anew each time there are more
        # would cost more than to move what is in it.
        self._memory = [(k.new_empty(size), v.new_empty(size)) for k, v in prompts]
        self._scratch = prompts[0][0].new_empty(size)
        none = prompts[0][0].new_empty(count, kv_heads, group, 0, dim)
        self.own = [(none, none) for _ in prompts]
        self._masks: dict[int | None, tuple[torch.Tensor, torch.Tensor]] = {}

    def advance(self, step: int) -> None:
        """Go to the next token: its keys and values are written at place `step`."""
        self.step = step
        self._masks = {}
        if step == self.own[0][0].shape[3]:
            # All places take part in the products: part of a buffer would be copied for each.
            self._write(self._grown)

    @property
    def positions(self) -> torch.Tensor:
        """Position of the token being decoded, [P * G]."""
        return (self.lengths + self.step).repeat_interleave(self.own[0][0].shape[2])

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        (prompt_k, prompt_v), (own_k, own_v) = self.prompts[layer], self.own[layer]
        count, kv_heads, group, places, dim = own_k.shape
        width = prompt_k.shape[2]
        own_k[:, :, :, self.step] = k.view(count, group, kv_heads, dim).transpose(1, 2)
        own_v[:, :, :, self.step] = v.view(count, group, kv_heads, dim).transpose(1, 2)
        own_k, own_v = own_k.flatten(0, 2), own_v.flatten(0, 2)
        grid = q.view(count, group, kv_heads, -1, dim).transpose(1, 2)
        by_prompt = grid.reshape(count * kv_heads, -1, dim)
        by_row = by_prompt.view(len(own_k), -1, dim)
        # Scaled and masked inside the products: passes over their results would cost more.
        to_prompts, to_itself = self.masks(window)
        to_prompt = torch.baddbmm(
            to_prompts, by_prompt, prompt_k.flatten(0, 1).transpose(1, 2), alpha=scaling
        )
        if q.dtype == torch.float32:
            to_own = torch.baddbmm(to_itself, by_row, own_k.transpose(1, 2), alpha=scaling)
        else:  # the other way round takes half the time
            to_own = torch.baddbmm(to_itself.mT, own_k, by_row.mT, alpha=scaling).mT
        scores = torch.cat([to_prompt, to_own.reshape(*by_prompt.shape[:2], places)], -1)
        on_prompt, on_own = torch.softmax(scores, -1).split([width, places], -1)
        out = (on_prompt @ prompt_v.flatten(0, 1)).view(by_row.shape)
        out = torch.baddbmm(out, on_own.reshape(*by_row.shape[:2], places), own_v)
        mixed: torch.Tensor = out.view(grid.shape).transpose(1, 2).reshape(q.shape)
        return mixed

    def masks(self, window: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """-inf where a token cannot be seen, else 0: a prompt's [P * Hkv, 1, T], a row's own
        [1, 1, places]."""
        if window not in self._masks:
            prompt_k, own_k = self.prompts[0][0], self.own[0][0]
            kv_heads, width, places = own_k.shape[1], prompt_k.shape[2], own_k.shape[3]
            dtype = own_k.dtype
            at = torch.arange(width, device=self.lengths.device)
            age = self.step - torch.arange(places, device=at.device)
            hidden, not_own = at >= self.lengths[:, None], age < 0
            if window is not None:
                hidden = hidden | (self.lengths[:, None] + self.step - at >= window)
                not_own = not_own | (age >= window)
            to_prompt, to_own = _mask(hidden, dtype), _mask(not_own[None], dtype)
            self._masks[window] = to_prompt.repeat_interleave(kv_heads, 0), to_own
        return self._masks[window]

    def keep(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Go on with prompts [P'] and, of each, rows [P', G'], as `Decoding.keep` says."""
        self.lengths = self.lengths[prompts]
        width = int(self.lengths.max())
        heads = torch.arange(self.own[0][0].shape[1], device=rows.device)
        slots = prompts[:, None, None], heads[:, None], rows[:, None]
        # Layer by layer, so that no more than one is there twice.
        self.prompts = list(self.prompts)
        for layer, (k, v) in enumerate(self.prompts):
            self.prompts[layer] = k[prompts, :, :width], v[prompts, :, :width]
        self._write(lambda x: x[slots])
        self._masks = {}

    def _write(self, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Change the rows' own keys and values, one after the other, in the memory they lie in."""
        self.own = [
            (_moved(changed(k), to_k), _moved(changed(v), to_v))
            for (k, v), (to_k, to_v) in zip(self.own, self._memory, strict=True)
        ]

    def _grown(self, x: torch.Tensor) -> torch.Tensor:
        """A copy with DECODE_BLOCK more places."""
        *shape, places, dim = x.shape
        size = math.prod(shape) * (places + DECODE_BLOCK) * dim
        copy = self._scratch[:size].view(*shape, places + DECODE_BLOCK, dim)
        copy[..., :places, :] = x
        copy[..., places:, :] = 0
        return copy


def _moved(x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    return memory[: x.numel()].view(x.shape).copy_(x)


def _mask(hidden: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """-inf where [n, T] is true, else 0: [n, 1, T]."""
    zeros = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
    return zeros.masked_fill_(hidden, float("-inf"))[:, None]
