"""Prompts and completions packed so that what they share is computed once.

All step prompts of one trajectory are prefixes of one another, up to the few tokens that close a
chat turn. The longest of them is the trunk; every other sequence is a row that leaves the trunk
at some position. One forward pass over trunk and rows gives what one pass over each full sequence
would, for the fewest tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface

from srl_edge.prompts import shared_length

ATTENTION = "srl_edge_shared_prefix"


@dataclass(frozen=True, slots=True)
class Pack:
    """One trunk and the rows that leave it, as one sequence of tokens.

    trunk: token ids [T]. rows: token ids of each row after it leaves the trunk. bounds: how many
    trunk tokens each row sees. owners: which of the packed sequences each row continues.
    """

    trunk: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    bounds: tuple[int, ...]
    owners: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens computed in one pass."""
        return len(self.trunk) + sum(map(len, self.rows))

    def row_start(self, row: int) -> int:
        """Position of a row's first token in the packed sequence."""
        return len(self.trunk) + sum(map(len, self.rows[:row]))


def pack(
    prompts: Sequence[tuple[int, ...]], tails: Sequence[tuple[int, ...]], gate: float = 1.1
) -> list[Pack]:
    """Pack sequences prompt + tail into as few tokens as their shared prefixes allow.

    One trunk serves all prompts where that saves more than `gate` times the tokens of one trunk a
    prompt; else each distinct prompt gets a trunk of its own. Sequence i is `owners[row] == i`.
    """
    longest = max(prompts, key=len)
    together = _around(longest, prompts, tails, range(len(prompts)))
    apart = [
        _around(prompt, prompts, tails, [i for i, other in enumerate(prompts) if other == prompt])
        for prompt in dict.fromkeys(prompts)
    ]
    return [together] if together.tokens * gate < sum(p.tokens for p in apart) else apart


def _around(
    trunk: tuple[int, ...],
    prompts: Sequence[tuple[int, ...]],
    tails: Sequence[tuple[int, ...]],
    members: Sequence[int],
) -> Pack:
    bounds = tuple(shared_length(trunk, prompts[i]) for i in members)
    rows = tuple(prompts[i][b:] + tails[i] for i, b in zip(members, bounds, strict=True))
    return Pack(trunk, rows, bounds, tuple(members))


class PackedAttention:
    """Attention for a packed sequence; keeps each layer's keys and values if asked to.

    Called once a layer by the model with q [1, H, N, D] and k, v [1, Hkv, N, D], N = pack.tokens;
    returns [1, N, H, D]. `kept` maps a layer to its (k, v).
    """

    def __init__(self, packed: Pack, device: torch.device, keep: bool = False) -> None:
        trunk, lengths = len(packed.trunk), torch.tensor([len(r) for r in packed.rows])
        widest = int(lengths.max())
        starts = trunk + F.pad(lengths.cumsum(0), (1, 0))[:-1]
        offsets = torch.arange(widest)
        self.trunk = trunk
        self.seen = max(packed.bounds)  # no row looks at the trunk beyond it
        self.keep = keep
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        bounds = torch.tensor(packed.bounds)
        inside = offsets < lengths[:, None]
        self.positions = torch.cat([torch.arange(trunk), (bounds[:, None] + offsets)[inside]]).to(
            device
        )[None]
        # Rows are padded to the widest for attention alone; linear layers see no padding.
        self.gather = (starts[:, None] + offsets).clamp(max=packed.tokens - 1).to(device)
        self.scatter = inside.flatten().nonzero().flatten().to(device)
        self.bounds = bounds.to(device)
        self.offsets = offsets.to(device)

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        if self.keep:
            self.kept[layer] = (k[0], v[0])
        t = self.trunk
        trunk = _causal(q[:, :, :t], k[:, :, :t], v[:, :, :t], scaling, window)
        if not len(self.scatter):
            return trunk.transpose(1, 2)
        rows = (self._rows if torch.is_grad_enabled() else self._rows_fused)(
            q, k, v, scaling, window
        )
        return torch.cat([trunk.transpose(1, 2), rows[None]], dim=1)

    def _rows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        heads, kv_heads, dim, t = q.shape[1], k.shape[1], q.shape[3], self.seen
        rows, width = self.gather.shape
        shared = heads // kv_heads
        # q: [Hkv, R, shared * S, D]; own keys: [Hkv, R, S, D]; trunk keys: [Hkv, T, D]
        own_q = (self._padded(q) * scaling).view(kv_heads, shared, rows, width, dim)
        own_q = own_q.transpose(1, 2).reshape(kv_heads, rows, shared * width, dim)
        own_k, own_v = self._padded(k), self._padded(v)
        to_trunk = own_q.flatten(1, 2) @ k[0, :, :t].transpose(1, 2)
        to_trunk = to_trunk.view(kv_heads, rows, shared, width, t)
        to_own = (own_q @ own_k.transpose(2, 3)).view(kv_heads, rows, shared, width, width)
        hidden_trunk, hidden_own = self._hidden(window)
        if hidden_trunk is not None:
            to_trunk = to_trunk.masked_fill(hidden_trunk, float("-inf"))
        to_own = to_own.masked_fill(hidden_own, float("-inf"))
        # Few passes over the scores: at this size they cost more than the products around them.
        weights = torch.softmax(torch.cat([to_trunk, to_own], dim=-1), dim=-1)
        for_trunk, for_own = weights.split([t, width], dim=-1)
        on_trunk = for_trunk.reshape(kv_heads, -1, t) @ v[0, :, :t]
        on_own = for_own.reshape(kv_heads, rows, shared * width, width) @ own_v
        out = on_trunk.view(kv_heads, rows, shared, width, dim) + on_own.view(
            kv_heads, rows, shared, width, dim
        )
        out = out.permute(1, 3, 0, 2, 4).reshape(rows * width, heads, dim)
        return _Unpad.apply(out, self.scatter)  # type: ignore[no-any-return, no-untyped-call]

    def _rows_fused(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """What `_rows` gives, by torch's fused kernel: best forwards, slow backwards on a CPU."""
        rows, width = self.gather.shape
        hidden_trunk, hidden_own = self._hidden(window)
        hidden = torch.zeros(rows, 1, width, self.seen + width, dtype=torch.bool, device=q.device)
        if hidden_trunk is not None:
            hidden[..., : self.seen] = hidden_trunk
        hidden[..., self.seen :] = hidden_own
        keys, values = (
            torch.cat(
                [x[:, :, : self.seen].expand(rows, -1, -1, -1), self._padded(x).transpose(0, 1)], 2
            )
            for x in (k, v)
        )
        out = F.scaled_dot_product_attention(
            self._padded(q).transpose(0, 1), keys, values, attn_mask=~hidden, scale=scaling,
            enable_gqa=q.shape[1] != k.shape[1],
        )  # fmt: skip
        return out.transpose(1, 2).reshape(rows * width, *out.shape[1::2])[self.scatter]

    def _hidden(self, window: int | None) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Which trunk tokens [R, 1, S | 1, T] and own tokens [S, S] each row's token cannot see."""
        distance = self.offsets[:, None] - self.offsets
        at = torch.arange(self.seen, device=self.bounds.device)
        if window is not None:
            here = self.bounds[:, None] + self.offsets
            too_far = here[..., None] - at >= window
            beyond = (at >= self.bounds[:, None])[:, None]
            return (too_far | beyond)[:, None], (distance < 0) | (distance >= window)
        if bool((self.bounds == self.seen).all()):
            return None, distance < 0
        return (at >= self.bounds[:, None])[:, None, None], distance < 0

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """[1, H, N, D] to padded rows [H, R, S, D]."""
        own = x[0, :, self.trunk :]
        rows = _Pad.apply(own, self.gather.flatten() - self.trunk, self.scatter)  # type: ignore[no-untyped-call]
        return rows.view(own.shape[0], *self.gather.shape, own.shape[2])  # type: ignore[no-any-return]


class _Pad(torch.autograd.Function):
    """Packed rows [H, N, D] to padded ones, and the gradient back.

    Each real token has one place on either side and padding carries no gradient, so both ways are
    plain look-ups: no accumulation, which is what makes indexing slow backwards.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(back)
        return x.index_select(1, there)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return grads[0].index_select(1, back), None, None


class _Unpad(torch.autograd.Function):
    """Padded rows [R * S, H, D] to packed ones; padding gets a zero gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(real)
        ctx.shape = x.shape
        return x.index_select(0, real)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (real,) = ctx.saved_tensors
        return grads[0].new_zeros(ctx.shape).index_copy_(0, real, grads[0]), None


def _causal(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float, window: int | None
) -> torch.Tensor:
    length = q.shape[2]
    if window is None or length <= window:
        return F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
    steps = torch.arange(length, device=q.device)
    distance = steps[:, None] - steps
    mask = (distance >= 0) & (distance < window)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
    )


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    *,
    shared_prefix: Any,
    scaling: float,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    return shared_prefix(module.layer_idx, query, key, value, scaling, sliding_window), None


AttentionInterface.register(ATTENTION, _attend)
