"""A decoder for ExecuTorch: stages joined by attention over a key-value cache that it keeps.

The operators `llama.*` are registered by srl_edge.exporters.executorch.build.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from srl_edge.exporters.decoder.quantized import Embedding
from srl_edge.exporters.decoder.slices import Attention
from srl_edge.exporters.decoder.weights import Checkpoint, Precision, quantized_stages


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
        self,
        embedding: Embedding,
        stages: Sequence[nn.Module],
        attention: Attention,
        lora: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
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


def build(
    merged: Path,
    config: Any,
    precision: Precision,
    context_length: int,
    calibration: Sequence[Sequence[int]] = (),
    lower: Callable[[nn.Module], nn.Module] = lambda stage: stage,
    lora: Mapping[str, Tensor] = MappingProxyType({}),
) -> Decoder:
    """The model of a folder, quantized, each stage passed through `lower` as soon as it is ready.

    With `lower` left out, the result is what the exported program computes, in torch.
    """
    checkpoint = Checkpoint(merged, config, precision)
    attention = Attention.of(config, context_length)
    embedding = checkpoint.embedding()
    stages = quantized_stages(checkpoint, embedding, attention, calibration)
    return Decoder(embedding, [lower(stage) for stage in stages], attention, lora)
