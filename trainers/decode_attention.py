"""Attention of many rows that are decoded together, each to its prompt and to its own tokens."""

import torch

from srl_edge.trainers.row_attention import KeysValues


class DecodeAttention:
    """Attention of one new token a row; the rows of a group share their prompt.

    Rows form a grid [P, G]. Prompt keys and values: [P, Hkv, T, D] a layer, padded, `lengths` [P]
    of it real; own keys and values: [P, G, Hkv, max_new, D], filled in place.
    """

    def __init__(
        self, prompts: KeysValues, lengths: torch.Tensor, group: int, max_new: int
    ) -> None:
        count, kv_heads, _, dim = prompts[0][0].shape
        self.prompts = prompts
        self.lengths = lengths
        self.step = 0
        self.own = [
            (k.new_empty(count, group, kv_heads, max_new, dim),
             k.new_empty(count, group, kv_heads, max_new, dim))
            for k, _ in prompts
        ]  # fmt: skip
        self._masks: dict[int | None, torch.Tensor | None] = {}

    def advance(self, step: int) -> None:
        """Go to the next token: its keys and values are written at place `step`."""
        self.step = step
        self._masks = {}

    @property
    def positions(self) -> torch.Tensor:
        """Position of the token being decoded, [P * G]."""
        return (self.lengths + self.step).repeat_interleave(self.own[0][0].shape[1])

    def __call__(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float,
        window: int | None,
    ) -> torch.Tensor:  # fmt: skip
        own_k, own_v = self.own[layer]
        count, group, kv_heads, _, dim = own_k.shape
        own_k[:, :, :, self.step] = k.view(count, group, kv_heads, dim)
        own_v[:, :, :, self.step] = v.view(count, group, kv_heads, dim)
        fused = q.device.type == "cpu" and (window is None or self.step + 1 < window)
        grid = q.view(count, group, kv_heads, -1, dim)
        out = (self._fused if fused else self._masked)(layer, grid, scaling, window)
        return out.reshape(q.shape)

    def _fused(
        self, layer: int, grid: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """By torch's fused kernel for a CPU, to the prompt and to the row, and both merged."""
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        (prompt_k, prompt_v), (own_k, own_v) = self.prompts[layer], self.own[layer]
        count, group, kv_heads, shared, dim = grid.shape
        by_prompt = grid.transpose(1, 2).reshape(count, kv_heads, group * shared, dim)
        mask = self._prompt_mask(window, prompt_k.shape[2], grid.dtype)
        prompt, prompt_norm = kernel(by_prompt, prompt_k, prompt_v, attn_mask=mask, scale=scaling)
        now = self.step + 1
        own, own_norm = kernel(
            grid.flatten(0, 1), own_k.flatten(0, 1)[:, :, :now], own_v.flatten(0, 1)[:, :, :now],
            scale=scaling,
        )  # fmt: skip
        prompt = prompt.unflatten(2, (group, shared)).transpose(1, 2)
        prompt_norm = prompt_norm.unflatten(2, (group, shared)).transpose(1, 2)
        share = torch.sigmoid(prompt_norm - own_norm.view(prompt_norm.shape))[..., None]
        return torch.lerp(own.view(grid.shape), prompt, share.to(prompt.dtype))

    def _masked(
        self, layer: int, grid: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """By plain products, for any device and window."""
        (prompt_k, prompt_v), (own_k, own_v) = self.prompts[layer], self.own[layer]
        count, group, kv_heads, shared, dim = grid.shape
        t, now = prompt_k.shape[2], self.step + 1
        by_prompt = (grid * scaling).transpose(1, 2).reshape(count, kv_heads, group * shared, dim)
        to_prompt = (by_prompt @ prompt_k.transpose(2, 3)).unflatten(2, (group, shared))
        mask = self._prompt_mask(window, t, grid.dtype)
        if mask is not None:
            to_prompt = to_prompt + mask[:, :, None]
        to_own = (grid * scaling) @ own_k[:, :, :, :now].transpose(3, 4)
        if window is not None:
            age = self.step - torch.arange(now, device=grid.device)
            to_own = to_own.masked_fill(age >= window, float("-inf"))
        weights = torch.softmax(torch.cat([to_prompt.transpose(1, 2), to_own], -1), -1)
        on_prompt = weights[..., :t].transpose(1, 2).flatten(2, 3) @ prompt_v
        on_own = weights[..., t:] @ own_v[:, :, :, :now]
        out: torch.Tensor = on_prompt.unflatten(2, (group, shared)).transpose(1, 2) + on_own
        return out

    def _prompt_mask(
        self, window: int | None, width: int, dtype: torch.dtype
    ) -> torch.Tensor | None:
        """-inf where a prompt's rows cannot see its tokens, else 0: [P, 1, 1, T], or none."""
        if window not in self._masks:
            at = torch.arange(width, device=self.lengths.device)
            distance = self.lengths[:, None] - at  # to the first new token
            hidden = distance <= 0
            if window is not None:
                hidden = hidden | (distance + self.step >= window)
            mask = torch.zeros(hidden.shape, dtype=dtype, device=at.device)
            mask = mask.masked_fill_(hidden, float("-inf"))[:, None, None]
            self._masks[window] = mask if bool(hidden.any()) else None
        return self._masks[window]

    def keep(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Keep prompts [P'] and, of each, rows [P', G']; slots may repeat as padding."""
        self.lengths = self.lengths[prompts]
        width = int(self.lengths.max())
        self.prompts = [(k[prompts, :, :width], v[prompts, :, :width]) for k, v in self.prompts]
        kept = []
        for sides in self.own:
            new = []
            for old in sides:
                into = old.new_empty(*rows.shape, *old.shape[2:])
                into[:, :, :, : self.step] = old[prompts[:, None], rows, :, : self.step]
                new.append(into)
            kept.append((new[0], new[1]))
        self.own = kept
        self._masks = {}
