"""Chats as text by a model's own template: one renderer for training, gate and device alike.

It offers templates what transformers offers them, without transformers, which a device has not.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from srl_edge.errors import InputError
from srl_edge.files import read_json

Chat = Sequence[Mapping[str, str]]


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A template with the special tokens that it may name."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        self._template = environment.from_string(source)
        self._special = dict(special)

    def render(self, chat: Chat, add_generation_prompt: bool = True) -> str:
        """The text of a chat, up to where the reply begins.

        Raises InputError with the template's own words where it does not take such a chat.
        """
        try:
            return self._template.render(
                messages=chat, add_generation_prompt=add_generation_prompt, **self._special
            )
        except TemplateError as error:
            raise InputError(
                f"the model's chat template does not take this chat: {error}; where it takes no "
                "system message, set prompt.system and prompt.whole_system to ''."
            ) from None


def of_tokenizer(tokenizer: Any) -> ChatTemplate:
    """The template of a tokenizer that is loaded."""
    named = tokenizer.special_tokens_map.items()
    special = tuple((name, str(token)) for name, token in named if not isinstance(token, list))
    return _built(tokenizer.chat_template, special)


def of_folder(folder: Path) -> ChatTemplate:
    """The template of a model or artifact folder."""
    settings = read_json(folder / "tokenizer_config.json")
    special = tuple(
        (key, value if isinstance(value, str) else value["content"])
        for key, value in settings.items()
        if key.endswith("_token") and value and not isinstance(value, bool)
    )
    template = folder / "chat_template.jinja"
    beside = template.read_text(encoding="utf-8") if template.is_file() else None
    return _built(beside or settings["chat_template"], special)


@lru_cache(maxsize=8)
def _built(source: str, special: tuple[tuple[str, str], ...]) -> ChatTemplate:
    return ChatTemplate(source, dict(special))


def _to_json(value: Any, **options: Any) -> str:
    # Jinja's own escapes what HTML gives a meaning.
    return json.dumps(value, **({"ensure_ascii": False} | options))


def _refuse(message: str) -> str:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
