"""LoRA on frozen linear layers, with fp32 adapters and no copies of the activations.

The folder that is written is PEFT's own, and PEFT reads it. Its layers are not used for training:
under a bfloat16 base they keep an fp32 copy of every layer's input for the backward pass.
"""

import math
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch.nn import functional as F

_PREFIX = "base_model.model."


class LoraLinear(torch.nn.Module):
    """y = x W^T + b + scaling (x A^T) B^T, with W and b frozen.

    A [r, in] and B [out, r] are kept in fp32 and multiplied in the dtype of x. Source: LoRA,
    arXiv 2106.09685, section 4.1.
    """

    def __init__(self, linear: torch.nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear = linear
        self.scaling = alpha / rank
        device = linear.weight.device
        self.lora_A = torch.nn.Parameter(torch.empty(rank, linear.in_features, device=device))
        self.lora_B = torch.nn.Parameter(torch.zeros(linear.out_features, rank, device=device))
        torch.nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = _LoraMatmul.apply(  # type: ignore[no-untyped-call]
            x, self.linear.weight, self.linear.bias, self.lora_A, self.lora_B, self.scaling
        )
        return out

    def merged_weight(self) -> torch.Tensor:
        """W + scaling B A [out, in], rounded once to the dtype of W."""
        delta = self.lora_B @ self.lora_A * self.scaling
        return (self.linear.weight.float() + delta).to(self.linear.weight.dtype)


class _LoraMatmul(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
        a: torch.Tensor, b: torch.Tensor, scaling: float,
    ) -> torch.Tensor:  # fmt: skip
        flat = x.reshape(-1, x.shape[-1])
        down = flat @ a.to(x.dtype).T
        out = F.linear(flat, weight, bias).addmm_(down, b.to(x.dtype).T, alpha=scaling)
        ctx.scaling = scaling
        ctx.save_for_backward(flat, down, weight, a, b)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        flat, down, weight, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        up = grad @ b.to(grad.dtype)
        grad_a = (up.T @ flat).float() * ctx.scaling
        grad_b = (grad.T @ down).float() * ctx.scaling
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(up, a.to(grad.dtype), alpha=ctx.scaling)
            grad_x = grad_x.view(*grads[0].shape[:-1], -1)
        return grad_x, None, None, grad_a, grad_b, None


def add_lora(decoder: torch.nn.Module, rank: int, alpha: float) -> dict[str, LoraLinear]:
    """Replace every linear layer of a decoder by a LoRA one; returns them by name.

    All other parameters are frozen. The projection to the vocabulary is not part of the decoder.
    """
    decoder.requires_grad_(False)
    layers = {}
    for name, module in list(decoder.named_modules()):
        if isinstance(module, torch.nn.Linear):
            layers[name] = LoraLinear(module, rank, alpha)
            decoder.set_submodule(name, layers[name])
    return layers


def save_adapter(folder: Path, layers: dict[str, LoraLinear], rank: int, alpha: float, base: str,
                 prefix: str = "model.") -> Path:  # fmt: skip
    """Write layers as a PEFT folder; `prefix` is the decoder's name inside the model."""
    folder.mkdir(parents=True, exist_ok=True)
    LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        target_modules=sorted({name.rsplit(".", 1)[1] for name in layers}),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    ).save_pretrained(str(folder))
    weights = {}
    for name, layer in layers.items():
        weights[f"{_PREFIX}{prefix}{name}.lora_A.weight"] = layer.lora_A.detach().contiguous()
        weights[f"{_PREFIX}{prefix}{name}.lora_B.weight"] = layer.lora_B.detach().contiguous()
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
