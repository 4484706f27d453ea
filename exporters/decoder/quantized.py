"""Weights in 32, 8 or 4 bits, and the modules that hold them.

The 8- and 4-bit grids are those that XNNPACK has kernels for: symmetric (no zero point), with
positive scales. 4-bit scales are stored as bfloat16, so they are rounded first and the codes chosen
for the rounded scale. Rounding is the trainer's (srl_edge.quantization.grid and gptq), which trains
adapters on what it gives. The operators `quantized_decomposed.*` are registered by
srl_edge.exporters.executorch.build.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from srl_edge.exporters.quiet import quiet
from srl_edge.quantization.gptq import Codes, compensated, error_spread
from srl_edge.quantization.grid import (
    GROUP,
    dequantized,
    quantize_groups,
    quantize_rows,
    rounded_input,
)

with quiet():  # it reports every GPU kernel that it has not got
    import torchao  # noqa: F401  # for its operators


def frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


class Linears(nn.Module):
    """Linear maps of one input, which is quantized once for all of them.

    names: of the modules that the weights come from. Float until `quantize`. Then 4-bit weights
    have a scale per GROUP inputs, 8-bit weights one per output, and every token of the input is
    rounded to 8 bits with its own scale and zero point. trained: 4-bit codes that an adapter was
    trained with, instead of the nearest ones.
    """

    def __init__(
        self,
        names: Sequence[str],
        weights: Sequence[Tensor],
        biases: Sequence[Tensor | None],
        bits: int,
        trained: Sequence[Codes] = (),
    ) -> None:
        super().__init__()
        self.names = names
        self.bits = 32
        self._target_bits, self._trained = bits, trained
        self.weights = nn.ParameterList(map(frozen, weights))
        self.scales, self.zeros = nn.ParameterList(), nn.ParameterList()
        self.biases = nn.ParameterList(frozen(bias) for bias in biases if bias is not None)

    def quantize(self, x: Tensor | None = None, times: Tensor | None = None) -> None:
        """Rounds the weights.

        x [1, tokens, in] is an input they should answer well to; times [tokens]: how often each of
        its tokens counts, without it once.
        """
        if self.bits == self._target_bits:
            return
        self.bits = self._target_bits
        sizes, weight = [len(weight) for weight in self.weights], torch.cat(list(self.weights))
        if self.bits == 8:
            codes, scales = quantize_rows(weight)
        elif x is not None:
            inputs = rounded_input("8da4w", x).flatten(0, 1)
            rows = (inputs if times is None else inputs * times.sqrt()[:, None]).numpy()
            # numpy computes half of what is symmetric.
            codes, scales = compensated(weight, error_spread(torch.from_numpy(rows.T @ rows)))
        elif self._trained:
            codes, scales = (torch.cat(part) for part in zip(*self._trained, strict=True))
        else:
            codes, scales = quantize_groups(weight)
        self.weights = nn.ParameterList(frozen(part.clone()) for part in codes.split(sizes))
        self.scales = nn.ParameterList(frozen(part.clone()) for part in scales.split(sizes))
        self.zeros = nn.ParameterList(
            frozen(torch.zeros_like(scale, dtype=torch.int8)) for scale in self.scales
        )

    def forward(self, x: Tensor, lora: Sequence[Tensor] = ()) -> list[Tensor]:
        """x [1, S, in]; lora: A [1, in, r] and B [1, r, out] of each map, in full precision."""
        rounded, weights = (x, list(self.weights)) if self.bits == 32 else self._grid(x)
        biases = list(self.biases) or [None] * len(weights)
        out = [functional.linear(rounded, w, b) for w, b in zip(weights, biases, strict=True)]
        for i, (a, b) in enumerate(zip(lora[::2], lora[1::2], strict=True)):
            out[i] = out[i] + torch.bmm(torch.bmm(x, a), b)
        return out

    def _grid(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The input and the weights as they are multiplied, in floats."""
        if torch.compiler.is_exporting():
            parts = zip(self.weights, self.scales, self.zeros, strict=True)
            return lowered_input(x), [lowered_weight(*part, self.bits) for part in parts]
        # The same to the bit, in a fifth of the time.
        pairs = zip(self.weights, self.scales, strict=True)
        return rounded_input("8da4w", x), [dequantized(*pair) for pair in pairs]


def lowered_input(x: Tensor) -> Tensor:
    """`rounded_input` for 8da4w in the operators that XNNPACK makes a quantized product of."""
    block = [1] * (x.dim() - 1) + [x.shape[-1]]
    ops = torch.ops.torchao
    scale, zero = ops.choose_qparams_affine(
        x, "ASYMMETRIC", block, torch.int8, -128, 127, None, None, torch.int8
    )
    codes = ops.quantize_affine(x, block, scale, zero, torch.int8, -128, 127)
    rounded: Tensor = ops.dequantize_affine(codes, block, scale, zero, torch.int8, -128, 127)
    return rounded


def lowered_weight(codes: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    """`dequantized` in the operator that XNNPACK takes for a weight's."""
    block = [1, GROUP if bits == 4 else codes.shape[1]]
    top = 2 ** (bits - 1)
    weight: Tensor = torch.ops.torchao.dequantize_affine(
        codes, block, scales, zeros, torch.int8, -top, top - 1
    )
    return weight


class Embedding(nn.Module):
    """Token ids [1, S] to rows [1, S, hidden] of a table in 32, 8 (a scale a row) or 4 bits."""

    table: Tensor

    def __init__(self, table: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        if bits < 32:
            table, scales = quantize_rows(table) if bits == 8 else quantize_groups(table)
            self.register_buffer("scales", scales)
        if bits == 4:
            nibbles = (table + 8).to(torch.uint8)
            table = nibbles[:, ::2] << 4 | nibbles[:, 1::2]
        self.register_buffer("table", table)

    def forward(self, tokens: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        rows: Tensor
        if self.bits == 32:
            rows = functional.embedding(tokens, self.table)
        elif self.bits == 8:
            rows = ops.embedding_byte(self.table, self.scales, None, -128, 127, tokens)
        else:
            rows = ops.embedding_4bit(self.table, self.scales, None, -8, 7, tokens)
        return rows
