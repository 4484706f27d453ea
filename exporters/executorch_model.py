"""A decoder cut at its attention calls: between two of them lies one stage, and one XNNPACK graph.

A stage holds everything that works on one token at a time: the output projection and the MLP of
layer i, then the norm, the q, k, v projections and the rotary embedding of layer i + 1. Attention,
the key-value cache and the embedding stay outside. The operators `llama.*` are registered by
srl_edge.exporters.executorch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from srl_edge.exporters.executorch_quantize import Embedding, Linears, frozen

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
        gemma = config.model_type == "gemma3_text"
        kinds = getattr(config, "layer_types", None)
        kinds = tuple(kinds or ["full_attention"] * config.num_hidden_layers)
        window = config.sliding_window if "sliding_attention" in kinds else None
        ropes = {kind: _rope(config, kind, context_length) for kind in sorted(set(kinds))}
        head_dim = next(iter(ropes.values()))[0].shape[1]
        return cls(
            kinds=kinds,
            window=window if window is not None and window < context_length else None,
            ropes=ropes,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            scale=(config.query_pre_attn_scalar if gemma else head_dim) ** -0.5,
        )


def _rope(config: Any, kind: str, context_length: int) -> tuple[Tensor, Tensor]:
    # The rotary modules of llama, qwen2 and qwen3 are the same.
    x, positions = torch.zeros(1), torch.arange(context_length).unsqueeze(0)
    if config.model_type == "gemma3_text":
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


def lora_names(stage: int, layers: int) -> list[str]:
    """Names of the A and B of a stage's projections, in the order in which it takes them."""
    tail = ("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    first = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    modules = [f"layers.{stage - 1}.{name}" for name in tail if stage > 0]
    modules += [f"layers.{stage}.{name}" for name in first if stage < layers]
    return [lora_name(module, side) for module in modules for side in "AB"]


def lora_name(module: str, side: str) -> str:
    """Name of A [1, in, r] or B [1, r, out], scaling in it, of `layers.0.mlp.up_proj`."""
    return f"{module.replace('.', '_')}_lora_{side}"


class Decoder(nn.Module):
    """Stages joined by attention over a key-value cache that the module keeps."""

    positions: Tensor

    def __init__(
        self, embedding: Embedding, stages: Sequence[nn.Module], attention: Attention,
        lora: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding, self.stages = embedding, nn.ModuleList(stages)
        self.kinds, self.window = attention.kinds, attention.window
        self.scale = attention.scale
        for kind, (cos, sin) in attention.ropes.items():
            self.register_buffer(f"cos_{kind}", cos)
            self.register_buffer(f"sin_{kind}", sin)
        self.context_length, head_dim = cos.shape
        self.register_buffer("positions", torch.arange(self.context_length))
        cache = (1, self.context_length, attention.kv_heads, head_dim)
        for i in range(len(self.kinds)):
            self.register_buffer(f"keys_{i}", torch.zeros(cache))
            self.register_buffer(f"values_{i}", torch.zeros(cache))
        for name, matrix in lora.items():
            self.register_buffer(name, matrix)
        self.with_lora = bool(lora)

    def forward(self, tokens: Tensor, input_pos: Tensor) -> Tensor:
        """tokens int64 [1, S] from position input_pos [1] on; logits [1, V] of the last."""
        length = tokens.shape[1]
        start: Any = input_pos[0].item()
        torch._check(start >= 0)  # type: ignore[no-untyped-call]
        torch._check(start + length <= self.context_length)  # type: ignore[no-untyped-call]
        rope = {kind: self._rope(kind, start, length) for kind in sorted(set(self.kinds))}
        window_mask = self._window_mask(start, length)
        x = self.embedding(tokens)
        q, k, v = self.stages[0](x, *rope[self.kinds[0]], *self._lora(0))
        for i, kind in enumerate(self.kinds):
            keys, values = getattr(self, f"keys_{i}"), getattr(self, f"values_{i}")
            torch.ops.llama.update_cache(k, keys, start)
            torch.ops.llama.update_cache(v, values, start)
            mask = window_mask if kind == "sliding_attention" else None
            attended = torch.ops.llama.custom_sdpa(
                q, keys, values, start, mask, 0.0, mask is None, self.scale
            )
            if i + 1 < len(self.kinds):
                ropes = rope[self.kinds[i + 1]]
                x, q, k, v = self.stages[i + 1](attended, x, *ropes, *self._lora(i + 1))
        lora = self._lora(len(self.kinds))
        logits: Tensor = self.stages[-1](attended[:, -1:], x[:, -1:], *lora)[0]
        return logits.squeeze(1)

    def _lora(self, stage: int) -> list[Tensor]:
        names = lora_names(stage, len(self.kinds)) if self.with_lora else []
        return [getattr(self, name) for name in names]

    def _rope(self, kind: str, start: int, length: int) -> list[Tensor]:
        tables = getattr(self, f"cos_{kind}"), getattr(self, f"sin_{kind}")
        return [table.narrow(0, start, length).view(1, length, 1, -1) for table in tables]

    def _window_mask(self, start: int, length: int) -> Tensor | None:
        if self.window is None:
            return None
        distance = self.positions.narrow(0, start, length).unsqueeze(1) - self.positions
        # Not -inf: the kernel works through the keys in blocks, and a block all -inf gives nan.
        return torch.where((distance >= 0) & (distance < self.window), 0.0, -1e9)
