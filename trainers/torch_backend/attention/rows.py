"""Attention of rows to the trunk that they leave, and to themselves."""

from collections.abc import Sequence
from itertools import accumulate, groupby

import torch
from torch.nn import functional as F

from srl_edge.trainers.torch_backend.attention.gpu import Kernel, Sees, fastest, flex, sdpa, sight
from srl_edge.trainers.torch_backend.attention.row_kernels import FusedRows, MaskedRows

KeysValues = list[tuple[torch.Tensor, torch.Tensor]]

_MOST_PADDING = 4  # padded tokens a token


class RowAttention:
    """Attention of rows to their part of the trunk and to themselves, over packed tokens [N].

    `kept` maps a layer to the rows' own keys and values [N, Hkv, D], unless gradients are taken.
    `kernels` maps a window to what `choose` took for it.
    """

    def __init__(
        self,
        rows: Sequence[tuple[int, ...]],
        seen: Sequence[int],
        trunk: KeysValues,
        device: torch.device,
    ) -> None:
        lengths = torch.tensor([len(r) for r in rows])
        bounds = torch.tensor(seen)
        self.gather, self.scatter = by_row(lengths, device)
        offsets = torch.arange(self.gather.shape[1])
        inside = offsets < lengths[:, None]
        self.trunk = trunk
        self.seen = max(seen)  # no row looks at the trunk beyond it
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.lengths = lengths
        self.ids = torch.tensor([i for row in rows for i in row], device=device)
        self.positions = (bounds[:, None] + offsets)[inside].to(device)
        self.furthest = max(s + len(r) for s, r in zip(seen, rows, strict=True))
        # Runs of rows that see equally much of the trunk.
        ends = [0, *lengths.cumsum(0).tolist()]
        runs = [list(run) for _, run in groupby(range(len(rows)), key=seen.__getitem__)]
        self.spans = tuple((ends[r[0]], ends[r[-1] + 1], 0, seen[r[0]]) for r in runs)
        self._bounds, self._offsets = bounds.to(device), offsets.to(device)
        self._masks: dict[int | None, torch.Tensor] = {}
        self.kernels: dict[int | None, Kernel] = {}

    def choose(self, heads: int, window: int | None) -> None:
        """Take the kernel that is fastest for this shape and window, by measurement."""
        k, tokens = self.trunk[0][0], len(self.ids)
        q, own = k.new_zeros(tokens, heads, k.shape[2]), k.new_zeros(tokens, *k.shape[1:])
        inputs = (q, own, own, k[: self.seen], k[: self.seen])
        here = self.sight(window)
        makers = {
            "products": lambda: self._products(window),
            "SDPA": lambda: sdpa(*here),
            "FlexAttention": lambda: flex(*here),
        }
        sizes = (n.bit_length() for n in (*self.gather.shape, tokens, self.seen))
        shape = (*sizes, *q.shape[1:], k.shape[1], k.dtype, window)
        self.kernels[window] = fastest(shape, makers, inputs, k.shape[2] ** -0.5)

    def sight(self, window: int | None) -> tuple[Sees, int, int, torch.device]:
        """Who sees whom, where trunk and rows are one sequence: for `sdpa` and `flex`."""
        rows = self.scatter // self.gather.shape[1]
        sees = sight(rows, self.positions, self._bounds[rows], self.seen, window)
        return sees, len(rows), self.seen, rows.device

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        if not torch.is_grad_enabled():
            self.kept[layer] = k, v
        trunk_k, trunk_v = (x[: self.seen] for x in self.trunk[layer])
        if self.fuses(window):
            fused: torch.Tensor = FusedRows.apply(  # type: ignore[no-untyped-call]
                q, k, v, trunk_k, trunk_v, self.gather, self.scatter, self.spans, scaling
            )
            return fused
        kernel = self.kernels.get(window) or self._products(window)
        return kernel(q, k, v, trunk_k, trunk_v, scaling=scaling)

    def fuses(self, window: int | None) -> bool:
        """Whether the kernel for a CPU takes it, which knows no window."""
        return self.ids.device.type == "cpu" and (window is None or self.furthest <= window)

    def _products(self, window: int | None) -> Kernel:
        hidden = self._hidden(window)

        def attend(*inputs: torch.Tensor, scaling: float) -> torch.Tensor:
            out: torch.Tensor = MaskedRows.apply(  # type: ignore[no-untyped-call]
                *inputs, self.gather, self.scatter, hidden, scaling
            )
            return out

        return attend

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


def by_row(lengths: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each row's tokens are among all [R, S], padded; and where those are among these [N].

    Rows are padded to the widest for attention alone; linear layers see no padding.
    """
    starts = F.pad(lengths.cumsum(0), (1, 0))[:-1]
    offsets = torch.arange(int(lengths.max()))
    gather = (starts[:, None] + offsets).clamp(max=int(lengths.sum()) - 1)
    inside = offsets < lengths[:, None]
    return gather.to(device), inside.flatten().nonzero().flatten().to(device)


class SideBySide:
    """Attention of rows of several trunks, each to its own: linear layers see them all at once.

    `kept` maps a layer to all rows' own keys and values [N, Hkv, D], unless gradients are taken.
    """

    def __init__(self, parts: Sequence[RowAttention]) -> None:
        self.parts = parts
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.ids = torch.cat([part.ids for part in parts])
        self.positions = torch.cat([part.positions for part in parts])
        self.sizes = [len(part.ids) for part in parts]
        lengths = torch.cat([part.lengths for part in parts])
        self.gather, self.scatter = by_row(lengths, self.ids.device)
        # Padded together, rows as unlike as these would mostly be padding.
        self.alike = self.gather.numel() <= _MOST_PADDING * len(self.ids)
        tokens = accumulate(self.sizes, initial=0)
        trunks = accumulate((part.seen for part in parts), initial=0)
        self.spans = tuple(
            (start + token, end + token, first + trunk, last + trunk)
            for part, token, trunk in zip(parts, tokens, trunks, strict=False)
            for start, end, first, last in part.spans
        )

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        if not torch.is_grad_enabled():
            self.kept[layer] = k, v
        if self.alike and all(part.fuses(window) for part in self.parts):
            trunk = (torch.cat([p.trunk[layer][i][: p.seen] for p in self.parts]) for i in (0, 1))
            fused: torch.Tensor = FusedRows.apply(  # type: ignore[no-untyped-call]
                q, k, v, *trunk, self.gather, self.scatter, self.spans, scaling
            )
            return fused
        each = zip(self.parts, *(x.split(self.sizes) for x in (q, k, v)), strict=True)
        return torch.cat([part(layer, *heads, scaling, window) for part, *heads in each])
