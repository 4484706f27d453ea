"""The products behind `RowAttention`, forward and backward: on a CPU, and on any device."""

from collections.abc import Sequence
from typing import Any

import torch

# Row tokens from .. to, which see trunk tokens from .. to.
Span = tuple[int, int, int, int]


class FusedRows(torch.autograd.Function):
    """On a CPU: torch's fused kernel to the trunk and to the row itself, and both merged.

    The backward pass needs the output and the logarithm of the normalizer, not the weights.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        trunk_k: torch.Tensor,
        trunk_v: torch.Tensor,
        gather: torch.Tensor,
        scatter: torch.Tensor,
        spans: Sequence[Span],
        scaling: float,
    ) -> torch.Tensor:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        kv_heads = k.shape[1]
        rows = [_by_row(x, gather, q.shape[1]) for x in (q, k, v)]
        own, own_norm = kernel(*rows, 0.0, True, scale=scaling)
        own = own.transpose(1, 2).flatten(0, 1)[scatter]
        own_norm = own_norm.transpose(1, 2).flatten(0, 1)[scatter]
        out, norm = torch.zeros_like(own), torch.full_like(own_norm, float("-inf"))
        for start, end, first, last in spans:
            if first == last:  # of nothing the kernel divides by zero
                continue
            part, part_norm = kernel(
                _by_head(q[start:end], kv_heads),
                _sides(trunk_k[first:last]),
                _sides(trunk_v[first:last]),
                scale=scaling,
            )
            out[start:end] = _from_heads(part, end - start)
            norm[start:end] = _from_heads(part_norm[..., None], end - start)[..., 0]
        total = torch.logaddexp(norm, own_norm)
        shares = torch.exp(norm - total)[..., None], torch.exp(own_norm - total)[..., None]
        merged: torch.Tensor = (out * shares[0] + own * shares[1]).to(q.dtype)
        ctx.save_for_backward(q, k, v, trunk_k, trunk_v, gather, scatter, merged, total)
        ctx.spans, ctx.scaling = spans, scaling
        return merged

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        q, k, v, trunk_k, trunk_v, gather, scatter, out, total = ctx.saved_tensors
        kv_heads, heads = k.shape[1], q.shape[1]
        grad = grads[0]
        along = torch.linalg.vecdot(grad.float(), out.float())
        own_k, own_v = (_by_row(x, gather, heads) for x in (k, v))
        # Another row's query as padding would score these keys without bound by its normalizer,
        # and where exp overflows, even a gradient of zero becomes NaN.
        own_q, own_grad, own_norm, own_along = (
            _zero_padded(x, gather, scatter).transpose(1, 2)
            for x in (q, grad, total[..., None], along[..., None])
        )
        own = _slopes(own_q, own_k, own_v, own_grad, own_norm, own_along, ctx.scaling, causal=True)
        grad_q, grad_k, grad_v = (x.transpose(1, 2).flatten(0, 1)[scatter] for x in own)
        grad_k, grad_v = (x.unflatten(1, (kv_heads, -1)).sum(2) for x in (grad_k, grad_v))
        by_trunk_k, by_trunk_v = (
            torch.zeros(x.shape, dtype=torch.float32) for x in (trunk_k, trunk_v)
        )
        for start, end, first, last in ctx.spans:
            at, seen = slice(start, end), slice(first, last)
            part_q, part_grad, part_norm, part_along = (
                _by_head(x[at], kv_heads) for x in (q, grad, total[..., None], along[..., None])
            )
            part = _slopes(
                part_q,
                _sides(trunk_k[seen]),
                _sides(trunk_v[seen]),
                part_grad,
                part_norm,
                part_along,
                ctx.scaling,
            )
            grad_q[at] += _from_heads(part[0], end - start)
            by_trunk_k[seen] += part[1][0].transpose(0, 1)
            by_trunk_v[seen] += part[2][0].transpose(0, 1)
        by_trunk = by_trunk_k.to(q.dtype), by_trunk_v.to(q.dtype)
        return (grad_q, grad_k, grad_v, *by_trunk, None, None, None, None)


def _slopes(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    grad: torch.Tensor,
    norm: torch.Tensor,
    along: torch.Tensor,
    scaling: float,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of attention [B, H, Q, D] to part of its keys [B, H, K, D], by plain products.

    norm: log of the normalizer over all keys; along: product of output and its gradient, both
    [B, H, Q, 1] in fp32. torch's fused backward pass takes several times as long.
    """
    # Scores in fp32: in Qwen2.5's first layers they are hundreds, where bfloat16 knows whole
    # numbers alone. Weights that are off by e do not sum to one, and nothing cancels below.
    weights = (q.float() @ k.float().transpose(2, 3)).mul_(scaling).sub_(norm).exp_()
    if causal:
        weights = weights.tril_()
    scores = (grad.float() @ v.float().transpose(2, 3)).sub_(along).mul_(weights).mul_(scaling)
    scores, weights = scores.to(q.dtype), weights.to(q.dtype)
    return scores @ k, scores.transpose(2, 3) @ q, weights.transpose(2, 3) @ grad


def _by_row(x: torch.Tensor, gather: torch.Tensor, heads: int) -> torch.Tensor:
    """Packed [N, h, D] to padded rows [R, H, S, D], each head as often as it is shared."""
    return x[gather].repeat_interleave(heads // x.shape[1], 2).transpose(1, 2)


def _by_head(x: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """[n, H, D] to [1, Hkv, H / Hkv * n, D]: the heads that share keys and values as one."""
    split: torch.Tensor = x.unflatten(1, (kv_heads, -1))
    return split.permute(1, 2, 0, 3).flatten(1, 2)[None]


def _from_heads(x: torch.Tensor, count: int) -> torch.Tensor:
    """[1, Hkv, H / Hkv * n, D] to [n, H, D]."""
    split: torch.Tensor = x[0].unflatten(1, (-1, count))
    return split.permute(2, 0, 1, 3).flatten(1, 2)


def _sides(x: torch.Tensor) -> torch.Tensor:
    """[T, Hkv, D] to [1, Hkv, T, D]."""
    return x.transpose(0, 1)[None]


class MaskedRows(torch.autograd.Function):
    """The same in plain products, for any device and window; the weights are not stored.

    Inside, queries are [Hkv, R, H / Hkv * S, D], so that the heads which share keys and values
    meet them in one product.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        trunk_k: torch.Tensor,
        trunk_v: torch.Tensor,
        gather: torch.Tensor,
        scatter: torch.Tensor,
        hidden: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(q, k, v, trunk_k, trunk_v, gather, scatter, hidden)
        ctx.scaling = scaling
        rows, width = gather.shape
        kv_heads, dim = k.shape[1:]
        queries = _grouped(q * scaling, gather, kv_heads)
        weights = _weights(queries, _padded(k, gather), trunk_k, hidden)
        to_trunk, to_own = weights.split([len(trunk_k), width], -1)
        out = to_trunk.flatten(1, 2) @ trunk_v.transpose(0, 1)
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
            [to_trunk.view(kv_heads, rows, queries.shape[2], seen), grad @ own_v.transpose(2, 3)],
            -1,
        )
        scores = torch._softmax_backward_data(scores, weights, -1, weights.dtype)
        on_trunk, on_own = (x.contiguous() for x in scores.split([seen, width], -1))
        flat = on_trunk.flatten(1, 2)
        grad_q = (flat @ trunk_k.transpose(0, 1)).view(kv_heads, rows, -1, dim) + on_own @ own_k
        grad_q = _ungrouped(grad_q, q.shape[1], scatter, width).mul_(ctx.scaling)
        to_trunk, to_own = weights.split([seen, width], -1)
        by_trunk = to_trunk.flatten(1, 2).transpose(1, 2)
        return (
            grad_q,
            _packed(on_own.transpose(2, 3) @ queries, scatter),
            _packed(to_own.transpose(2, 3) @ grad, scatter),
            (flat.transpose(1, 2) @ queries.flatten(1, 2)).transpose(0, 1),
            (by_trunk @ grad.flatten(1, 2)).transpose(0, 1),
            None,
            None,
            None,
            None,
        )


def _weights(
    queries: torch.Tensor, own_k: torch.Tensor, trunk_k: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Attention weights [Hkv, R, H / Hkv * S, T + S] of scaled queries."""
    kv_heads, rows, wide, _ = queries.shape
    width = own_k.shape[2]
    to_trunk = queries.flatten(1, 2) @ trunk_k.permute(1, 2, 0)
    scores = torch.cat(
        [to_trunk.view(kv_heads, rows, wide, len(trunk_k)), queries @ own_k.transpose(2, 3)], -1
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


def _zero_padded(x: torch.Tensor, gather: torch.Tensor, scatter: torch.Tensor) -> torch.Tensor:
    """Packed [N, H, D] to padded rows [R, S, H, D], zero where there is no token."""
    out = x.new_zeros(gather.numel(), *x.shape[1:]).index_copy_(0, scatter, x)
    return out.view(*gather.shape, *x.shape[1:])


def _grouped(
    x: torch.Tensor, gather: torch.Tensor, kv_heads: int, real: torch.Tensor | None = None
) -> torch.Tensor:
    """Packed [N, H, D] to [Hkv, R, H / Hkv * S, D]; `real` places alone, the others zero."""
    (rows, width), dim = gather.shape, x.shape[2]
    padded = x[gather] if real is None else _zero_padded(x, gather, real)
    split = padded.view(rows, width, kv_heads, -1, dim)
    return split.permute(2, 0, 3, 1, 4).reshape(kv_heads, rows, -1, dim)


def _ungrouped(x: torch.Tensor, heads: int, scatter: torch.Tensor, width: int) -> torch.Tensor:
    """[Hkv, R, H / Hkv * S, D] to packed [N, H, D]."""
    kv_heads, rows, _, dim = x.shape
    split = x.view(kv_heads, rows, heads // kv_heads, width, dim)
    return split.permute(1, 3, 0, 2, 4).reshape(rows * width, heads, dim)[scatter]
