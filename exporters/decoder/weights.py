"""From a model folder to the stages of its decoder, their weights quantized on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from srl_edge.errors import InputError
from srl_edge.exporters.decoder.quantized import Embedding, Linears
from srl_edge.exporters.decoder.slices import (
    Attention,
    First,
    Last,
    Middle,
    RMSNorm,
    Tail,
    TanhGELU,
)
from srl_edge.models.families import FAMILIES
from srl_edge.quantization.gptq import read_codes
from srl_edge.quantization.grid import HEAD

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "gelu_pytorch_tanh": TanhGELU}


@dataclass(frozen=True)
class Precision:
    """Bits of each part's weights: 32, 8 or 4; layers of 4 bits named in `kept` have more."""

    embedding: int
    query_key: int
    value_output: int
    mlp: int
    head: int
    kept: frozenset[str] = frozenset()
    kept_bits: int = 8


def matching(patterns: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """The names that patterns like `model.layers.0.*` or `*.down_proj` match.

    Raises InputError for a pattern that matches none.
    """
    names = list(names)
    found: set[str] = set()
    for pattern in patterns:
        some = {name for name in names if fnmatchcase(name, pattern)}
        if not some:
            raise InputError(
                f"export.int8_layers: {pattern!r} matches no linear layer; they are named like "
                f"{names[0]}."
            )
        found |= some
    return frozenset(found)


def linear_names(config: Any) -> list[str]:
    """Modules of all linear layers but the projection to the vocabulary."""
    parts = [f"self_attn.{x}_proj" for x in "qkvo"] + [
        f"mlp.{x}_proj" for x in ("gate", "up", "down")
    ]
    return [f"model.layers.{i}.{part}" for i in range(config.num_hidden_layers) for part in parts]


def activation(config: Any) -> str:
    return str(getattr(config, "hidden_activation", None) or config.hidden_act)


def head_dim(config: Any) -> int:
    dim = getattr(config, "head_dim", None)
    return int(dim or config.hidden_size // config.num_attention_heads)


def linears_of(stage: nn.Module) -> list[Linears]:
    return [module for module in stage.modules() if isinstance(module, Linears)]


@torch.no_grad()
def quantized_stages(
    checkpoint: "Checkpoint",
    embedding: nn.Module,
    attention: Attention,
    calibration: Sequence[Sequence[int]],
) -> Iterator[nn.Module]:
    """The stages of a checkpoint, one at a time, so that its floats are never all in memory.

    calibration: token ids of texts whose inputs 4-bit weights are fitted to; without any, weights
    are rounded. What is beyond the context of `attention` is cut off.
    """
    if calibration:
        context = next(iter(attention.ropes.values()))[0].shape[0]
        texts = [list(text[:context]) for text in calibration]
        yield from _fitted(checkpoint, embedding, attention, texts)
        return
    for stage in checkpoint.stages():
        for linears in linears_of(stage):
            linears.quantize()
        yield stage


def _fitted(
    checkpoint: "Checkpoint", embedding: nn.Module, attention: Attention, texts: list[list[int]]
) -> Iterator[nn.Module]:
    """Sends texts through the stages; all Linears are quantized for the inputs that reach them.

    Only attention looks beyond a token, so the tokens are laid end to end as one row, those of a
    beginning that texts share once, and count as often as they stand in the texts: what begins
    every prompt is what every later token attends to.
    """
    tokens, positions, rows = _laid_out(texts)
    times = torch.bincount(torch.cat(rows)).float()
    ropes = {
        kind: [table[positions][None, :, None] for table in tables]
        for kind, tables in attention.ropes.items()
    }
    x = embedding(tokens[None])
    for i, stage in enumerate(checkpoint.stages()):
        hooks = [
            linears.register_forward_pre_hook(
                lambda module, inputs: module.quantize(inputs[0], times)
            )
            for linears in linears_of(stage)
        ]
        if isinstance(stage, First):
            q, k, v = stage(x, *ropes[attention.kinds[0]])
        elif isinstance(stage, Middle):
            attended = _attend(q, k, v, rows, attention, attention.kinds[i - 1])
            x, q, k, v = stage(attended, x, *ropes[attention.kinds[i]])
        elif isinstance(stage, Last):
            attended = _attend(q, k, v, rows, attention, attention.kinds[i - 1])
            # Not stage(): logits of every token would be larger than the model.
            stage.head.quantize(stage.norm(stage.tail(attended, x)), times)
        for hook in hooks:
            hook.remove()
        yield stage


def _laid_out(texts: list[list[int]]) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Tokens [N] and their positions [N], and for each text which of the N are its own."""
    seen: dict[tuple[int, int], int] = {}  # the place of what stands before, and a token
    tokens: list[int] = []
    positions: list[int] = []
    rows: list[Tensor] = []
    for text in texts:
        row: list[int] = []
        before = -1
        for position, token in enumerate(text):
            place = seen.setdefault((before, token), len(tokens))
            if place == len(tokens):
                tokens.append(token)
                positions.append(position)
            row.append(before := place)
        rows.append(torch.tensor(row))
    return torch.tensor(tokens), torch.tensor(positions), rows


def _attend(
    q: Tensor, k: Tensor, v: Tensor, rows: list[Tensor], attention: Attention, kind: str
) -> Tensor:
    """Causal attention within each of the texts in `rows`; all [1, tokens, heads, dim]."""
    attended = torch.empty_like(q)
    for row in rows:
        mask = torch.ones(len(row), len(row), dtype=torch.bool).tril()
        if kind == "sliding_attention" and attention.window is not None:
            mask &= ~mask.tril(-attention.window)
        own = [x[:, row].transpose(1, 2) for x in (q, k, v)]
        y = functional.scaled_dot_product_attention(
            own[0], own[1], own[2], mask, scale=attention.scale, enable_gqa=True
        )
        attended[:, row] = y.transpose(1, 2)
    return attended


class Checkpoint:
    """The safetensors of a Hugging Face model folder, read tensor by tensor as float32.

    Beside them the folder may have the 4-bit codes that its adapter was trained with.
    """

    def __init__(self, folder: Path, config: Any, precision: Precision) -> None:
        self._folder, self._config, self._precision = folder, config, precision
        self._family = FAMILIES[config.model_type]
        self._files: dict[str, Any] = {}
        self._trained = read_codes(folder)
        for path in sorted(folder.glob("*.safetensors")):
            file: Any = safe_open(path, "pt")
            self._files |= dict.fromkeys(file.keys(), file)

    def embedding(self) -> Embedding:
        table = self._read("model.embed_tokens.weight")
        scale = self._family.embedding_scale(self._config.hidden_size)
        return Embedding(table * scale, self._precision.embedding)

    def stages(self) -> Iterator[nn.Module]:
        """First, Middle for each layer but the last, and Last; float until quantized."""
        layers = self._config.num_hidden_layers
        yield self._first(0)
        for i in range(layers - 1):
            yield Middle(self._tail(i), self._first(i + 1))
        head = "lm_head" if "lm_head.weight" in self._files else "model.embed_tokens"
        yield Last(
            self._tail(layers - 1),
            self._norm("model.norm"),
            self._linears("", head, bits=self._precision.head),
        )

    def _read(self, name: str) -> Tensor:
        if name not in self._files:
            raise InputError(f"{self._folder} has no tensor {name}; merge the adapter again.")
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor.float()

    def _norm(self, name: str) -> nn.Module:
        weight = self._read(f"{name}.weight")
        return RMSNorm(weight + self._family.norm_offset, self._config.rms_norm_eps)

    def _linears(self, prefix: str, *names: str, bits: int) -> Linears:
        names = tuple(prefix + name for name in names)
        biases = [f"{name}.bias" for name in names]
        if bits == 4 and self._precision.kept.intersection(names):
            bits = self._precision.kept_bits
        # Of a layer, as an adapter's folder names it, or of the projection to the vocabulary.
        keys = [n.removeprefix("model.") if prefix else HEAD for n in names]
        trained = [self._trained[key] for key in keys if key in self._trained and bits == 4]
        return Linears(
            names,
            [self._read(f"{name}.weight") for name in names],
            [self._read(bias) if bias in self._files else None for bias in biases],
            bits,
            trained,
        )

    def _first(self, i: int) -> First:
        layer, attention = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
        normed = self._family.query_key_norms
        return First(
            self._norm(f"{layer}input_layernorm"),
            self._linears(attention, "q_proj", "k_proj", bits=self._precision.query_key),
            self._linears(attention, "v_proj", bits=self._precision.value_output),
            self._norm(f"{attention}q_norm") if normed else nn.Identity(),
            self._norm(f"{attention}k_norm") if normed else nn.Identity(),
            head_dim(self._config),
        )

    def _tail(self, i: int) -> Tail:
        layer, config, precision = f"model.layers.{i}.", self._config, self._precision
        # With norms after attention and MLP too, the names are others.
        sandwich = self._family.sandwich
        before = "pre_feedforward_layernorm" if sandwich else "post_attention_layernorm"
        after = ("post_attention_layernorm", "post_feedforward_layernorm")
        norms = [self._norm(layer + n) if sandwich else nn.Identity() for n in after]
        return Tail(
            self._linears(f"{layer}self_attn.", "o_proj", bits=precision.value_output),
            norms[0],
            self._norm(layer + before),
            self._linears(f"{layer}mlp.", "gate_proj", "up_proj", bits=precision.mlp),
            ACTIVATIONS[activation(config)](),
            self._linears(f"{layer}mlp.", "down_proj", bits=precision.mlp),
            norms[1],
        )
