"""4-bit rounding that is fitted to a layer's inputs, for training and for the export alike.

Each column's rounding error is made good by the columns not yet rounded, as far as inputs allow.
Source: GPTQ, arXiv 2210.17323.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from srl_edge.quantization.grid import GROUP, HEAD, ROWS, dequantized, group_scales, nearest_codes

CODES_FILE = "rounded.safetensors"  # in an adapter's folder: the codes that it was trained with
Codes = tuple[Tensor, Tensor]  # -8..7, int8 [out, in], and scales [out, in / GROUP]
_DAMPING = 0.01  # share of the mean diagonal that is added to the Gram matrix


def is_fitted(artifact: str, module: str) -> bool:
    """Whether an artifact has a module's weights in 4 bits; what has 8 is only rounded."""
    if artifact == "8da4w":
        return not module.endswith(("v_proj", "o_proj"))
    return module != HEAD


def error_spread(gram: Tensor) -> Tensor:
    """How rounding errors of a column are best made good by later ones; overwrites `gram`.

    gram: X^T X [in, in] of a layer's inputs. Returns the upper Cholesky factor [in, in] of the
    damped matrix's inverse, the form in which GPTQ uses it.
    """
    diagonal = gram.diagonal()
    diagonal += _DAMPING * diagonal.mean() + 1e-6
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    spread: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return spread.contiguous()


def compensated(weight: Tensor, spread: Tensor, scales: Tensor | None = None) -> Codes:
    """4-bit codes of a weight [out, in] under `error_spread` of its inputs.

    scales [out, in / GROUP]: those to round to; without them, the ones of least weighted error.
    """
    rows = weight.split(ROWS)
    own = (None,) * len(rows) if scales is None else scales.split(ROWS)
    parts = [_compensated(w, spread, s) for w, s in zip(rows, own, strict=True)]
    codes, found = zip(*parts, strict=True)
    return torch.cat(codes), torch.cat(found)


def codes_of(rounded: Tensor, scales: Tensor) -> Tensor:
    """The codes [out, in] that gave a matrix of rounded weights."""
    blocks = rounded.view(*scales.shape, -1)
    return nearest_codes(blocks, scales[..., None]).to(torch.int8).view(rounded.shape)


def write_codes(folder: Path, codes: Mapping[str, Codes]) -> None:
    """Put codes by module, two a byte, and their scales into `folder/rounded.safetensors`."""
    tensors = {}
    for name, (values, scales) in codes.items():
        nibbles = (values + 8).to(torch.uint8)
        tensors[f"{name}.codes"] = (nibbles[:, ::2] | nibbles[:, 1::2] << 4).cpu()
        tensors[f"{name}.scales"] = scales.bfloat16().cpu()  # which they are, to the bit
    save_file(tensors, folder / CODES_FILE)


def read_codes(folder: Path) -> dict[str, Codes]:
    """The codes that `write_codes` put into a folder; none where it has no such file."""
    if not (folder / CODES_FILE).is_file():
        return {}
    tensors = load_file(folder / CODES_FILE)
    found = {}
    for key, packed in tensors.items():
        name, _, kind = key.rpartition(".")
        if kind == "codes":
            nibbles = torch.stack([packed & 15, packed >> 4], -1).flatten(1)
            found[name] = nibbles.to(torch.int8) - 8, tensors[f"{name}.scales"].float()
    return found


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The matrices [out, in] of the codes in a folder, by module."""
    return {name: dequantized(*codes) for name, codes in read_codes(folder).items()}


def _compensated(weight: Tensor, spread: Tensor, scales: Tensor | None) -> Codes:
    columns = weight.T.contiguous()  # as rows, so that each is one stretch of memory
    codes, found = torch.empty_like(columns, dtype=torch.int8), []
    for begin in range(0, len(columns), GROUP):
        end = begin + GROUP
        block, inner = columns[begin:end], spread[begin:end, begin:end]
        if scales is None:
            scale = _searched(block, inner.diagonal())
        else:
            scale = scales[:, begin // GROUP].contiguous()
        errors = torch.empty_like(block)
        for i, column in enumerate(block):
            column -= inner[:i, i] @ errors[:i]
            code = nearest_codes(column, scale)
            codes[begin + i] = code
            torch.sub(column, code.mul_(scale), out=errors[i]).div_(inner[i, i])
        columns[end:].addmm_(spread[begin:end, end:].T, errors, alpha=-1)
        found.append(scale)
    return codes.T.contiguous(), torch.stack(found, 1)


def _searched(block: Tensor, spread: Tensor) -> Tensor:
    """The scales [out] of least error for a block [GROUP, out]."""
    importance = spread**-2
    unclipped = group_scales(block.T).squeeze(1)
    best, least = unclipped, torch.full_like(unclipped, torch.inf)
    errors = torch.empty_like(block)
    for factor in torch.arange(0.7, 1.2, 0.025).tolist():
        scale = (unclipped * factor).bfloat16().float()
        torch.div(block, scale, out=errors).round_().clamp_(-8, 7).mul_(scale)
        error = importance @ errors.sub_(block).square_()
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best
