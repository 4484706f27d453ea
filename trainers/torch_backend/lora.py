"""LoRA on frozen linear layers, with fp32 adapters and no copies of the activations.

The folder that is written has PEFT's format, and PEFT reads it. PEFT is not used for training:
under a bfloat16 base its layers keep an fp32 copy of every layer's input for the backward pass, and
importing it takes two seconds and 150 MB.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from srl_edge.models import adapter_folder
from srl_edge.quantization.formats import AS_SHIPPED, Trainable
from srl_edge.quantization.grid import merged
from srl_edge.quantization.storage import Weight, Whole, stored
from srl_edge.trainers.torch_backend.rounding.layer import LayerRounding


class LoraLinear(torch.nn.Module):
    """y = x W^T + b + scaling (x A^T) B^T for layers that read the same x, side by side.

    W and b are frozen. A [layers * r, in] and B [out, r] are kept in fp32 and multiplied in the
    dtype of x; block i of A belongs to the rows of B that make output i. Settled on what an
    artifact rounds to, y = x' W'^T + b: x rounded, and W + scaling B A rounded as one matrix.
    Source: LoRA, arXiv 2106.09685, section 4.1.
    """

    def __init__(self, linears: dict[str, torch.nn.Linear], rank: int, alpha: float) -> None:
        super().__init__()
        self.names = list(linears)
        members = list(linears.values())
        self.weight: Weight = Whole(torch.cat([m.weight.detach() for m in members]))
        biases = [m.bias for m in members]
        self.bias = None if biases[0] is None else torch.cat([b.detach() for b in biases])
        self.sizes = [m.out_features for m in members]
        self.rank, self.scaling = rank, alpha / rank
        self.rounding: LayerRounding | None = None
        inputs = members[0].in_features
        self.lora_A = torch.nn.Parameter(torch.empty(rank * len(members), inputs))
        self.lora_B = torch.nn.Parameter(torch.zeros(sum(self.sizes), rank))
        for a in self.lora_A.data.split(rank):
            torch.nn.init.kaiming_uniform_(a, a=math.sqrt(5))

    def settle(self, device: torch.device, quantization: Trainable) -> None:
        """Move to where it trains, and keep the frozen weight there as `stored` does."""
        self.to(device)
        self.weight = stored(self.weight().to(device), quantization)
        self.bias = None if self.bias is None else self.bias.to(device)
        if quantization in AS_SHIPPED:
            sizes = dict(zip(self.names, self.sizes, strict=True))
            self.rounding = LayerRounding(quantization, sizes, self._exact)

    @torch.no_grad()
    def _exact(self) -> Iterator[torch.Tensor]:
        parts = zip(
            self.weight().split(self.sizes),
            self.lora_A.split(self.rank),
            self.lora_B.split(self.sizes),
            strict=True,
        )
        return (merged(w, a, b, self.scaling) for w, a, b in parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor
        if self.rounding:
            x = self.rounding.inputs(x)
            if not self.rounding.watching:
                out = _RoundedMatmul.apply(  # type: ignore[no-untyped-call]
                    x,
                    self.rounding.weight(),
                    self.bias,
                    self.lora_A,
                    self.lora_B,
                    self.scaling,
                    self.sizes,
                )
                return out
            self.rounding.see(x)
        out = _LoraMatmul.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.lora_A, self.lora_B, self.scaling, self.sizes
        )
        return out

    def base(self, x: torch.Tensor) -> torch.Tensor:
        """The frozen layers alone, adapter off."""
        weight = self.weight()
        if self.rounding:
            x, weight = self.rounding.inputs(x), self.rounding.of(weight.split(self.sizes))
        return F.linear(x, weight, self.bias)

    def adapter_changed(self) -> None:
        """Let go of what was made of the adapter."""
        if self.rounding:
            self.rounding.forget()

    def merged_weight(self) -> torch.Tensor:
        """W + scaling B A [out, in], rounded once to the dtype of W."""
        weight = self.weight()
        total = weight.to(torch.float32, copy=True)
        for rows, a, b in zip(
            total.split(self.sizes),
            self.lora_A.split(self.rank),
            self.lora_B.split(self.sizes),
            strict=True,
        ):
            rows.addmm_(b, a, alpha=self.scaling)
        return total.to(weight.dtype)

    def members(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        """Split tensors shaped like `lora_A` and `lora_B` into each layer's, under PEFT's names."""
        parts = {}
        for name, own_a, own_b in zip(
            self.names, a.split(self.rank), b.split(self.sizes), strict=True
        ):
            parts[f"{name}.lora_A.weight"] = own_a
            parts[f"{name}.lora_B.weight"] = own_b
        return parts


class _LoraMatmul(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: Weight,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
        sizes: list[int],
    ) -> torch.Tensor:
        down = x @ a.to(x.dtype).T
        wide_b = _block_diagonal(b * scaling, sizes).to(x.dtype)
        out = F.linear(x, weight(), bias).addmm_(down, wide_b.T)
        ctx.weight, ctx.scaling, ctx.sizes = weight, scaling, sizes
        ctx.save_for_backward(x, down, a, b)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        x, down, a, b = ctx.saved_tensors
        grad = grads[0]
        up, grad_a, grad_b = _adapter_gradients(grad, x, down, b, ctx.scaling, ctx.sizes)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ ctx.weight()).addmm_(up, a.to(grad.dtype))
        return grad_x, None, None, grad_a, grad_b, None, None


class _RoundedMatmul(torch.autograd.Function):
    """x W'^T + b, where the rounding of W + scaling B A to W' has the gradient of no rounding."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
        sizes: list[int],
    ) -> torch.Tensor:
        ctx.scaling, ctx.sizes = scaling, sizes
        ctx.save_for_backward(x, weight, a, b)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        x, weight, a, b = ctx.saved_tensors
        grad = grads[0]
        _, grad_a, grad_b = _adapter_gradients(grad, x, x @ a.T, b, ctx.scaling, ctx.sizes)
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        return grad_x, None, None, grad_a, grad_b, None, None


def _adapter_gradients(
    grad: torch.Tensor,
    x: torch.Tensor,
    down: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
    sizes: list[int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """grad @ (scaling B), and the gradients of A and B, from down = x A^T."""
    up = grad @ _block_diagonal(b * scaling, sizes).to(grad.dtype)
    grad_a = (up.T @ x).float()
    ranks = (grad.T @ down).float().split(sizes)
    rank = b.shape[1]
    grad_b = torch.cat([g[:, i * rank : (i + 1) * rank] for i, g in enumerate(ranks)])
    return up, grad_a, grad_b.mul_(scaling)


def _block_diagonal(b: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """B [out, r] of layers side by side as one matrix [out, layers * r]."""
    return b if len(sizes) == 1 else torch.block_diag(*b.split(sizes))


def save_adapter(
    folder: Path,
    layers: Iterable[LoraLinear],
    rank: int,
    alpha: float,
    base: str,
    frozen: Mapping[str, str] | None = None,
) -> Path:
    """Write layers as a PEFT folder, as `adapter_folder.write` does."""
    parts: dict[str, torch.Tensor] = {}
    for layer in layers:
        parts |= layer.members(layer.lora_A.detach(), layer.lora_B.detach())
    weights = {name: value.cpu().numpy() for name, value in parts.items()}
    return adapter_folder.write(folder, weights, rank, alpha, base, frozen=frozen)


@torch.no_grad()
def load_adapter(folder: Path, layers: Iterable[LoraLinear]) -> None:
    """Fill layers from a PEFT folder of the same shape."""
    state = adapter_folder.read(folder)
    for layer in layers:
        for name, part in layer.members(layer.lora_A, layer.lora_B).items():
            part.copy_(torch.from_numpy(state[name]))
