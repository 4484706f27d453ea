"""The tokenizer of a model folder, and the tokens that end a reply."""

from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; raises InputError if it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{folder}: its tokenizer cannot be read: {said}") from None
    if not tokenizer.chat_template:
        raise InputError(
            f"{folder}: the tokenizer has no chat template, so prompts cannot be rendered; use an "
            "instruction-tuned model, or add chat_template.jinja to the folder."
        )
    return tokenizer


def stop_ids(folder: Path) -> list[int]:
    """Every token id that ends a reply, from generation_config.json and config.json."""
    ids: list[int] = []
    for file in ("generation_config.json", "config.json"):
        path = folder / file
        found = (read_json_if_there(path) or {}).get("eos_token_id")
        ids += [found] if isinstance(found, int) else found or []
    if not ids:
        raise InputError(f"{folder}: no eos_token_id in generation_config.json or config.json.")
    return list(dict.fromkeys(ids))
