"""The tokenizer of a model folder, and the tokens that end a reply."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import expanded, read_json_if_there
from srl_edge.models import chat_template, loading
from srl_edge.models.tokenizer_file import heard, opened
from srl_edge.models.wheels import KNOWN, cached


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; raises InputError if it has no chat template."""
    return _with_template(loading.tokenizer(folder), folder)


def tokenizer_beside(base: Path, adapter: Path | None) -> Any:
    """The tokenizer that tools saved with an adapter, where they did; else its model's.

    It has the tokens that they added, and the chat template that they trained on; where that is
    missing, the model's is taken. Raises InputError if neither has one.
    """
    if not adapter or not (adapter / "tokenizer.json").is_file():
        return load_tokenizer(base)
    tokenizer = loading.tokenizer(adapter)
    if not tokenizer.chat_template:
        tokenizer.chat_template = loading.tokenizer(base).chat_template
    return _with_template(tokenizer, adapter)


def _with_template(tokenizer: Any, folder: Path) -> Any:
    if not tokenizer.chat_template:
        raise InputError(
            f"{folder}: the tokenizer has no chat template, so prompts cannot be rendered; use an "
            "instruction-tuned model, or add chat_template.jinja to the folder."
        )
    return tokenizer


def tokenizer_if_there(name: str) -> Any:
    """The tokenizer of a model whose folder is on this computer already; None without."""
    folder = expanded(name)
    if not (folder / "tokenizer.json").is_file() and name in KNOWN:
        folder = cached(name)
    try:
        return loading.tokenizer(folder) if (folder / "tokenizer.json").is_file() else None
    except InputError:
        return None


def stop_ids(folder: Path) -> list[int]:
    """Every token id that ends a reply; the first is the one that the chat template writes there.

    Others are those of generation_config.json, of config.json, and the tokenizer's own.
    """
    turn, own = _of_tokenizer(folder, *map(_stamp, map(folder.joinpath, _FILES)))
    ids = [] if turn is None else [turn]
    for file, shape in (("generation_config.json", "Generation"), ("config.json", "ModelConfig")):
        found = (read_json_if_there(folder / file, shape) or {}).get("eos_token_id")
        ids += [found] if isinstance(found, int) else found or []
    ids += [] if own is None else [own]
    if not ids:
        raise InputError(
            f"{folder}: nothing says which token ends a reply; give eos_token_id in "
            "generation_config.json."
        )
    return list(dict.fromkeys(ids))


_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def _stamp(file: Path) -> tuple[int, int]:
    return (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else (0, 0)


@lru_cache(maxsize=8)
def _of_tokenizer(folder: Path, *_: tuple[int, int]) -> tuple[int | None, int | None]:
    """The token that the template writes after a reply, and the tokenizer's own end; or None."""
    if not (folder / "tokenizer.json").is_file():
        return None, None
    try:
        tokenizer = opened(folder)
    except InputError:
        return None, None
    own = None
    try:
        own = tokenizer.token_to_id(chat_template.special_tokens(folder).get("eos_token", ""))
        after = chat_template.of_folder(folder).after_reply()
    except InputError:
        return None, own
    added = tokenizer.get_added_tokens_decoder()
    with heard(folder):
        ids = tokenizer.encode(after, add_special_tokens=False).ids
    return next((id_ for id_ in ids if id_ in added), None), own
