"""Frozen weights as they are kept while an adapter trains on them: whole, or in 8 or 4 bits.

Each is a function that returns the matrix [out, in] to multiply by, which 8 and 4 bits are read
back into for each product: what is stored is small, what is multiplied by is exact to it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from srl_edge.errors import InputError
from srl_edge.quantization.formats import Backend, Trainable, require_trainable

Weight = Callable[[], torch.Tensor]
NF4_BLOCK = 64  # weights that share a scale


class Whole:
    """The matrix itself."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = weight

    def __call__(self) -> torch.Tensor:
        return self.weight


class Int8:
    """Whole numbers from -127 to 127, and an fp32 scale for each output."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.dtype = weight.dtype
        wide = weight.float()
        self.scales = wide.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        self.codes = (wide / self.scales).round().to(torch.int8)

    def __call__(self) -> torch.Tensor:
        # A product of integers and floats was measured to take many times as long.
        return self.codes.float().mul_(self.scales).to(self.dtype)


class Nf4:
    """4-bit codes for normally distributed weights, in blocks of 64 whose scales are 8-bit.

    Source: QLoRA, arXiv 2305.14314, sections 3 (NF4 and double quantization); bitsandbytes.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        try:
            import bitsandbytes.functional as bnb
        except ImportError:
            raise InputError(
                "trainer.quantization = 'nf4' needs bitsandbytes: pip install 'srl-edge[qlora]'."
            ) from None
        self._bnb: Any = bnb
        self.codes, self.state = bnb.quantize_4bit(
            weight, quant_type="nf4", blocksize=NF4_BLOCK, compress_statistics=True
        )

    def __call__(self) -> torch.Tensor:
        weight: torch.Tensor = self._bnb.dequantize_4bit(self.codes, self.state)
        return weight


def stored(weight: torch.Tensor, quantization: Trainable) -> Weight:
    """A matrix [out, in] kept as `none`, `int8` or `nf4`; InputError for what torch cannot.

    What an artifact rounds to (`8da4w`, `int4-onnx`) is rounded with the adapter in it, so the
    matrix itself is kept whole.
    """
    require_trainable(quantization, "torch")
    match quantization:
        case "int8":
            return Int8(weight)
        case "nf4":
            return Nf4(weight)
    return Whole(weight)


def dequantized(
    weights: Sequence[torch.Tensor], quantization: Trainable, backend: Backend
) -> list[torch.Tensor]:
    """What layers that read the same input are multiplied by while an adapter trains on them."""
    if backend == "mlx":
        return [_affine(weight, {"int8": 8, "int4": 4}[quantization]) for weight in weights]
    kept = stored(torch.cat(list(weights)), quantization)()
    return list(kept.split([len(weight) for weight in weights]))


def _affine(weight: torch.Tensor, bits: int) -> torch.Tensor:
    import mlx.core as mx
    import numpy as np

    exact = mx.array(weight.float().numpy()).astype(getattr(mx, str(weight.dtype)[6:]))
    parts = mx.quantize(exact, group_size=64, bits=bits)
    whole = mx.dequantize(*parts, group_size=64, bits=bits).astype(mx.float32)
    return torch.from_numpy(np.array(whole)).to(weight.dtype)
