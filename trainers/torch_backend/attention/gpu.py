"""Attention of packed rows by one kernel over trunk and rows, and the choice of the fastest.

The keys of the trunk and of the rows are one sequence here, and a mask says who sees whom. SDPA
reads the mask whole; FlexAttention leaves out blocks of keys that no query of a block sees.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.nn import functional as F

from srl_edge.terminal import progress

# q [N, H, D], k and v [N, Hkv, D], the trunk's k and v [T, Hkv, D], scaling: [N, H, D].
Kernel = Callable[..., torch.Tensor]
Sees = Callable[[Any, Any, torch.Tensor, torch.Tensor], torch.Tensor]
_chosen: dict[tuple[Any, ...], str] = {}


def sight(
    rows: torch.Tensor,
    positions: torch.Tensor,
    bounds: torch.Tensor,
    seen: int,
    window: int | None,
) -> Sees:
    """Which key, of `seen` of the trunk and N of the rows, a query sees: FlexAttention's mask_mod.

    Of each of N tokens its row, its position, and how much of the trunk it sees, [N] each.
    """

    def sees(batch: Any, head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        in_trunk, own = key < seen, (key - seen).clamp(min=0)
        here, there = positions[query], torch.where(in_trunk, key, positions[own])
        to_own = (rows[own] == rows[query]) & (there <= here)
        visible = torch.where(in_trunk, key < bounds[query], to_own)
        return visible if window is None else visible & (here - there < window)

    return sees


def sdpa(sees: Sees, tokens: int, seen: int, device: torch.device) -> Kernel:
    """`scaled_dot_product_attention` with the whole mask [N, seen + N]."""
    queries = torch.arange(tokens, device=device)
    mask = sees(0, 0, queries[:, None], torch.arange(seen + tokens, device=device))

    def attend(q: torch.Tensor, *keys_values: torch.Tensor, scaling: float) -> torch.Tensor:
        k, v = _joined(*keys_values)
        # The kernels that take a mask want as many heads of keys as of queries.
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        out = F.scaled_dot_product_attention(_one(q), k, v, attn_mask=mask, scale=scaling)
        return out[0].transpose(0, 1)

    return attend


def flex(sees: Sees, tokens: int, seen: int, device: torch.device) -> Kernel:
    """FlexAttention, compiled on a GPU, where alone it has a backward pass."""
    from torch.nn.attention.flex_attention import create_block_mask

    mask = create_block_mask(sees, None, None, tokens, seen + tokens, device=device.type)
    kernel = _flex_kernel(device.type)

    def attend(q: torch.Tensor, *keys_values: torch.Tensor, scaling: float) -> torch.Tensor:
        k, v = _joined(*keys_values)
        out = kernel(_one(q), k, v, block_mask=mask, scale=scaling, enable_gqa=True)
        packed: torch.Tensor = out[0].transpose(0, 1)
        return packed

    return attend


def fastest(
    shape: tuple[Any, ...],
    makers: Mapping[str, Callable[[], Kernel]],
    inputs: Sequence[torch.Tensor],
    scaling: float,
) -> Kernel:
    """The kernel whose forward and backward pass took the least time, measured once a shape.

    makers: functions that make the kernels for this shape. inputs: q, k, v and the trunk's k and v.
    A kernel that cannot run here, or has not got the memory, is not chosen; the error is raised if
    none can. `shape` should be rounded: each new one costs a few passes.
    """
    if shape not in _chosen:
        took: dict[str, float] = {}
        for name, make in makers.items():
            try:
                took[name] = _seconds(make(), inputs, scaling)
            except Exception as error:  # a compiler's errors are of many classes
                failed = error
                if not isinstance(error, torch.OutOfMemoryError):
                    _say_once(name, f"{type(error).__name__}: {str(error).strip()[:200]}")
        if not took:
            raise failed
        _chosen[shape] = min(took, key=took.__getitem__)
    return makers[_chosen[shape]]()


def _seconds(kernel: Kernel, inputs: Sequence[torch.Tensor], scaling: float) -> float:
    best = math.inf
    leaves = [x.detach().requires_grad_() for x in inputs]
    for _ in range(3):  # the first compiles
        _wait(inputs[0].device)
        start = time.perf_counter()
        with torch.enable_grad():
            out = kernel(*leaves, scaling=scaling)
        torch.autograd.grad(out, leaves, torch.ones_like(out))
        _wait(inputs[0].device)
        best = min(best, time.perf_counter() - start)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@cache
def _say_once(name: str, why: str) -> None:
    progress.say(f"attention: {name} cannot run here and is left out ({why}).")


@cache
def _flex_kernel(device: str) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    if device == "cpu":
        return flex_attention
    compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=True)
    return compiled


def _joined(
    k: torch.Tensor, v: torch.Tensor, trunk_k: torch.Tensor, trunk_v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return _one(torch.cat([trunk_k, k])), _one(torch.cat([trunk_v, v]))


def _one(x: torch.Tensor) -> torch.Tensor:
    """Packed [N, H, D] as one sequence [1, H, N, D]."""
    return x.transpose(0, 1)[None]
