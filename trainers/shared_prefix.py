"""Prompts and completions packed so that what they share is computed once.

All step prompts of one trajectory are prefixes of one another, up to the few tokens that close a
chat turn. The longest of them is the trunk; every other sequence is a row that leaves the trunk
at some position. The trunk is run once for its keys and values; rows attend to those and to
themselves, in as many passes as memory asks for. Together they give what one pass over each full
sequence would, and the same gradient, for the fewest tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F

from srl_edge.prompts import shared_length
from srl_edge.trainers.decoder import Causal, Decoder

KeysValues = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Pack:
    """One trunk and the rows that leave it.

    trunk: token ids [T]. rows: token ids of each row after it leaves the trunk, at least one of
    them of its prompt. bounds: how many trunk tokens each row sees. owners: which of the packed
    sequences each row continues.
    """

    trunk: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    bounds: tuple[int, ...]
    owners: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens computed, trunk and rows together."""
        return len(self.trunk) + sum(map(len, self.rows))

    def cut(self, most_tokens: int) -> Iterator["Pack"]:
        """The same trunk with the rows in turn, at most so many row tokens at a time."""
        start = used = 0
        for row, ids in enumerate((*self.rows, None)):
            if ids is None or (row > start and used + len(ids) > most_tokens):
                here = slice(start, row)
                yield Pack(self.trunk, self.rows[here], self.bounds[here], self.owners[here])
                start, used = row, 0
            used += len(ids or ())


def pack(
    prompts: Sequence[tuple[int, ...]], tails: Sequence[tuple[int, ...]], gate: float = 1.1
) -> list[Pack]:
    """Pack sequences prompt + tail into as few tokens as their shared prefixes allow.

    One trunk serves prompts that are alike where that saves more than `gate` times the tokens of
    one trunk a prompt; else each distinct prompt gets a trunk of its own.
    """
    packs = []
    for alike in _alike(prompts):
        together = _around(max((prompts[i] for i in alike), key=len), prompts, tails, alike)
        apart = [
            _around(prompt, prompts, tails, [i for i in alike if prompts[i] == prompt])
            for prompt in dict.fromkeys(prompts[i] for i in alike)
        ]
        one = together.tokens * gate < sum(p.tokens for p in apart)
        packs += [together] if one else apart
    return packs


def _alike(prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Indices of prompts, together where each shares half of the one before, in sorted order."""
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    groups = [[order[0]]]
    for before, index in pairwise(order):
        shared = shared_length(prompts[before], prompts[index])
        if 2 * shared >= min(len(prompts[before]), len(prompts[index])):
            groups[-1].append(index)
        else:
            groups.append([index])
    return [sorted(group) for group in groups]


def _around(
    longest: tuple[int, ...],
    prompts: Sequence[tuple[int, ...]],
    tails: Sequence[tuple[int, ...]],
    members: Sequence[int],
) -> Pack:
    # A prompt's last token predicts its completion, so it belongs to the row.
    trunk = longest[:-1]
    bounds = {i: min(shared_length(trunk, prompts[i]), len(prompts[i]) - 1) for i in members}
    rows = {i: prompts[i][bounds[i] :] + tails[i] for i in members}
    # Neighbours of like length: rows are padded to the longest of a pass for attention.
    owners = sorted(members, key=lambda i: len(rows[i]))
    return Pack(
        trunk, tuple(rows[i] for i in owners), tuple(bounds[i] for i in owners), tuple(owners)
    )


def run_trunk(decoder: Decoder, packed: Pack, device: torch.device) -> KeysValues:
    """Keys and values [T, Hkv, D] of the trunk in each layer."""
    causal = Causal(len(packed.trunk), device)
    decoder.keys_values(torch.tensor(packed.trunk, device=device), causal)
    return [causal.kept[i] for i in range(len(decoder.layers))]


def run_rows(decoder: Decoder, attention: "RowAttention") -> torch.Tensor:
    """Hidden states [N, d] of the rows that an attention was made for, one after another."""
    return decoder(attention.ids, attention)


class RowAttention:
    """Attention of rows to their part of the trunk and to themselves, over packed tokens [N].

    `kept` maps a layer to the rows' own keys and values [N, Hkv, D].
    """

    def __init__(self, packed: Pack, trunk: KeysValues, device: torch.device) -> None:
        lengths = torch.tensor([len(r) for r in packed.rows])
        widest = int(lengths.max())
        starts = F.pad(lengths.cumsum(0), (1, 0))[:-1]
        offsets = torch.arange(widest)
        bounds = torch.tensor(packed.bounds)
        inside = offsets < lengths[:, None]
        self.trunk = trunk
        self.seen = max(packed.bounds)  # no row looks at the trunk beyond it
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.ids = torch.tensor([i for row in packed.rows for i in row], device=device)
        self.positions = (bounds[:, None] + offsets)[inside].to(device)
        # Rows are padded to the widest for attention alone; linear layers see no padding.
        last = int(lengths.sum()) - 1
        self.gather = (starts[:, None] + offsets).clamp(max=last).to(device)
        self.scatter = inside.flatten().nonzero().flatten().to(device)
        self._bounds, self._offsets = bounds.to(device), offsets.to(device)
        self._masks: dict[int | None, torch.Tensor] = {}

    def __call__(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float,
        window: int | None,
    ) -> torch.Tensor:  # fmt: skip
        self.kept[layer] = k, v
        trunk_k, trunk_v = (x[: self.seen] for x in self.trunk[layer])
        hidden = self._hidden(window)
        out: torch.Tensor = _RowAttention.apply(  # type: ignore[no-untyped-call]
            q, k, v, trunk_k, trunk_v, self.gather, self.scatter, hidden, scaling
        )
        return out

    def _hidden(self, window: int | None) -> torch.Tensor:
        """Which of trunk and own tokens each row's token cannot see: [R, 1, S, seen + S]."""
        if window not in self._masks:
            at = torch.arange(self.seen, device=self._bounds.device)
            here = (self._bounds[:, None] + self._offsets)[:, :, None]  # [R, S, 1]
            to_trunk = (at >= self._bounds[:, None, None]).expand(-1, len(self._offsets), -1)
            distance = (self._offsets[:, None] - self._offsets).expand(len(here), -1, -1)
            to_own = distance < 0
            if window is not None:
                to_trunk = to_trunk | (here - at >= window)
                to_own = to_own | (distance >= window)
            self._masks[window] = torch.cat([to_trunk, to_own], -1)[:, None]
        return self._masks[window]


class _RowAttention(torch.autograd.Function):
    """The attention itself; the weights are computed again for the backward pass, not stored.

    Inside, queries are [Hkv, R, H / Hkv * S, D], so that the heads which share keys and values
    meet them in one product.
    """

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, trunk_k: torch.Tensor,
        trunk_v: torch.Tensor, gather: torch.Tensor, scatter: torch.Tensor, hidden: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:  # fmt: skip
        ctx.save_for_backward(q, k, v, trunk_k, trunk_v, gather, scatter, hidden)
        ctx.scaling = scaling
        rows, width = gather.shape
        kv_heads, dim = k.shape[1:]
        queries = _grouped(q * scaling, gather, kv_heads)
        weights = _weights(queries, _padded(k, gather), trunk_k, hidden)
        to_trunk, to_own = weights.split([len(trunk_k), width], -1)
        out = to_trunk.reshape(kv_heads, -1, len(trunk_k)) @ trunk_v.transpose(0, 1)
        out = out.view(kv_heads, rows, -1, dim) + to_own @ _padded(v, gather)
        return _ungrouped(out, q.shape[1], scatter, width)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        q, k, v, trunk_k, trunk_v, gather, scatter, hidden = ctx.saved_tensors
        rows, width = gather.shape
        (_, kv_heads, dim), seen = k.shape, len(trunk_k)
        queries = _grouped(q * ctx.scaling, gather, kv_heads)
        own_k, own_v = _padded(k, gather), _padded(v, gather)
        weights = _weights(queries, own_k, trunk_k, hidden)
        # Padding repeats real tokens; its gradient must be nothing.
        grad = _grouped(grads[0], gather, kv_heads, scatter)
        to_trunk = grad.flatten(1, 2) @ trunk_v.permute(1, 2, 0)
        scores = torch.cat(
            [to_trunk.view(kv_heads, rows, -1, seen), grad @ own_v.transpose(2, 3)], -1
        )
        scores = torch._softmax_backward_data(scores, weights, -1, weights.dtype)
        on_trunk, on_own = (x.contiguous() for x in scores.split([seen, width], -1))
        flat = on_trunk.view(kv_heads, -1, seen)
        grad_q = (flat @ trunk_k.transpose(0, 1)).view(kv_heads, rows, -1, dim) + on_own @ own_k
        grad_q = _ungrouped(grad_q, q.shape[1], scatter, width).mul_(ctx.scaling)
        to_trunk, to_own = weights.split([seen, width], -1)
        by_trunk = to_trunk.reshape(kv_heads, -1, seen).transpose(1, 2)
        return (
            grad_q,
            _packed(on_own.transpose(2, 3) @ queries, scatter),
            _packed(to_own.transpose(2, 3) @ grad, scatter),
            (flat.transpose(1, 2) @ queries.flatten(1, 2)).transpose(0, 1),
            (by_trunk @ grad.flatten(1, 2)).transpose(0, 1),
            None, None, None, None,
        )  # fmt: skip


def _weights(
    queries: torch.Tensor, own_k: torch.Tensor, trunk_k: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Attention weights [Hkv, R, H / Hkv * S, T + S] of scaled queries."""
    kv_heads, rows, wide, _ = queries.shape
    width = own_k.shape[2]
    to_trunk = queries.flatten(1, 2) @ trunk_k.permute(1, 2, 0)
    scores = torch.cat(
        [to_trunk.view(kv_heads, rows, wide, -1), queries @ own_k.transpose(2, 3)], -1
    )
    by_head = scores.view(kv_heads, rows, wide // width, width, -1)
    by_head.masked_fill_(hidden, float("-inf"))
    return torch.softmax(scores, -1)


def _padded(x: torch.Tensor, gather: torch.Tensor) -> torch.Tensor:
    """Packed [N, H, D] to padded rows [H, R, S, D]."""
    return x.transpose(0, 1)[:, gather]


def _packed(x: torch.Tensor, scatter: torch.Tensor) -> torch.Tensor:
    """Padded rows [H, R, S, D] to packed [N, H, D]."""
    return x.flatten(1, 2)[:, scatter].transpose(0, 1)


def _grouped(
    x: torch.Tensor, gather: torch.Tensor, kv_heads: int, real: torch.Tensor | None = None
) -> torch.Tensor:
    """Packed [N, H, D] to [Hkv, R, H / Hkv * S, D]; `real` places alone, the others zero."""
    (rows, width), dim = gather.shape, x.shape[2]
    if real is None:
        padded = x[gather.flatten()]
    else:
        padded = x.new_zeros(rows * width, *x.shape[1:]).index_copy_(0, real, x)
    split = padded.view(rows, width, kv_heads, -1, dim)
    return split.permute(2, 0, 3, 1, 4).reshape(kv_heads, rows, -1, dim)


def _ungrouped(x: torch.Tensor, heads: int, scatter: torch.Tensor, width: int) -> torch.Tensor:
    """[Hkv, R, H / Hkv * S, D] to packed [N, H, D]."""
    kv_heads, rows, _, dim = x.shape
    split = x.view(kv_heads, rows, heads // kv_heads, width, dim)
    return split.permute(1, 3, 0, 2, 4).reshape(rows * width, heads, dim)[scatter]
