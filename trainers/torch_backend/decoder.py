"""The decoder of a transformers model, run by a forward pass made for packed tokens.

Weights and configuration are the model's own; attention is passed in, linear layers can be swapped
(LoRA, merged, adapter off), and every token is one row of a matrix: no batch, no padding. What the
modules of transformers would compute is checked when a model is opened.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from srl_edge.errors import InputError
from srl_edge.models.families import FAMILIES, Family, family_of
from srl_edge.trainers.torch_backend.attention.rows import KeysValues
from srl_edge.trainers.torch_backend.ops import GatedUnit, RmsNorm, Rotate

Linear = Callable[[torch.Tensor], torch.Tensor]


class Attention(Protocol):
    """Attention as the decoder calls it, once a layer."""

    @property
    def positions(self) -> torch.Tensor:
        """Position of each token, [N]."""

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        """q [N, H, D], k and v [N, Hkv, D] to [N, H, D]."""


@dataclass(frozen=True, slots=True)
class Norm:
    """RMS norm with a frozen fp32 weight [d]."""

    weight: torch.Tensor
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = RmsNorm.apply(x, self.weight, self.epsilon)  # type: ignore[no-untyped-call]
        return out

    def to(self, device: torch.device) -> "Norm":
        """The same norm on a device."""
        return Norm(self.weight.to(device), self.epsilon)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `qkv` and `gate_up` are the model's projections side by side."""

    qkv: Any
    o: Any
    gate_up: Any
    down: Any
    before_attention: Norm
    after_attention: Norm | None
    before_mlp: Norm
    after_mlp: Norm | None
    q_norm: Norm | None
    k_norm: Norm | None
    scaling: float
    window: int | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Decoder:
    """Embedding, layers and last norm; the projection to the vocabulary is not part of it.

    checkpointed: the backward pass computes a layer again instead of keeping what is inside.
    """

    embed: Any
    rotary: Any
    layers: tuple[Layer, ...]
    norm: Norm
    heads: int
    head_dim: int
    gelu: bool
    checkpointed: bool = False

    def __call__(self, ids: torch.Tensor, attention: Attention) -> torch.Tensor:
        """Hidden states [N, d] of tokens [N], ready for the projection to the vocabulary."""
        return self.norm(self._layers(ids, attention, len(self.layers)))

    def keys_values(self, texts: Sequence[Sequence[int]]) -> list[KeysValues]:
        """Keys and values [T, Hkv, D] of each text in each layer; runs no further than to the last.

        All texts go through the layers in one pass.
        """
        if not texts:
            return []
        tokens = [i for text in texts for i in text]
        ids = torch.tensor(tokens, dtype=torch.long, device=self.norm.weight.device)
        attention = Causal([len(text) for text in texts], ids.device)
        last = len(self.layers) - 1
        x = self._layers(ids, attention, last)
        _, k, v = self._qkv(self.layers[last], x, self.rotations(attention.positions))
        layers = [*attention.kept.values(), (k, v)]
        parts = [(k.split(attention.lengths), v.split(attention.lengths)) for k, v in layers]
        return [[(k[i], v[i]) for k, v in parts] for i in range(len(texts))]

    def _layers(self, ids: torch.Tensor, attention: Attention, count: int) -> torch.Tensor:
        x: torch.Tensor = self.embed(ids)
        rotations = self.rotations(attention.positions)
        for index in range(count):
            if self.checkpointed and torch.is_grad_enabled():
                again = (index, x, attention, rotations)
                x = checkpoint(self._layer, *again, use_reentrant=False)
            else:
                x = self._layer(index, x, attention, rotations)
        return x

    def _layer(
        self, index: int, x: torch.Tensor, attention: Attention, rotations: dict[str | None, Any]
    ) -> torch.Tensor:
        layer = self.layers[index]
        q, k, v = self._qkv(layer, x, rotations)
        mixed = attention(index, q, k, v, layer.scaling, layer.window)
        mixed = layer.o(mixed.flatten(1))
        x = x + (layer.after_attention(mixed) if layer.after_attention else mixed)
        inner = GatedUnit.apply(layer.gate_up(layer.before_mlp(x)), self.gelu)  # type: ignore[no-untyped-call]
        out = layer.down(inner)
        return x + (layer.after_mlp(out) if layer.after_mlp else out)

    def _qkv(
        self, layer: Layer, x: torch.Tensor, rotations: dict[str | None, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        all_heads = layer.qkv(layer.before_attention(x)).unflatten(-1, (-1, self.head_dim))
        heads = self.heads
        kv_heads = (all_heads.shape[1] - heads) // 2
        cos, sin = rotations[layer.kind]
        if layer.q_norm and layer.k_norm:
            q = layer.q_norm(all_heads[:, :heads])
            k = layer.k_norm(all_heads[:, heads : heads + kv_heads])
            q, k = Rotate.apply(q, cos, sin), Rotate.apply(k, cos, sin)  # type: ignore[no-untyped-call]
        else:
            both = Rotate.apply(all_heads[:, : heads + kv_heads], cos, sin)  # type: ignore[no-untyped-call]
            q, k = both[:, :heads], both[:, heads:]
        return q, k, all_heads[:, heads + kv_heads :]

    def rotations(self, positions: torch.Tensor) -> dict[str | None, Any]:
        """Cosine and sine [N, 1, D / 2] of each kind of layer."""
        like = self.embed.weight[:1]
        half = self.head_dim // 2
        rotations = {}
        for kind in {layer.kind for layer in self.layers}:
            args = (positions[None],) if kind is None else (positions[None], kind)
            rotations[kind] = tuple(x[0, :, None, :half] for x in self.rotary(like, *args))
        return rotations

    def to(self, device: torch.device) -> "Decoder":
        """The same decoder, all but its linear layers on a device."""
        names = (
            "before_attention",
            "after_attention",
            "before_mlp",
            "after_mlp",
            "q_norm",
            "k_norm",
        )
        layers = []
        for layer in self.layers:
            norms = {name: getattr(layer, name) for name in names}
            layers.append(replace(layer, **{n: x and x.to(device) for n, x in norms.items()}))
        return replace(
            self,
            embed=self.embed.to(device),
            rotary=self.rotary.to(device),
            layers=tuple(layers),
            norm=self.norm.to(device),
        )

    def with_linears(self, make: Callable[[Any], Linear]) -> "Decoder":
        """The same decoder with each linear layer replaced by what `make` returns for it."""
        layers = (
            replace(x, qkv=make(x.qkv), o=make(x.o), gate_up=make(x.gate_up), down=make(x.down))
            for x in self.layers
        )
        return replace(self, layers=tuple(layers))


def from_transformers(
    model: Any, linear: Callable[[dict[str, torch.nn.Linear]], Linear]
) -> Decoder:
    """Take a loaded causal language model apart; its own layers are gone afterwards.

    linear: makes one layer of those that read the same input, by their names in the decoder.
    Raises InputError if the result does not compute what the model computes.
    """
    source, config = model.get_decoder(), model.config
    family = family_for(config)
    probe = torch.arange(24, device=model.device) * 7 % config.vocab_size
    with torch.no_grad():
        expected = _before_head(model, probe)
    layers = []
    for index in range(len(source.layers)):
        try:
            layers.append(_layer(source.layers[index], f"layers.{index}", config, family, linear))
        except AttributeError as missing:
            raise InputError(
                f"{config.model_type}: layer {index} is not one of {family.name} ({missing}), so "
                "the trainer does not know it."
            ) from None
        source.layers[index] = torch.nn.Identity()
    decoder = Decoder(
        source.embed_tokens,
        source.rotary_emb,
        tuple(layers),
        _norm(source.norm, family),
        config.num_attention_heads,
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        "gelu" in str(getattr(config, "hidden_activation", None) or config.hidden_act),
    )
    with torch.no_grad():
        _require_whole_heads(decoder, config)
        got = decoder(probe, Causal([len(probe)], model.device)).float()
    if (error := _off(got, expected)) > _tolerance(model):
        raise InputError(
            f"{config.model_type}: the trainer's forward pass differs from the model's own by "
            f"{error:.1%}; this family is not supported."
        )
    return decoder


def _before_head(model: Any, probe: torch.Tensor) -> torch.Tensor:
    """Hidden states [N, d] of tokens [N]; raises InputError where more than the head follows."""
    kept: list[torch.Tensor] = []
    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    logits = model(probe[None], use_cache=False).logits[0].float()
    handle.remove()
    hidden = kept[0][0]
    if (error := _off(F.linear(hidden, head.weight).float(), logits)) > _tolerance(model):
        raise InputError(
            f"{model.config.model_type}: its logits are not its head's alone (they differ by "
            f"{error:.1%}), as where they are scaled; this family is not supported."
        )
    return hidden.float()


def _require_whole_heads(decoder: Decoder, config: Any) -> None:
    """Raise InputError where a family rotates a part of each head alone."""
    kinds = {layer.kind for layer in decoder.layers}
    place = torch.zeros(1, 1, dtype=torch.long, device=decoder.norm.weight.device)
    for kind in kinds:
        args = (place,) if kind is None else (place, kind)
        width = decoder.rotary(decoder.embed.weight[:1], *args)[0].shape[-1]
        if width != decoder.head_dim:
            raise InputError(
                f"{config.model_type}: rotates {width} of the {decoder.head_dim} numbers of each "
                "head, and the trainer rotates all; this family is not supported."
            )


def _off(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def _tolerance(model: Any) -> float:
    return 1e-3 if model.dtype == torch.float32 else 0.1


def family_for(config: Any) -> Family:
    """The family of a transformers configuration; one without a record counts as plain as Llama's.

    `from_transformers` compares what such a model computes with its own forward pass. Raises
    InputError for a family that PyTorch does not train, and for a window without a record.
    """
    if config.model_type not in FAMILIES:
        if getattr(config, "sliding_window", None):  # longer than the text that is compared
            raise InputError(
                f"{config.name_or_path}: {config.model_type} has a sliding window, and srl-edge "
                "knows no record of its layers; use a listed family (docs/extending.md)."
            )
        return Family(config.model_type, config.model_type, takes=("torch",))
    return family_of(config.model_type, "torch", config.name_or_path, "trained on PyTorch")


def _layer(
    source: Any,
    name: str,
    config: Any,
    family: Family,
    linear: Callable[[dict[str, torch.nn.Linear]], Linear],
) -> Layer:
    attention, mlp = source.self_attn, source.mlp
    kind = config.layer_types[attention.layer_idx] if family.two_ropes else None

    def norm(module: Any) -> Norm:
        return _norm(module, family)

    def group(owner: Any, path: str, *names: str) -> Linear:
        return linear({f"{name}.{path}.{n}": getattr(owner, n) for n in names})

    return Layer(
        qkv=group(attention, "self_attn", "q_proj", "k_proj", "v_proj"),
        o=group(attention, "self_attn", "o_proj"),
        gate_up=group(mlp, "mlp", "gate_proj", "up_proj"),
        down=group(mlp, "mlp", "down_proj"),
        before_attention=norm(source.input_layernorm),
        after_attention=norm(source.post_attention_layernorm) if family.sandwich else None,
        before_mlp=norm(
            source.pre_feedforward_layernorm if family.sandwich else source.post_attention_layernorm
        ),
        after_mlp=norm(source.post_feedforward_layernorm) if family.sandwich else None,
        q_norm=norm(attention.q_norm) if family.query_key_norms else None,
        k_norm=norm(attention.k_norm) if family.query_key_norms else None,
        scaling=attention.scaling,
        window=getattr(attention, "sliding_window", None),
        kind=kind,
    )


def _norm(module: Any, family: Family) -> Norm:
    weight = module.weight.detach().float()
    epsilon = module.variance_epsilon if hasattr(module, "variance_epsilon") else module.eps
    return Norm(weight + family.norm_offset, epsilon)


class Causal:
    """Plain causal attention of sequences, each to itself; keeps layers' keys and values in `kept`.

    Tokens [N] of all of them are one after the other.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = list(lengths)
        self.positions = torch.cat([torch.arange(length, device=device) for length in lengths])
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        # The first: a layer that is computed again would keep all that is inside through them.
        self.kept.setdefault(layer, (k, v))
        widest = max(self.lengths)
        mask = None
        if window is not None and widest > window:
            at = torch.arange(widest, device=q.device)
            distance = at[:, None] - at
            mask = (distance >= 0) & (distance < window)
        q, k, v = (self._by_sequence(x).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=q.shape[1] != k.shape[1],
        ).transpose(1, 2)
        if len(self.lengths) == 1:
            return out[0]
        return torch.cat([x[:length] for x, length in zip(out, self.lengths, strict=True)])

    def _by_sequence(self, x: torch.Tensor) -> torch.Tensor:
        """Heads [S, T, H, D]. What pads a sequence comes after it, where none of it looks."""
        if len(self.lengths) == 1:
            return x[None]
        return pad_sequence(x.split(self.lengths), batch_first=True)
