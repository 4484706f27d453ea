"""Model families, by transformers' model_type, and what takes which."""

from collections.abc import Mapping, Sequence
from typing import Any

from srl_edge.errors import InputError
from srl_edge.quantization.formats import parse_name

EVERYWHERE = ("llama", "qwen2", "qwen3", "gemma3_text")  # every backend, every format
ON_MLX = (*EVERYWHERE, "qwen3_5_text", "gemma4_text")


def require_exportable(config: Mapping[str, Any], artifacts: Sequence[str]) -> None:
    """Raise InputError where a format of these artifacts does not take a parsed config.json.

    GGUF's converter decides itself.
    """
    family = (config.get("text_config") or config).get("model_type")
    for name in artifacts:
        format_, _ = parse_name(name)
        takes = ON_MLX if format_ == "mlx" else EVERYWHERE
        if format_ != "gguf" and family not in takes:
            raise InputError(
                f"export.artifacts: {name} cannot be made of the family {family!r}, only of "
                f"{', '.join(takes)}; leave it out, or use another model."
            )
