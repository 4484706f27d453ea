"""Weights in 32, 8 or 4 bits, and the modules that hold them.

The 8- and 4-bit grids are those that XNNPACK has kernels for: symmetric (no zero point), with
positive scales. 4-bit scales are stored as bfloat16, so they are rounded first and the codes chosen
for the rounded scale. Plain rounding is the trainer's (srl_edge.trainers.fake_quantized), which
trains adapters on what it gives. The operators `quantized_decomposed.*` are registered by
srl_edge.exporters.executorch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from srl_edge.exporters.quiet import quiet
from srl_edge.trainers.fake_quantized import GROUP, group_scales, nearest_codes, quantize_rows
from srl_edge.trainers.fake_quantized import quantize_groups as rounded_groups

with quiet():  # it reports every GPU kernel that it has not got
    import torchao  # noqa: F401  # for its operators

_DAMPING = 0.01  # share of the mean diagonal that is added to the Gram matrix
_ROWS = 8192  # rows rounded at once, so that a vocabulary does not multiply in memory


def frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


class Linears(nn.Module):
    """Linear maps of one input, which is quantized once for all of them.

    names: of the modules that the weights come from. Float until `quantize`. Then 4-bit weights
    have a scale per GROUP inputs, 8-bit weights one per output, and every token of the input is
    rounded to 8 bits with its own scale and zero point.
    """

    def __init__(
        self, names: Sequence[str], weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        bits: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.names = names
        self.bits = 32
        self._target_bits = bits
        self.weights = nn.ParameterList(map(frozen, weights))
        self.scales, self.zeros = nn.ParameterList(), nn.ParameterList()
        self.biases = nn.ParameterList(frozen(bias) for bias in biases if bias is not None)

    def quantize(self, x: Tensor | None = None) -> None:
        """Rounds the weights; x [1, tokens, in] is an input they should answer well to."""
        if self.bits == self._target_bits:
            return
        self.bits = self._target_bits
        if self.bits == 8:
            rounded = [quantize_rows(weight) for weight in self.weights]
        else:
            spread = None if x is None else error_spread(self._rounded(x).flatten(0, 1))
            rounded = [quantize_groups(weight, spread) for weight in self.weights]
        self.weights = nn.ParameterList(frozen(codes) for codes, _ in rounded)
        self.scales = nn.ParameterList(frozen(scales) for _, scales in rounded)
        self.zeros = nn.ParameterList(
            frozen(torch.zeros_like(scale, dtype=torch.int8)) for scale in self.scales
        )

    def forward(self, x: Tensor, lora: Sequence[Tensor] = ()) -> list[Tensor]:
        """x [1, S, in]; lora: A [1, in, r] and B [1, r, out] of each map, in full precision."""
        rounded = self._rounded(x) if self.bits < 32 else x
        biases = list(self.biases) or [None] * len(self.weights)
        out = [functional.linear(rounded, self._weight(i), b) for i, b in enumerate(biases)]
        for i, (a, b) in enumerate(zip(lora[::2], lora[1::2], strict=True)):
            out[i] = out[i] + torch.bmm(torch.bmm(x, a), b)
        return out

    def _rounded(self, x: Tensor) -> Tensor:
        block = [1] * (x.dim() - 1) + [x.shape[-1]]
        ops = torch.ops.torchao
        scale, zero = ops.choose_qparams_affine(
            x, "ASYMMETRIC", block, torch.int8, -128, 127, None, None, torch.int8
        )
        codes = ops.quantize_affine(x, block, scale, zero, torch.int8, -128, 127)
        rounded: Tensor = ops.dequantize_affine(codes, block, scale, zero, torch.int8, -128, 127)
        return rounded

    def _weight(self, i: int) -> Tensor:
        weight: Tensor = self.weights[i]
        if self.bits == 32:
            return weight
        block = [1, GROUP if self.bits == 4 else weight.shape[1]]
        top = 2 ** (self.bits - 1)
        weight = torch.ops.torchao.dequantize_affine(
            weight, block, self.scales[i], self.zeros[i], torch.int8, -top, top - 1
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


def error_spread(inputs: Tensor) -> Tensor:
    """How rounding errors of a column are best made good by later ones, from inputs [tokens, in].

    Returns the upper Cholesky factor [in, in] of the inverse of the inputs' damped Gram matrix, the
    form in which GPTQ (arXiv 2210.17323) uses it.
    """
    gram = inputs.T @ inputs
    diagonal = gram.diagonal()
    diagonal += _DAMPING * diagonal.mean() + 1e-6
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    spread: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return spread


def quantize_groups(weight: Tensor, spread: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """4-bit codes of a weight [out, in] with one scale per GROUP inputs.

    With `error_spread` of the weight's inputs, scales are searched for the least weighted error and
    each column's rounding error is passed on to the columns not yet rounded; without, plain
    rounding, nothing clipped. Returns codes -8..7, int8 [out, in], and scales [out, in / GROUP].
    """
    parts = [
        rounded_groups(rows) if spread is None else _compensated(rows.clone(), spread)
        for rows in torch.split(weight, _ROWS)
    ]
    codes, scales = zip(*parts, strict=True)
    return torch.cat(codes), torch.cat(scales)


def _compensated(weight: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    codes, scales = torch.empty_like(weight, dtype=torch.int8), []
    for begin in range(0, weight.shape[1], GROUP):
        end = begin + GROUP
        scale = _searched(weight[:, begin:end], spread.diagonal()[begin:end])
        errors = torch.empty(len(weight), GROUP)
        for column in range(begin, end):
            current = weight[:, column : column + 1]
            code = nearest_codes(current, scale)
            error = (current - code * scale) / spread[column, column]
            weight[:, column + 1 : end] -= error * spread[column, column + 1 : end]
            codes[:, column : column + 1] = code
            errors[:, column - begin : column - begin + 1] = error
        weight[:, end:] -= errors @ spread[begin:end, end:]
        scales.append(scale)
    return codes, torch.cat(scales, 1)


def _searched(block: Tensor, spread: Tensor) -> Tensor:
    """The scales [out, 1] of least error for a block [out, GROUP]."""
    unclipped = group_scales(block)
    best, least = unclipped, torch.full_like(unclipped, torch.inf)
    for factor in torch.arange(0.7, 1.2, 0.025).tolist():
        scale = (unclipped * factor).bfloat16().float()
        error = (
            ((nearest_codes(block, scale) * scale - block) / spread).square_().sum(1, keepdim=True)
        )
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best
