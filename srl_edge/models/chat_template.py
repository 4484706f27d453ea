"""Chats as text by a model's own template: one renderer for training, gate and device alike.

It offers templates what transformers offers them, without transformers, which a device has not.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there, read_text
from srl_edge.models.calls_in_chat import CallForms
from srl_edge.models.limits import SECONDS, TooLong, limited
from srl_edge.models.template_sandbox import Sandbox
from srl_edge.models.tools_in_text import MARK, PROBE, told_of

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
# Special tokens of every tokenizer; others are a model's own, `image_token`.
_NAMED = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_SPECIFIC = "model_specific_special_tokens"
ADDITIONAL = "additional_chat_templates"  # the folder of those that are not the default

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


class ChatTemplate:
    """A template with the special tokens that it may name.

    with_tools: the template that takes its place where there are tools, '' for none.
    """

    def __init__(self, source: str, special: Mapping[str, str], with_tools: str = "") -> None:
        try:
            with limited():
                self._template = Sandbox().from_string(source)
        except (TemplateError, *_FAULTS) as error:
            raise InputError(f"the model's chat template is none: {_said(error)}.") from None
        self._special = dict(special)
        self._with_tools = with_tools
        self._always: Mapping[str, Any] = {}  # what it is told of in every chat
        self._places: dict[str, bool] = {}  # whether it has one for tools, by what else it is told
        self._endless = False  # whether it took too long for a few words
        self._calls = CallForms(lambda chat: self._tried(self._shaped(chat)))

    def render(
        self,
        chat: Chat,
        add_generation_prompt: bool = True,
        date: str = DATE,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a chat, up to where the reply begins.

        date: what a template that asks for today's is told, so that a model reads in a year what it
        was trained on. arguments: what else it may name, such as `enable_thinking` or `tools`,
        which stand in the system's text where the template has no place for them. Raises InputError
        with the template's own words where it does not take such a chat.
        """
        told = dict(arguments or {})
        if told.get("tools") and self._of_tools is not self:
            return self._of_tools.render(chat, add_generation_prompt, date, told)
        try:
            turns = self.accepted(chat, told)
            if told.get("tools") and not self.takes_tools(told):
                del told["tools"]
            return self._rendered(turns, add_generation_prompt, date, told)
        except TemplateError as error:
            raise InputError(
                f"the model's chat template does not take this chat: {error}."
            ) from None
        except _FAULTS as error:
            raise InputError(f"the model's chat template fails: {_said(error)}.") from None

    def takes_tools(self, arguments: Mapping[str, Any] | None = None) -> bool:
        """Whether there is a place for tools, so that they need none in the system's text.

        arguments: what else the template is told, by which that may change.
        """
        if self._of_tools is not self:
            return self._of_tools.takes_tools(arguments)
        others = {name: value for name, value in (arguments or {}).items() if name != "tools"}
        if (key := repr(sorted(others.items()))) not in self._places:
            self._places[key] = self._has_place(others)
        return self._places[key]

    def accepted(
        self, chat: Chat, arguments: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """A chat as the template takes it: with the system's text in the user's turn, if need be,
        with tools in the system's text, and with calls as `calls_in_chat` gives them.

        Templates without a system role refuse it, or leave it out without a word; and those that
        take lists of parts alone leave out every text.
        """
        turns: list[dict[str, Any]] = [dict(turn) for turn in chat]
        if (tools := (arguments or {}).get("tools")) and not self.takes_tools(arguments):
            turns = told_of(tools, turns)
        if len(turns) > 1 and turns[0]["role"] == "system" and not self._takes_system:
            system, turns = turns[0]["content"], turns[1:]
            turns[0]["content"] = f"{system}\n\n{turns[0]['content'] or ''}"
        return self._shaped(self._calls.given(turns))

    @cached_property
    def _of_tools(self) -> "ChatTemplate":
        if not self._with_tools:
            return self
        of_tools = ChatTemplate(self._with_tools, self._special)
        of_tools._always = PROBE
        return of_tools

    def _has_place(self, others: Mapping[str, Any]) -> bool:
        """Whether tools are rendered, with a system's text and without, as far as both can be."""
        asked = [{"role": "user", "content": "Yes?"}]
        chats = (asked, [{"role": "system", "content": "Be brief."}, *asked])
        texts = [self._tried(self.accepted(chat), arguments={**others, **PROBE}) for chat in chats]
        return any(texts) and all(MARK in text for text in texts if text)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether a user's text is rendered as a list of parts, and as a text is not."""
        asked = [{"role": "user", "content": MARK}]
        for chat in (asked, [{"role": "system", "content": "Be brief."}, *asked]):
            if MARK in self._tried(chat):
                return False
            if MARK in self._tried(_in_parts(chat)):
                return True
        return False

    @cached_property
    def _takes_system(self) -> bool:
        chat = [{"role": "system", "content": MARK}, {"role": "user", "content": "Yes?"}]
        return MARK in self._tried(self._shaped(chat))

    def _shaped(self, chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _in_parts(chat) if self._takes_parts else chat

    def after_reply(self) -> str:
        """What the template writes after a reply of the model's; '' where it does not say.

        Asked with a system turn too, which some templates need.
        """
        asked = {"role": "user", "content": "Yes?"}
        system = {"role": "system", "content": "Be brief."}
        for before in ([asked], [system, asked]):
            chat = [*before, {"role": "assistant", "content": MARK}]
            _, mark, after = self._tried(self._shaped(chat), False).rpartition(MARK)
            if mark:
                return after
        return ""

    def _tried(
        self,
        chat: Chat,
        add_generation_prompt: bool = True,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """A chat of a few words, which tells of the template; '' where it does not take that.

        One that takes too long for them takes too long for every chat, and is not waited for again.
        """
        if self._endless:
            return ""
        try:
            told = {**self._always, **(arguments or {})}
            return self._rendered(chat, add_generation_prompt, DATE, told)
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
    return [{**turn, "content": _as_parts(turn["content"])} for turn in chat]


def _as_parts(text: str | None) -> list[dict[str, str]] | None:
    return text if text is None else [{"type": "text", "text": text}]


def of_tokenizer(tokenizer: Any) -> ChatTemplate:
    """The template of a tokenizer that is loaded."""
    named = tokenizer.special_tokens_map.items()
    special = tuple((name, str(token)) for name, token in named if not isinstance(token, list))
    return _built(*_chosen(tokenizer.chat_template, "the tokenizer"), special)


def source_of(tokenizer: Any) -> str:
    """The template of a tokenizer that is loaded: of several, the one that is named default."""
    return _chosen(tokenizer.chat_template, "the tokenizer")[0]


def plain() -> ChatTemplate:
    """The template of models that have none: questions and answers as running text."""
    return _built(_PLAIN, "", ())


def of_folder(folder: Path) -> ChatTemplate:
    """The template of a model or artifact folder; raises NoTemplate where it has none."""
    settings = read_json_if_there(folder / "tokenizer_config.json", "Tokenizer") or {}
    special = tuple(special_tokens(folder).items())
    named = {file.stem: read_text(file) for file in (folder / ADDITIONAL).glob("*.jinja")}
    template = folder / "chat_template.jinja"
    if template.is_file():
        named["default"] = read_text(template)
    source = named if "default" in named else settings.get("chat_template") or named
    return _built(*_chosen(source, folder), special)


def special_tokens(folder: Path) -> dict[str, str]:
    """The texts of a folder's special tokens by name, `eos_token`, as transformers reads them."""
    names = ("tokenizer_config.json", "special_tokens_map.json")
    config, own = (read_json_if_there(folder / name, "Tokenizer") or {} for name in names)
    if "added_tokens_decoder" in config:  # then it does not read the other file at all
        own = {}
    told = {name: value for name, value in (config | own).items() if name.endswith("_token")}
    further = {name: value for name, value in config.items() if name in told and name not in _NAMED}
    for said in (config, own):
        if isinstance(extra := said.get("extra_special_tokens"), dict):
            further |= extra
    if not further and isinstance(specific := config.get(_SPECIFIC), dict):
        further = specific
    return {
        name: value if isinstance(value, str) else str(value["content"])
        for name, value in (told | further).items()
        if isinstance(value, str) or (isinstance(value, dict) and "content" in value)
    }


def _chosen(source: Any, where: object) -> tuple[str, str]:
    """The template to use, and the one where there are tools: a tokenizer may have several, as a
    list or by name, and transformers takes `tool_use` where there are tools.
    """
    if isinstance(source, list):
        source = {each["name"]: each["template"] for each in source}
    with_tools = ""
    if isinstance(source, dict):
        with_tools = source.get("tool_use") or ""
        source = source.get("default") or (next(iter(source.values())) if len(source) == 1 else "")
    if not isinstance(source, str) or not source:
        raise NoTemplate(f"{where}: no chat template, so prompts cannot be rendered.")
    return source, with_tools if isinstance(with_tools, str) else ""


@lru_cache(maxsize=8)
def _built(source: str, with_tools: str, special: tuple[tuple[str, str], ...]) -> ChatTemplate:
    return ChatTemplate(source, dict(special), with_tools)
