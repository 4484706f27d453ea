"""A model's configuration as mlx-lm reads it."""

from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.models.families import family_of
from srl_edge.models.flat_rope import flat


def mlx_settings(model: Path, config: Any, to: str) -> dict[str, Any]:
    """The settings for mlx-lm of a folder with transformers' configuration `config`.

    to: what is done with it, for messages. Raises InputError for a family, or a variant of one,
    that mlx-lm does not run as its configuration says.
    """
    text = config.get_text_config()
    # `model_file` names code of the model's own, which is never run, nor needed by known families.
    settings: dict[str, Any] = {**text.to_dict(), "model_file": None}
    family = text.model_type
    family_of(family, "mlx", model, to)
    if family == "qwen3_5_text":
        every = _interval(model, text.layer_types, to)
        return settings | {"model_type": "qwen3_5", "full_attention_interval": every}
    if family == "gemma4_text":
        return _gemma4(model, config, settings, to)
    return flat(settings, model, "mlx", to)


def _interval(model: Path, kinds: list[str], to: str) -> int:
    """Every how many layers one has attention."""
    every = kinds.index("full_attention") + 1 if "full_attention" in kinds else len(kinds) + 1
    linear = [(i + 1) % every > 0 for i in range(len(kinds))]
    if linear != [kind == "linear_attention" for kind in kinds]:
        raise InputError(f"{model}: without a regular pattern of layers it cannot be {to}.")
    return every


def _gemma4(model: Path, config: Any, settings: dict[str, Any], to: str) -> dict[str, Any]:
    text = config.get_text_config()
    if config is not text:
        raise InputError(
            f"{model}: has parts for images and sound; save its language model alone "
            f"(Gemma4ForCausalLM) that it can be {to}."
        )
    if text.enable_moe_block or text.use_bidirectional_attention == "all":
        raise InputError(f"{model}: Gemma 4 with experts, or as an encoder, cannot be {to}.")
    full = text.per_layer_config[text.layer_types.index("full_attention")]
    return settings | {
        "global_head_dim": full.head_dim,
        "num_global_key_value_heads": full.num_key_value_heads,
    }
