"""The grids of the 4-bit artifacts, on which an adapter can be trained: rounded as is shipped.

A matrix and what it is multiplied with are rounded to the grid, and stay floats. Exporters write
the same codes and scales, so the numbers that learn are those on the device.
"""

from typing import Any

import torch
from torch import Tensor

from srl_edge.errors import InputError

GROUP = 32  # weights that share one 4-bit scale; the smallest XNNPACK takes
HEAD = "lm_head"  # the projection to the vocabulary, tied or not
ROWS = 8192  # rows rounded at once, so that a vocabulary does not multiply in memory


def quantize_groups(weight: Tensor) -> tuple[Tensor, Tensor]:
    """4-bit codes of a weight [out, in] with one scale per GROUP inputs, nothing clipped.

    Returns codes -8..7, int8 [out, in], and scales [out, in / GROUP], each a bfloat16 in fp32.
    """
    codes, scales = zip(*map(_nearest, weight.split(ROWS)), strict=True)
    return torch.cat(codes), torch.cat(scales)


def quantize_blocks(weight: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """8-bit codes -127..127, int8 [out, in], and one scale per `block` inputs [out, in / block]."""
    blocks = weight.reshape(len(weight), -1, block)
    scale = _divided(blocks.abs().amax(-1, keepdim=True).clamp_min(1e-9), 127)
    return (blocks / scale).round_().to(torch.int8).view(weight.shape), scale.squeeze(-1)


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """8-bit codes of a weight [out, in] with one scale a row: int8 [out, in], float [out, 1]."""
    return quantize_blocks(weight, weight.shape[1])


def dequantized(codes: Tensor, scales: Tensor) -> Tensor:
    """The matrix [out, in] of codes [out, in] and scales [out, groups]."""
    blocks = codes.view(*scales.shape, -1)
    return (blocks * scales[..., None]).view(codes.shape)


def group_scales(blocks: Tensor) -> Tensor:
    """The least scales [out, groups, 1] of blocks [out, groups, GROUP] that clip nothing."""
    largest, smallest = blocks.amax(-1, keepdim=True), blocks.amin(-1, keepdim=True)
    scale = torch.maximum(_divided(largest, 7), _divided(smallest, -8)).clamp_min(1e-9)
    return scale.bfloat16().float()


def nearest_codes(weight: Tensor, scale: Tensor) -> Tensor:
    """Codes -8..7, still floats."""
    return (weight / scale).round_().clamp_(-8, 7)


def head_block(width: int) -> int:
    """Inputs that share a scale of an 8-bit head: the largest blocks that it divides into."""
    return next(size for size in (128, 64, GROUP) if width % size == 0)


def merged(weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """W + scaling B A [out, in] in fp32, with A [r, in] and B [out, r]."""
    # Summed in fp64, as the merge of the export does: an fp32 sum depends on its order, and so
    # on the device, and could fall to the other side of an edge between two codes.
    return (weight.double() + (b.double() @ a.double()) * scaling).float()


def rounded(artifact: str, module: str, weight: Tensor) -> Tensor:
    """What an artifact multiplies by in place of a weight [out, in] in fp32, of the same shape.

    artifact: a key of AS_SHIPPED. module: a name like `layers.0.self_attn.q_proj`, or HEAD. Raises
    InputError for inputs that no groups divide.
    """
    inputs = weight.shape[1]
    if inputs % GROUP:
        raise InputError(
            f"trainer.quantization = {artifact!r} takes layers whose inputs are multiples of "
            f"{GROUP}; {module} has {inputs}."
        )
    parts = [dequantized(*_codes(artifact, module, rows)) for rows in weight.split(ROWS)]
    return torch.cat(parts)


def rounded_ends(artifact: str, table: Tensor, head: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The rows that an artifact looks up, times `scale`, and the head that it multiplies by.

    table, head [V, d]: the same tensor where they are tied.
    """
    tied, multiplied = table is head, rounded(artifact, HEAD, head)
    if artifact == "int4-onnx":  # there the table is the head's codes, or whole
        rows = multiplied if tied else table
        return (rows if scale == 1 else rows * scale), multiplied
    if tied and scale == 1:
        return multiplied, multiplied
    return rounded(artifact, "embed_tokens", table * scale), multiplied


def rounded_input(artifact: str, x: Tensor, module: str = "") -> Tensor:
    """Activations [N, in] as an artifact rounds them; the gradient passes through unchanged.

    8da4w: 8 bits with a scale and a zero point for each token, as XNNPACK does. int4-onnx: 8 bits
    with a scale for each block that shares one of the weights', as MatMulNBits does at its accuracy
    level 4. module: HEAD for the projection to the vocabulary.
    """
    block = head_block(x.shape[-1]) if module == HEAD else GROUP
    out: Tensor = _Rounded.apply(x, artifact, block)  # type: ignore[no-untyped-call]
    return out


class _Rounded(torch.autograd.Function):
    """Straight-through rounding: arXiv 1308.3432, section 4."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, artifact: str, block: int) -> Tensor:
        return _by_token(x) if artifact == "8da4w" else _by_block(x, block)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        return grads[0], None, None


def _by_token(x: Tensor) -> Tensor:
    # torchao's choose_qparams_affine, quantize_affine and dequantize_affine, to the bit.
    low, high = x.amin(-1, keepdim=True).clamp_max(0), x.amax(-1, keepdim=True).clamp_min(0)
    scale = _divided(high - low, 255).clamp_min(torch.finfo(x.dtype).smallest_normal)
    zero = (-128 - (low / scale).round()).clamp_(-128, 127)
    codes = (x * (1 / scale)).round_().add_(zero).clamp_(-128, 127)
    return codes.sub_(zero).mul_(scale)


def _by_block(x: Tensor, block: int) -> Tensor:
    blocks = x.reshape(len(x), -1, block)
    tiny = torch.finfo(x.dtype).smallest_normal
    scale = _divided(blocks.abs().amax(-1, keepdim=True), 127).clamp_min(tiny)
    return (blocks * (1 / scale)).round_().mul_(scale).view(x.shape)


def _codes(artifact: str, module: str, weight: Tensor) -> tuple[Tensor, Tensor]:
    if artifact == "8da4w":
        wide = module.endswith(("v_proj", "o_proj"))
        return quantize_rows(weight) if wide else quantize_groups(weight)
    if module == HEAD:
        return quantize_blocks(weight, head_block(weight.shape[1]))
    return quantize_groups(weight)


def _nearest(weight: Tensor) -> tuple[Tensor, Tensor]:
    blocks = weight.reshape(len(weight), -1, GROUP)
    scale = group_scales(blocks)
    codes = nearest_codes(blocks, scale).to(torch.int8)
    return codes.view(weight.shape), scale.squeeze(-1)


def _divided(x: Tensor, by: int) -> Tensor:
    # By a tensor there: CUDA turns division by a plain number into a product with its inverse.
    return x / torch.full((), float(by), device=x.device)
