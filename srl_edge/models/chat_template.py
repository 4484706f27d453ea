"""Chats as text by a model's own template: one renderer for training, gate and device alike.

It offers templates what transformers offers them, without transformers, which a device has not.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there, read_text
from srl_edge.models.limits import SECONDS, TooLong, limited

Chat = Sequence[Mapping[str, Any]]
# How a model that has no template is asked, and where its reply goes on to a question of its own.
_PLAIN = (
    "{% for m in messages %}{{ {'user': 'Question: ', 'assistant': 'Answer: '}.get(m.role, '') }}"
    "{{ m.content }}\n{{ '' if m.role == 'user' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Answer:{% endif %}"
)
NEXT_QUESTION = "\nQuestion:"
DATE = "2024-07-26"  # what Llama 3's own template takes where nobody tells it the date
LONGEST = 1 << 22  # characters of a chat
_MARK = "srl-edge marks this"

# What a template can raise besides Jinja's own: it is a program.
_FAULTS = (
    MemoryError,
    RecursionError,
    TooLong,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    AssertionError,
    SyntaxError,
)
# Filters that compute for as long as their argument says, or search long texts in C; templates of
# chats need none of them.
_SLOW = (
    "round",
    "format",
    "center",
    "wordwrap",
    "urlize",
    "striptags",
    "pprint",
    "xmlattr",
    "filesizeformat",
    "random",
)


class NoTemplate(InputError):
    """A model that has no chat template at all."""


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
        environment.globals |= {"raise_exception": _refuse}
        try:
            with limited():
                self._template = environment.from_string(source)
        except (TemplateError, *_FAULTS) as error:
            raise InputError(f"the model's chat template is none: {_said(error)}.") from None
        self._special = dict(special)
        self._endless = False  # whether it took too long for a few words

    def render(
        self,
        chat: Chat,
        add_generation_prompt: bool = True,
        date: str = DATE,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a chat, up to where the reply begins.

        date: what a template that asks for today's is told, so that a model reads in a year what it
        was trained on. arguments: what else it may name, such as `enable_thinking` or `tools`.
        Raises InputError with the template's own words where it does not take such
        a chat.
        """
        try:
            return self._rendered(self.accepted(chat), add_generation_prompt, date, arguments)
        except TemplateError as error:
            raise InputError(
                f"the model's chat template does not take this chat: {error}."
            ) from None
        except _FAULTS as error:
            raise InputError(f"the model's chat template fails: {_said(error)}.") from None

    def accepted(self, chat: Chat) -> list[dict[str, Any]]:
        """A chat as the template takes it: with the system's text in the user's turn, if need be.

        Templates without a system role refuse it, or leave it out without a word; and those that
        take lists of parts alone leave out every text.
        """
        turns: list[dict[str, Any]] = [dict(turn) for turn in chat]
        if len(turns) > 1 and turns[0]["role"] == "system" and not self._takes_system:
            system, turns = turns[0]["content"], turns[1:]
            turns[0]["content"] = f"{system}\n\n{turns[0]['content']}"
        return self._shaped(turns)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether a user's text is rendered as a list of parts, and as a text is not."""
        asked = [{"role": "user", "content": _MARK}]
        for chat in (asked, [{"role": "system", "content": "Be brief."}, *asked]):
            if _MARK in self._tried(chat):
                return False
            if _MARK in self._tried(_in_parts(chat)):
                return True
        return False

    @cached_property
    def _takes_system(self) -> bool:
        chat = [{"role": "system", "content": _MARK}, {"role": "user", "content": "Yes?"}]
        return _MARK in self._tried(self._shaped(chat))

    def _shaped(self, chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _in_parts(chat) if self._takes_parts else chat

    def after_reply(self) -> str:
        """What the template writes after a reply of the model's; '' where it does not say.

        Asked with a system turn too, which some templates need.
        """
        asked = {"role": "user", "content": "Yes?"}
        system = {"role": "system", "content": "Be brief."}
        for before in ([asked], [system, asked]):
            chat = [*before, {"role": "assistant", "content": _MARK}]
            _, mark, after = self._tried(self._shaped(chat), False).rpartition(_MARK)
            if mark:
                return after
        return ""

    def _tried(self, chat: Chat, add_generation_prompt: bool = True) -> str:
        """A chat of a few words, which tells of the template; '' where it does not take that.

        One that takes too long for them takes too long for every chat, and is not waited for again.
        """
        if self._endless:
            return ""
        try:
            return self._rendered(chat, add_generation_prompt, DATE)
        except (TemplateError, *_FAULTS) as error:
            self._endless = isinstance(error, TooLong)
            return ""

    def _rendered(
        self,
        chat: Chat,
        add_generation_prompt: bool,
        date: str,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        if self._endless:
            raise TooLong

        def now(form: str) -> str:
            return datetime.strptime(date, "%Y-%m-%d").strftime(form)

        told = {"tools": None, "documents": None} | dict(arguments or {}) | self._special
        told |= {"messages": chat, "strftime_now": now}
        with limited():
            text = self._template.render(told, add_generation_prompt=add_generation_prompt)
        if len(text) > LONGEST:  # the tokenizer would take thousands of times that memory
            raise TemplateError(f"a text of {len(text)} characters is longer than any context")
        return text


def _in_parts(chat: Chat) -> list[dict[str, Any]]:
    return [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in chat]


def of_tokenizer(tokenizer: Any) -> ChatTemplate:
    """The template of a tokenizer that is loaded."""
    named = tokenizer.special_tokens_map.items()
    special = tuple((name, str(token)) for name, token in named if not isinstance(token, list))
    return _built(source_of(tokenizer), special)


def source_of(tokenizer: Any) -> str:
    """The template of a tokenizer that is loaded: of several, the one that is named default."""
    return _chosen(tokenizer.chat_template, "the tokenizer")


def plain() -> ChatTemplate:
    """The template of models that have none: questions and answers as running text."""
    return _built(_PLAIN, ())


def of_folder(folder: Path) -> ChatTemplate:
    """The template of a model or artifact folder; raises NoTemplate where it has none."""
    settings = read_json_if_there(folder / "tokenizer_config.json", "Tokenizer") or {}
    special = tuple(special_tokens(folder).items())
    template = folder / "chat_template.jinja"
    if template.is_file():
        return _built(read_text(template), special)
    named = {
        file.stem: read_text(file) for file in folder.glob("additional_chat_templates/*.jinja")
    }
    return _built(_chosen(settings.get("chat_template") or named, folder), special)


def special_tokens(folder: Path) -> dict[str, str]:
    """The texts of a folder's special tokens by name, `eos_token`, as transformers reads them."""
    names = ("tokenizer_config.json", "special_tokens_map.json")  # the second one counts
    config, own = (read_json_if_there(folder / name, "Tokenizer") or {} for name in names)
    told = config | own
    return {
        key: value if isinstance(value, str) else str(value["content"])
        for key, value in told.items()
        if key.endswith("_token")
        and (isinstance(value, str) or (isinstance(value, dict) and "content" in value))
    }


def _chosen(source: Any, where: object) -> str:
    """The template to use: a tokenizer may have several, as a list or by name."""
    if isinstance(source, list):
        source = {each["name"]: each["template"] for each in source}
    if isinstance(source, dict):
        source = source.get("default") or (next(iter(source.values())) if len(source) == 1 else "")
    if not isinstance(source, str) or not source:
        raise NoTemplate(f"{where}: no chat template, so prompts cannot be rendered.")
    return source


@lru_cache(maxsize=8)
def _built(source: str, special: tuple[tuple[str, str], ...]) -> ChatTemplate:
    return ChatTemplate(source, dict(special))


def _to_json(value: Any, ensure_ascii: bool = False, *options: Any, **named: Any) -> str:
    # Jinja's own escapes what HTML gives a meaning.
    named |= dict(zip(("indent", "separators", "sort_keys"), options, strict=False))
    return json.dumps(value, ensure_ascii=ensure_ascii, **named)


def _refuse(message: str) -> str:
    raise TemplateError(message)
