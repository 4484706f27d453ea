"""The decoder of an mlx-lm model, run by a forward pass made for packed tokens.

Its layers' projections, norms and rotary embeddings are the model's own; attention is passed in,
and every token is one row of a matrix: no batch, no padding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from srl_edge.trainers.mlx_backend.attention import Causal, KeysValues, RowAttention
from srl_edge.trainers.policy.packing import Pack


@dataclass(frozen=True, slots=True)
class MlxDecoder:
    """Embedding, layers and last norm of an mlx-lm model.

    scale: of embeddings. windows: how far each layer sees, None for everything. checkpointed: the
    backward pass computes a layer again instead of keeping what is inside.
    """

    model: Any
    scale: float
    windows: tuple[int | None, ...]
    checkpointed: bool = False

    softcap = None  # of logits: these families have none

    @property
    def head(self) -> mx.array:
        """The projection to the vocabulary [V, d]."""
        return projection(self.model)

    def trunk(self, packed: Pack) -> list[mx.array]:
        """Each layer's keys and values of a pack's trunk, one after another."""
        return [x for layer in self.keys_values(packed.trunk) for x in layer]

    def rows(self, part: Pack, trunk: Sequence[mx.array], whole: Pack) -> mx.array:
        """Hidden states [N, d] of the tokens of some rows of a pack, one row after another."""
        del whole
        pairs = list(zip(trunk[::2], trunk[1::2], strict=True))
        attention = RowAttention(part.rows, part.bounds, pairs)
        return self(attention.ids, attention)

    def __call__(self, ids: mx.array, attention: Any) -> mx.array:
        """Hidden states [N, d] of tokens [N], ready for the projection to the vocabulary."""
        x = self._embedded(ids)
        for index in range(len(self.windows)):
            x = self._layer(index, x, attention)
        normed: mx.array = self.model.model.norm(x)
        return normed

    def keys_values(self, tokens: Sequence[int]) -> KeysValues:
        """Keys and values [T, Hkv, D] of a text in each layer; runs no further than to the last."""
        attention = Causal(len(tokens))
        x, last = self._embedded(mx.array(list(tokens))), len(self.windows) - 1
        for index in range(last):
            x = self._layer(index, x, attention)
        _, k, v = self._qkv(last, self.model.model.layers[last].input_layernorm(x), attention)
        return [*attention.kept.values(), (k, v)]

    def _embedded(self, ids: mx.array) -> mx.array:
        x: mx.array = self.model.model.embed_tokens(ids)
        return x if self.scale == 1 else x * mx.array(self.scale, x.dtype)

    def _layer(self, index: int, x: mx.array, attention: Any) -> mx.array:
        if not self.checkpointed:
            out, *kept = self._run(index, x, attention)
        else:
            layer = self.model.model.layers[index]

            # All that has a gradient is an argument: what a closure holds would have none.
            def run(adapter: Any, x: mx.array, *trunk: mx.array) -> Any:
                layer.update(adapter)
                return self._run(index, x, attention.with_trunk(index, trunk))

            adapter, trunk = layer.trainable_parameters(), attention.trunk_of(index)
            out, *kept = mx.checkpoint(run)(adapter, x, *trunk)
            layer.update(adapter)
        attention.kept[index] = tuple(kept)
        return out

    def _run(self, index: int, x: mx.array, attention: Any) -> tuple[mx.array, mx.array, mx.array]:
        """A layer's output, and its keys and values."""
        layer = self.model.model.layers[index]
        q, k, v = self._qkv(index, layer.input_layernorm(x), attention)
        mixed = attention(index, q, k, v, layer.self_attn.scale, self.windows[index])
        mixed = layer.self_attn.o_proj(mixed.reshape(len(x), -1))
        if hasattr(layer, "pre_feedforward_layernorm"):
            x = x + layer.post_attention_layernorm(mixed)
            inner = layer.mlp(layer.pre_feedforward_layernorm(x))
            return x + layer.post_feedforward_layernorm(inner), k, v
        x = x + mixed
        return x + layer.mlp(layer.post_attention_layernorm(x)), k, v

    def _qkv(self, index: int, x: mx.array, attention: Any) -> tuple[mx.array, mx.array, mx.array]:
        own = self.model.model.layers[index].self_attn
        q = own.q_proj(x).reshape(len(x), own.n_heads, -1)
        k, v = (p(x).reshape(len(x), own.n_kv_heads, -1) for p in (own.k_proj, own.v_proj))
        if hasattr(own, "q_norm"):
            q, k = own.q_norm(q), own.k_norm(k)

        def rotated(heads: mx.array) -> mx.array:
            # One sequence a token, so that each has a position of its own.
            turned: mx.array = own.rope(heads[:, :, None], offset=attention.positions)
            return turned[:, :, 0]

        return rotated(q), rotated(k), v


def projection(model: Any) -> mx.array:
    """An mlx-lm language model's projection to the vocabulary [V, d]."""
    tied = getattr(model, "tie_word_embeddings", None)
    if tied is None:
        tied = model.args.tie_word_embeddings
    weight: mx.array = (model.model.embed_tokens if tied else model.lm_head).weight
    return weight


class LoraLinear(nn.Module):  # type: ignore[misc]
    """y = W x + b + scaling B A x: a frozen linear layer, quantized or not, and its adapter.

    A [r, in] and B [out, r] are kept in fp32 and multiplied in the dtype of x.
    Source: LoRA, arXiv 2106.09685, section 4.1.
    """

    def __init__(self, linear: nn.Module, rank: int, alpha: float, key: mx.array) -> None:
        super().__init__()
        quantized = isinstance(linear, nn.QuantizedLinear)
        outputs, inputs = linear.weight.shape
        inputs = inputs * 32 // linear.bits if quantized else inputs
        self.linear = linear
        self.linear.freeze()
        bound = inputs**-0.5
        self.lora_A = mx.random.uniform(-bound, bound, (rank, inputs), key=key)
        self.lora_B = mx.zeros((outputs, rank))
        self._scaling = alpha / rank
        self._on = True

    def __call__(self, x: mx.array) -> mx.array:
        out: mx.array = self.linear(x)
        if not self._on:
            return out
        down = x @ self.lora_A.astype(x.dtype).T
        return out + down @ (self.lora_B * self._scaling).astype(x.dtype).T

    def switch(self, on: bool) -> None:
        """Turn the adapter on or off."""
        self._on = on


def adapt(model: Any, make: Callable[[nn.Module], LoraLinear]) -> dict[str, LoraLinear]:
    """Put an adapter on every linear layer of an mlx-lm language model's layers.

    Returns them by name: `layers.0.self_attn.q_proj`.
    """
    adapted = {}
    for index, layer in enumerate(model.model.layers):
        linear = {
            name: module
            for name, module in layer.named_modules()
            if isinstance(module, nn.Linear | nn.QuantizedLinear)
        }
        for name in sorted(linear):
            *path, child = name.split(".")
            owner = layer
            for part in path:
                owner = owner[part]
            made = make(linear[name])
            setattr(owner, child, made)
            adapted[f"layers.{index}.{name}"] = made
    return adapted
