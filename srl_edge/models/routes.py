"""Where a model can go, asked before anything is loaded: by fit, training, samplers and exports.

A route that would compute something else than the model is refused here, and not found at the gate.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srl_edge.errors import InputError
from srl_edge.models.chat_template import source_of
from srl_edge.models.families import FAMILIES, Family, Place, family_of
from srl_edge.quantization.formats import ALL, parse_name

# Rotary angles that do not depend on the length at hand can be written into a graph.
_STATIC = ("default", "linear", "llama3", "yarn")
_ROPES: dict[Place, tuple[str, ...]] = {
    "torch": (*_STATIC, "dynamic"),
    "mlx": _STATIC,
    "onnx": (*_STATIC, "dynamic"),
    "onnx sampler": (*_STATIC, "dynamic"),
    "executorch": _STATIC,
    "optimum": (*_STATIC, "dynamic"),
    "browser": (*_STATIC, "dynamic"),
}  # dynamic angles are the plain ones as far as a model has positions, and nothing goes further
_GROUPED: tuple[Place, ...] = ("onnx", "onnx sampler", "browser")  # heads in groups of 16 numbers
_AS_TRANSFORMERS: tuple[Place, ...] = ("torch", "optimum")  # compute what the configuration says
_FLAT: tuple[Place, ...] = ("mlx", "optimum")  # `flat_rope` writes two embeddings as they are alone
_WHOLE_HEADS: tuple[Place, ...] = ("onnx", "onnx sampler", "browser")  # rotate all of a head


def text_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the language model in a parsed config.json."""
    found: Mapping[str, Any] = config.get("text_config") or config
    return found


def ropes_of(config: Any) -> list[dict[str, Any]]:
    """The rotary embeddings of a config, parsed or transformers' own, each with its `rope_type`."""
    text = text_of(config if isinstance(config, Mapping) else config.to_dict())
    said = text.get("rope_parameters") or text.get("rope_scaling") or {}
    nested = [each for each in said.values() if isinstance(each, dict)]
    found = []
    for rope in nested or [said]:
        kind = rope.get("rope_type") or rope.get("type") or "default"
        found.append({**rope, "rope_type": kind})
    return found


def require_unquantized(config: Mapping[str, Any], where: object) -> None:
    """Raise InputError for a model whose weights are kept in few bits already."""
    said = config.get("quantization_config") or config.get("quantization")
    if said:
        kind = said.get("quant_method", "MLX") if isinstance(said, Mapping) else "quantized"
        raise InputError(
            f"model {where}: its weights are quantized already ({kind}); take the unquantized "
            "model, which is what adapters are trained on and artifacts are made of."
        )


def require_vocabulary(config: Mapping[str, Any], tokenizer: Any, where: object) -> None:
    """Raise InputError where a tokenizer writes tokens that the model has no embeddings of.

    Gemma 3's knows a token for pictures beyond those of its models that only read, and no prompt
    has it.
    """
    rows = text_of(config).get("vocab_size")
    if not isinstance(rows, int) or len(tokenizer) <= rows:
        return
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    written = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    beyond = [token for token, at in tokenizer.get_vocab().items() if at >= rows]
    template = source_of(tokenizer)
    if any(token not in special or token in written or token in template for token in beyond):
        raise InputError(
            f"model {where}: its tokenizer knows {len(tokenizer)} tokens and it has embeddings of "
            f"{rows}; "
            "resize them (resize_token_embeddings of transformers), or take the tokenizer that "
            "belongs to it."
        )


def require_text(config: Mapping[str, Any], where: object) -> None:
    """Raise InputError for a model of several senses whose language model is not taken out of it.

    mlx-lm takes it out of those that train by its own forward pass.
    """
    family = FAMILIES.get(str(text_of(config).get("model_type")))
    if config.get("text_config") and not (family and family.own_forward):
        raise InputError(
            f"model {where}: sees as well as it reads ({config.get('model_type')}); save its "
            "language model alone, and take that folder."
        )


def require(
    config: Mapping[str, Any],
    place: Place,
    where: object,
    doing: str,
) -> None:
    """Raise InputError where a place would not compute what a model is.

    where: the model, and doing: what cannot be done with it, for the message.
    """
    require_unquantized(config, where)
    text = text_of(config)
    family = family_of(str(text.get("model_type")), place, where, doing)
    # What mlx-lm's own forward pass runs is mlx-lm's to know.
    for rope in () if place == "mlx" and family.own_forward else ropes_of(config):
        kinds = ("default",) if family.two_ropes and place in _FLAT else _ROPES[place]
        if rope["rope_type"] not in kinds:
            raise InputError(
                f"{where}: has {rope['rope_type']} rotary embeddings and cannot be {doing}, which "
                f"takes {', '.join(kinds)}."
            )
        part = rope.get("partial_rotary_factor") or text.get("partial_rotary_factor") or 1.0
        if part != 1.0 and place in _WHOLE_HEADS:
            raise InputError(
                f"{where}: rotates {part:.0%} of each head, and cannot be {doing}, which rotates "
                "all of it."
            )
    require_text(config, where)
    for name, value in _odd(text, family, place):
        grouped = name == "head_dim" and place in _GROUPED
        taken = "multiples of 16 alone" if grouped else "that setting left out"
        raise InputError(
            f"{where}: has {name} = {value}, and cannot be {doing}, which takes {taken}."
        )
    vocabulary = text.get("vocab_size")
    kept = (text.get("num_key_value_heads") or 0) * _head_width(text)
    if place in _GROUPED and vocabulary in (*_widths(text), kept):
        # The graph's builder tells the output layer by its width alone.
        raise InputError(
            f"{where}: has layers as wide as its vocabulary ({vocabulary}), and cannot be {doing}, "
            "which would take one of them for the output layer."
        )
    if place in family.no_window and _slides(text):
        raise InputError(
            f"{where}: has layers with a sliding window, and cannot be {doing}: there "
            f"{family.name} has none."
        )


def require_exportable(
    config: Mapping[str, Any], artifacts: Sequence[str], context_length: int, where: object
) -> None:
    """Raise InputError where an artifact of a recipe cannot be made of a parsed config.json."""
    text = text_of(config)
    require_unquantized(config, where)
    positions = text.get("max_position_embeddings")
    if isinstance(positions, int) and context_length > positions:
        raise InputError(
            f"a context_length of {context_length} is more than the {positions} positions of "
            f"{where}; lower it."
        )
    for name in artifacts:
        place: Any = parse_name(name)[0]
        if place == "gguf":
            continue  # its converter decides itself
        require(config, place, where, f"made into {name}")
        group = ALL[name].group
        if widths := [width for width in _widths(text) if width % group]:
            raise InputError(
                f"{where}: has widths {widths}, which are no multiples of {group}, and cannot be "
                f"made into {name}; take 8 bits or more."
            )


def _odd(text: Mapping[str, Any], family: Family, place: Place) -> Iterator[tuple[str, object]]:
    """Settings under which a place would compute something else than the model."""
    width = _head_width(text)
    if place in _GROUPED and width % 16:
        yield "head_dim", width
    if place in _AS_TRANSFORMERS or family.own_forward:
        return
    if text.get("use_bidirectional_attention"):
        yield "use_bidirectional_attention", True
    if place != "mlx":
        return
    heads = text.get("num_attention_heads")
    if family.divided_heads and heads and width * heads != text.get("hidden_size"):
        yield "head_dim", width
    for name in ("hidden_act", "hidden_activation"):
        if (said := text.get(name)) and said != family.activation:
            yield name, said
    if (cap := text.get("final_logit_softcapping")) is not None:
        yield "final_logit_softcapping", cap
    if text.get("attention_bias") and family.query_key_norms:
        yield "attention_bias", True
    for rope in ropes_of(text):
        if rope.get("attention_factor") is not None:
            yield "rope attention_factor", rope["attention_factor"]
        if rope.get("truncate") is False:
            yield "rope truncate", False


def _head_width(text: Mapping[str, Any]) -> int:
    heads = text.get("num_attention_heads")
    width: int = text.get("head_dim") or (text.get("hidden_size", 0) // heads if heads else 0)
    return width


def _slides(text: Mapping[str, Any]) -> bool:
    if text.get("layer_types"):
        return "sliding_attention" in text["layer_types"]
    return bool(text.get("use_sliding_window") and text.get("sliding_window"))


def _widths(text: Mapping[str, Any]) -> list[int]:
    """How wide the inputs of a layer's linear maps are."""
    hidden, heads = text.get("hidden_size"), text.get("num_attention_heads")
    if not isinstance(hidden, int) or not isinstance(heads, int) or not heads:
        return []
    widths = [hidden, text.get("intermediate_size"), heads * _head_width(text)]
    return [width for width in widths if isinstance(width, int)]
