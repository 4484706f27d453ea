"""What happens between the matrix products: few passes over the data, little kept for later."""

from typing import Any

import torch
from torch.nn import functional as F


class RmsNorm(torch.autograd.Function):
    """x / rms(x) * weight in fp32, rounded once; the weight is frozen."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = x.float()
        square = torch.linalg.vecdot(wide, wide)[..., None]
        scale = torch.rsqrt_(square.mul_(1 / x.shape[-1]).add_(epsilon))
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        grad = grads[0] * weight
        wide = x.float()
        along = torch.linalg.vecdot(grad, wide)[..., None] * scale.square() / x.shape[-1]
        return grad.addcmul_(wide, along, value=-1).mul_(scale).to(x.dtype), None, None


class Rotate(torch.autograd.Function):
    """Rotary embedding of [N, H, D] by angles whose cosine and sine are [N, 1, D / 2]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, sin, -1), None, None


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, sign: int) -> torch.Tensor:
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    torch.mul(first, cos, out=out[..., :half]).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=out[..., half:]).addcmul_(first, sin, value=sign)
    return out


class GatedUnit(torch.autograd.Function):
    """silu(gate) * up, or Gemma's gelu, of [N, 2F]; only its input is kept."""

    @staticmethod
    def forward(ctx: Any, gate_up: torch.Tensor, gelu: bool) -> torch.Tensor:
        ctx.save_for_backward(gate_up)
        ctx.gelu = gelu
        gate, up = gate_up.chunk(2, -1)
        return _activated(gate, gelu).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        out = torch.empty_like(gate_up)
        for_gate, for_up = out.chunk(2, -1)
        torch.mul(grads[0], _activated(gate, ctx.gelu), out=for_up)
        inner = grads[0] * up
        if ctx.gelu:
            for_gate.copy_(torch.ops.aten.gelu_backward(inner, gate, approximate="tanh"))
        else:
            for_gate.copy_(torch.ops.aten.silu_backward(inner, gate))
        return out, None


def _activated(gate: torch.Tensor, gelu: bool) -> torch.Tensor:
    return F.gelu(gate, approximate="tanh") if gelu else F.silu(gate)
