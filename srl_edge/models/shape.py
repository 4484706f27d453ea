"""What a model's config.json says of its size, without its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from srl_edge.errors import InputError
from srl_edge.models.families import FAMILIES, family_of

# What Gemma 3's class takes for granted where a multimodal file leaves it out.
_LEFT_OUT: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window": 4096,
        "tie_word_embeddings": True,
    }
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder of the Llama, Qwen2/2.5, Qwen3 or Gemma 3 family.

    window: tokens that a sliding layer sees, None where no layer slides. qkv_biases, o_bias,
    mlp_biases: whether those projections have biases.
    """

    family: str
    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    window: int | None = None
    qkv_biases: bool = False
    o_bias: bool = False
    mlp_biases: bool = False

    @property
    def head_norms(self) -> bool:
        """Whether queries and keys are normalized."""
        return FAMILIES[self.family].query_key_norms

    @property
    def sandwich(self) -> bool:
        """Whether attention and MLP are normalized on their way out too."""
        return FAMILIES[self.family].sandwich

    @property
    def projections(self) -> tuple[tuple[int, int, int], ...]:
        """Of one layer: (inputs, outputs, how many of the model's own) of qkv, o, gate_up, down."""
        queries = self.heads * self.head_dim
        qkv = queries + 2 * self.kv_heads * self.head_dim
        return (
            (self.width, qkv, 3),
            (queries, self.width, 1),
            (self.width, 2 * self.inner, 2),
            (self.inner, self.width, 1),
        )

    @property
    def linear_weights(self) -> int:
        """Weights of all layers' projections, without biases: what is adapted and quantized."""
        return self.layers * sum(inputs * outputs for inputs, outputs, _ in self.projections)

    @property
    def embedding_weights(self) -> int:
        """Weights of the embedding, and of the output layer where it has its own."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def small_weights(self) -> int:
        """Weights of norms, and biases."""
        qkv, o, gate_up, down = (outputs for _, outputs, _ in self.projections)
        a_layer = self.width * (4 if self.sandwich else 2)
        a_layer += 2 * self.head_dim * self.head_norms
        a_layer += qkv * self.qkv_biases + o * self.o_bias + (gate_up + down) * self.mlp_biases
        return self.layers * a_layer + self.width

    @property
    def parameters(self) -> int:
        """All weights, each once."""
        return self.linear_weights + self.embedding_weights + self.small_weights

    def adapter_parameters(self, rank: int) -> int:
        """Weights of LoRA matrices of a rank on every projection."""
        a_layer = sum(inputs * count + outputs for inputs, outputs, count in self.projections)
        return self.layers * rank * a_layer


def from_config(config: Mapping[str, Any], where: str) -> ModelShape:
    """The shape that a parsed config.json describes; of a multimodal Gemma 3, its text model.

    where: what to call the file. Raises InputError for other families, and where a size is missing.
    """
    text = config.get("text_config") if config.get("model_type") == "gemma3" else config
    text = config if text is None else text
    family = str(text.get("model_type"))
    record = family_of(family, "torch", where, "sized")
    text = _LEFT_OUT.get(family, {}) | dict(text)
    biases = bool(text.get("attention_bias"))
    slides = record.two_ropes or bool(text.get("use_sliding_window"))
    sizes = (
        "num_attention_heads",
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
    )
    for name in sizes:
        if name in text and (type(text[name]) is not int or text[name] < 1):
            raise InputError(f"{where}: {name} is {text[name]!r}, and no size.")
    try:
        heads = text["num_attention_heads"]
        return ModelShape(
            family=family,
            vocabulary=text["vocab_size"],
            width=text["hidden_size"],
            inner=text["intermediate_size"],
            layers=text["num_hidden_layers"],
            heads=heads,
            kv_heads=text.get("num_key_value_heads") or heads,
            head_dim=text.get("head_dim") or text["hidden_size"] // heads,
            tied=bool(text.get("tie_word_embeddings")),
            window=text.get("sliding_window") if slides else None,
            qkv_biases=biases or record.qkv_biases,
            o_bias=biases,
            mlp_biases=bool(text.get("mlp_bias")),
        )
    except KeyError as missing:
        raise InputError(f"{where}: {missing} is missing, so its size is not known.") from None
