"""Conversations as chat datasets write them: the first question in them, and the reply to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from srl_edge.data.values import Unusable, as_list

_USERS = ("user", "human")
_ASSISTANTS = ("assistant", "gpt", "model", "bot", "chatgpt")
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and the reply to it, with the thought that the reply has apart.

    more: whether others follow, which are not read, since they can only be asked after this one.
    """

    question: str | None
    reply: str | None = None
    thought: str | None = None
    more: bool = False


def first_exchange(turns: Any) -> Exchange:
    """The first question of a conversation and its reply.

    A turn is `{"role": …, "content": …}` (OpenAI, TRL) or `{"from": …, "value": …}` (ShareGPT); a
    content may be a list of parts. System messages are left out. Raises Unusable for a reply
    that is not to be taught.
    """
    said = [(_speaker(turn), turn) for turn in turns_of(turns)]
    said = [(who, turn) for who, turn in said if who in (*_USERS, *_ASSISTANTS)]
    while said and said[0][0] not in _USERS:
        said.pop(0)  # a greeting
    asked: list[str] = []
    while said and said[0][0] in _USERS:
        asked.append(_text(said.pop(0)[1]) or "")
    question = "\n\n".join(text for text in asked if text.strip()) or None
    if not said:
        return Exchange(question)
    reply = said.pop(0)[1]
    require_taught([reply])
    thought = next((reply[key] for key in _THOUGHTS if isinstance(reply.get(key), str)), None)
    return Exchange(question, _text(reply), thought, any(who in _USERS for who, _ in said))


def require_taught(turns: Iterable[Mapping[str, Any]]) -> None:
    """Raise Unusable where a turn is of no weight, as OpenAI calls what is not to be taught."""
    if any(turn.get("weight") == 0 for turn in turns):
        raise Unusable("a reply that is not to be taught (of weight 0)")


def is_chat(value: Any) -> bool:
    """Whether a value is a conversation."""
    return bool(turns := turns_of(value)) and all(_speaker(turn) for turn in turns)


def turns_of(value: Any) -> list[Mapping[str, Any]]:
    """The turns of a conversation in order; [] for a value that is none."""
    if isinstance(value, Mapping) and value and all(isinstance(v, list) for v in value.values()):
        # A table of turns, a column each: how some datasets are stored.
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=False)]
    turns = as_list(value) or []
    return [turn for turn in turns if isinstance(turn, Mapping)]


def _speaker(turn: Mapping[str, Any]) -> str:
    who = turn.get("role", turn.get("from"))
    return who.lower() if isinstance(who, str) else ""


def _text(turn: Mapping[str, Any]) -> str | None:
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "\n".join(text for text in parts if isinstance(text, str)) or None
    return content if isinstance(content, str) else None
