"""The families of models: one record each, which every forward pass and every format asks."""

from dataclasses import dataclass
from typing import Literal

from srl_edge.errors import InputError

# Where a model can go: backends that train it, formats that it is exported to, and what samples
# from it or runs it under conditions of its own. GGUF's converter decides itself.
Place = Literal["torch", "mlx", "onnx", "executorch", "optimum", "onnx sampler", "browser"]
EVERYWHERE: tuple[Place, ...] = (
    "torch",
    "mlx",
    "onnx",
    "executorch",
    "optimum",
    "onnx sampler",
    "browser",
)
# Where layers with a sliding window and those without share one kind of cache.
ONE_CACHE: tuple[Place, ...] = ("onnx sampler", "browser")


@dataclass(frozen=True, slots=True)
class Family:
    """What sets a family's decoder apart, and where it can go.

    model_type: transformers'. name: as people say it. takes: places. own_forward: it trains on
    MLX by mlx-lm's forward pass instead of ours. scaled_embedding: embeddings are multiplied by
    the root of their width. norm_offset: what the file's norm weights lack. sandwich: attention
    and MLP are normed on their way out too. query_key_norms: queries and keys are normed.
    qkv_biases: always has biases there. two_ropes: layers that slide rotate by frequencies of
    their own. no_window: places where its layers have no sliding window. fixed_scale: attention is
    scaled by the configuration's query_pre_attn_scalar. activation: the MLP's. divided_heads: on
    MLX its heads are as wide as the model, divided by their number.
    """

    model_type: str
    name: str
    takes: tuple[Place, ...] = EVERYWHERE
    own_forward: bool = False
    scaled_embedding: bool = False
    norm_offset: float = 0.0
    sandwich: bool = False
    query_key_norms: bool = False
    qkv_biases: bool = False
    two_ropes: bool = False
    no_window: tuple[Place, ...] = ()
    fixed_scale: bool = False
    activation: str = "silu"
    divided_heads: bool = False

    def embedding_scale(self, width: int) -> float:
        """What embeddings of a width are multiplied by."""
        return width**0.5 if self.scaled_embedding else 1.0


FAMILIES = {
    family.model_type: family
    for family in (
        Family("llama", "Llama"),
        Family("qwen2", "Qwen2/2.5", qkv_biases=True, no_window=("mlx",), divided_heads=True),
        Family("qwen3", "Qwen3", query_key_norms=True, no_window=("mlx",)),
        Family(
            "gemma3_text",
            "Gemma 3",
            takes=tuple(place for place in EVERYWHERE if place not in ONE_CACHE),
            scaled_embedding=True,
            norm_offset=1.0,
            sandwich=True,
            query_key_norms=True,
            two_ropes=True,
            fixed_scale=True,
            activation="gelu_pytorch_tanh",
        ),
        Family("qwen3_5_text", "Qwen3.5", takes=("mlx",), own_forward=True),
        Family("gemma4_text", "Gemma 4", takes=("mlx",), own_forward=True),
    )
}


def taken(place: Place) -> list[Family]:
    """The families that go to a place."""
    return [family for family in FAMILIES.values() if place in family.takes]


def family_of(model_type: str, place: Place, where: object, doing: str) -> Family:
    """The record of a model type; raises InputError where it does not go to a place.

    where: what has that type, and doing: what cannot be done with it, for the message.
    """
    family = FAMILIES.get(model_type)
    if family is None or place not in family.takes:
        known = ", ".join(f"{each.name} ({each.model_type})" for each in taken(place))
        raise InputError(f"{where}: family {model_type!r} cannot be {doing}; only {known}.")
    return family
