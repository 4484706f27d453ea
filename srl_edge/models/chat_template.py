"""Chats as text by a model's own template: one renderer for training, gate and device alike.

It offers templates what transformers offers them, without transformers, which a device has not.
"""

import json
import re
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
from srl_edge.files import read_json, read_text
from srl_edge.models.limits import SECONDS, TooLong, limited

Chat = Sequence[Mapping[str, str]]


# What a template can raise besides Jinja's own: it is a program.
_FAULTS = (MemoryError, RecursionError, TooLong, ArithmeticError, AttributeError, LookupError,
           TypeError, ValueError, AssertionError, SyntaxError)  # fmt: skip
# Filters that compute for as long as their argument says, or search long texts in C; templates of
# chats need none of them.
_SLOW = ("round", "format", "center", "wordwrap", "urlize", "striptags", "pprint", "xmlattr",
         "filesizeformat", "random")  # fmt: skip


def _said(error: BaseException) -> str:
    match error:
        case TooLong():
            return f"it takes more than {SECONDS:.0f} s"
        case MemoryError():
            return "it takes too much memory"
        case RecursionError():
            return "it is nested too deeply"
    return (str(error).splitlines() or [type(error).__name__])[0]


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's, without what can take for ever in one step, where no limit of time holds."""

    intercepted_binops = frozenset(["**", "*", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        for name in _SLOW:
            del self.filters[name]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(side, int) and abs(side) < 1 << 63 for side in (left, right))
        if operator == "**" or not (numbers or isinstance(left, float | str)):
            raise TemplateError(f"{operator} is not allowed there")
        if operator == "%" and isinstance(left, str) and re.search(r"\d{4}|\*", left):
            raise TemplateError("so wide a field is not allowed")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A template with the special tokens that it may name."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        environment = _Sandbox()
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            with limited():
                self._template = environment.from_string(source)
        except (TemplateError, *_FAULTS) as error:
            raise InputError(f"the model's chat template is none: {_said(error)}.") from None
        self._special = dict(special)

    def render(self, chat: Chat, add_generation_prompt: bool = True) -> str:
        """The text of a chat, up to where the reply begins.

        Raises InputError with the template's own words where it does not take such a chat.
        """
        try:
            with limited():
                return self._template.render(
                    messages=chat, add_generation_prompt=add_generation_prompt, **self._special
                )
        except TemplateError as error:
            raise InputError(
                f"the model's chat template does not take this chat: {error}; where it takes no "
                "system message, set prompt.system and prompt.whole_system to ''."
            ) from None
        except _FAULTS as error:
            raise InputError(f"the model's chat template fails: {_said(error)}.") from None


def of_tokenizer(tokenizer: Any) -> ChatTemplate:
    """The template of a tokenizer that is loaded."""
    named = tokenizer.special_tokens_map.items()
    special = tuple((name, str(token)) for name, token in named if not isinstance(token, list))
    return _built(tokenizer.chat_template, special)


def of_folder(folder: Path) -> ChatTemplate:
    """The template of a model or artifact folder."""
    settings = read_json(folder / "tokenizer_config.json", "Tokenizer")
    special = tuple(
        (key, value if isinstance(value, str) else str(value["content"]))
        for key, value in settings.items()
        if key.endswith("_token")
        and (isinstance(value, str) or (isinstance(value, dict) and "content" in value))
    )
    template = folder / "chat_template.jinja"
    beside = read_text(template) if template.is_file() else None
    source = beside or settings.get("chat_template")
    if not isinstance(source, str):
        raise InputError(f"{folder}: no chat template, so prompts cannot be rendered.")
    return _built(source, special)


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
