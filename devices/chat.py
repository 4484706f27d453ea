"""Prompts to token ids and back, as on a device: the artifact's own files, without transformers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from srl_edge.prompts import messages


class Chat:
    """The tokenizer and chat template of a model or artifact folder."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        self._special = {
            key: value if isinstance(value, str) else value["content"]
            for key, value in settings.items()
            if key.endswith("_token") and value
        }
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        template = folder / "chat_template.jinja"
        source = template.read_text() if template.is_file() else settings["chat_template"]
        self._template = environment.from_string(source)

    def prompt_ids(self, problem: str, steps: Sequence[str]) -> list[int]:
        """Token ids of the chat that asks for the next step."""
        chat = messages(problem, steps)
        text = self._template.render(messages=chat, add_generation_prompt=True, **self._special)
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with no special tokens added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text
