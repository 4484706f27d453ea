"""A decoder cut at its attention calls: what lies between two of them is one stage.

A stage holds everything that works on one token at a time: the output projection and the MLP of
layer i, then the norm, the q, k, v projections and the rotary embedding of layer i + 1. Attention,
the key-value cache and the embedding stay outside. A stage becomes one XNNPACK graph.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from srl_edge.exporters.decoder.quantized import Linears, frozen
from srl_edge.models.families import FAMILIES

_TANH_GELU = (1.5957691216057308, 0.07135481282634689)  # 2 sqrt(2 / pi), and that times 0.044715


@dataclass(frozen=True)
class Attention:
    """What attention needs besides q, k and v.

    kinds: "full_attention" or "sliding_attention" for each layer; window: how far back the latter
    looks, None where that is no limit; ropes: cos and sin [context, dim] of each kind.
    """

    kinds: tuple[str, ...]
    window: int | None
    ropes: dict[str, tuple[Tensor, Tensor]]
    heads: int
    kv_heads: int
    scale: float

    @classmethod
    def of(cls, config: Any, context_length: int) -> "Attention":
        kinds = getattr(config, "layer_types", None)
        kinds = tuple(kinds or ["full_attention"] * config.num_hidden_layers)
        window = config.sliding_window if "sliding_attention" in kinds else None
        ropes = {kind: rotary_tables(config, kind, context_length) for kind in sorted(set(kinds))}
        head_dim = next(iter(ropes.values()))[0].shape[1]
        fixed = FAMILIES[config.model_type].fixed_scale
        return cls(
            kinds=kinds,
            window=window if window is not None and window < context_length else None,
            ropes=ropes,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            scale=(config.query_pre_attn_scalar if fixed else head_dim) ** -0.5,
        )


def rotary_tables(config: Any, kind: str, context_length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [context, dim] of a kind of layers, as transformers computes them."""
    # The rotary modules of llama, qwen2 and qwen3 are the same.
    x, positions = torch.zeros(1), torch.arange(context_length).unsqueeze(0)
    if FAMILIES[config.model_type].two_ropes:
        cos, sin = Gemma3RotaryEmbedding(config)(x, positions, kind)
    else:
        cos, sin = LlamaRotaryEmbedding(config)(x, positions)
    return cos[0].contiguous(), sin[0].contiguous()


class RMSNorm(nn.Module):
    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = frozen(weight)
        # XNNPACK takes a mean over the last axis of a 3-d tensor only as a matrix product.
        self.mean = frozen(torch.full((1, len(weight)), 1.0 / len(weight)))
        self.eps = frozen(torch.full((1,), eps))

    def forward(self, x: Tensor) -> Tensor:
        mean_square = functional.linear(x * x, self.mean, self.eps)
        return x * torch.rsqrt(mean_square) * self.weight


class TanhGELU(nn.Module):
    """The tanh approximation of GELU, as x sigmoid(2 u): XNNPACK's own GELU is the exact one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.cubic = (frozen(torch.tensor([c])) for c in _TANH_GELU)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x * (self.linear + x * x * self.cubic))


class First(nn.Module):
    """Hidden states x [1, S, hidden] to rotated queries and keys and values [1, S, heads, dim]."""

    def __init__(
        self,
        norm: nn.Module,
        query_key: Linears,
        value: Linears,
        q_norm: nn.Module,
        k_norm: nn.Module,
        head_dim: int,
    ) -> None:
        super().__init__()
        self.norm, self.query_key, self.value = norm, query_key, value
        self.q_norm, self.k_norm = q_norm, k_norm
        self.head_dim = head_dim
        half, zero = torch.eye(head_dim // 2), torch.zeros(head_dim // 2, head_dim // 2)
        # (x1, x2) -> (-x2, x1) as a matrix: XNNPACK cannot slice tensors of dynamic length.
        self.turn = frozen(torch.cat([torch.cat([zero, -half], 1), torch.cat([half, zero], 1)]))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, *lora: Tensor) -> tuple[Tensor, ...]:
        x = self.norm(x)
        projected = self.query_key(x, lora[:4]) + self.value(x, lora[4:])
        q, k, v = map(self._heads, projected)
        q, k = self.q_norm(q), self.k_norm(k)
        q = q * cos + functional.linear(q, self.turn) * sin
        k = k * cos + functional.linear(k, self.turn) * sin
        return q, k, v

    def _heads(self, y: Tensor) -> Tensor:
        return y.reshape(1, -1, y.shape[-1] // self.head_dim, self.head_dim)


class Tail(nn.Module):
    """What a layer does after attention: attended [1, S, heads, dim] and x to its output."""

    def __init__(
        self,
        out: Linears,
        post_attention_norm: nn.Module,
        norm: nn.Module,
        gate_up: Linears,
        activation: nn.Module,
        down: Linears,
        post_mlp_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.out, self.post_attention_norm, self.norm = out, post_attention_norm, norm
        self.gate_up, self.activation, self.down = gate_up, activation, down
        self.post_mlp_norm = post_mlp_norm

    def forward(self, attended: Tensor, x: Tensor, *lora: Tensor) -> Tensor:
        width = attended.shape[2] * attended.shape[3]
        (y,) = self.out(attended.reshape(1, -1, width), lora[:2])
        x = x + self.post_attention_norm(y)
        gate, up = self.gate_up(self.norm(x), lora[2:6])
        (y,) = self.down(self.activation(gate) * up, lora[6:])
        return x + self.post_mlp_norm(y)  # type: ignore[no-any-return]


class Middle(nn.Module):
    def __init__(self, tail: Tail, first: First) -> None:
        super().__init__()
        self.tail, self.first = tail, first

    def forward(
        self, attended: Tensor, x: Tensor, cos: Tensor, sin: Tensor, *lora: Tensor
    ) -> tuple[Tensor, ...]:
        x = self.tail(attended, x, *lora[:8])
        return x, *self.first(x, cos, sin, *lora[8:])


class Last(nn.Module):
    def __init__(self, tail: Tail, norm: nn.Module, head: Linears) -> None:
        super().__init__()
        self.tail, self.norm, self.head = tail, norm, head

    def forward(self, attended: Tensor, x: Tensor, *lora: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head(self.norm(self.tail(attended, x, *lora))))
