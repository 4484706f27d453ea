"""The tokenizer of a model folder, and the tokens that end a reply."""

from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there
from srl_edge.models import loading


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; raises InputError if it has no chat template."""
    tokenizer = loading.tokenizer(folder)
    if not tokenizer.chat_template:
        raise InputError(
            f"{folder}: the tokenizer has no chat template, so prompts cannot be rendered; use an "
            "instruction-tuned model, or add chat_template.jinja to the folder."
        )
    return tokenizer


def stop_ids(folder: Path) -> list[int]:
    """Every token id that ends a reply, from generation_config.json and config.json."""
    ids: list[int] = []
    for file, shape in (("generation_config.json", "Generation"), ("config.json", "ModelConfig")):
        found = (read_json_if_there(folder / file, shape) or {}).get("eos_token_id")
        ids += [found] if isinstance(found, int) else found or []
    if not ids:
        raise InputError(f"{folder}: no eos_token_id in generation_config.json or config.json.")
    return list(dict.fromkeys(ids))
