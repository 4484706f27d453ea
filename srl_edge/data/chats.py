"""Conversations as chat datasets write them: the first question in them, and the reply to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from srl_edge.data.values import Unusable, as_list

_USERS = ("user", "human")
_ASSISTANTS = ("assistant", "gpt", "model", "bot", "chatgpt", "ai")
_TYPES = ("human", "ai", "system", "tool")  # LangChain's, in place of a role
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
_WEIGHTS = ("weight", "loss", "train")  # OpenAI's, AgentInstruct's, axolotl's
_NOT = (0, "0", "0.0", "false", "False")  # False is 0


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
    said = [(speaker(turn), turn) for turn in turns_of(turns)]
    said = [(who, turn) for who, turn in said if who in (*_USERS, *_ASSISTANTS)]
    while said and said[0][0] not in _USERS:
        said.pop(0)  # a greeting
    asked: list[str] = []
    while said and said[0][0] in _USERS:
        if any("image" in str(part.get("type")) for part in _parts(said[0][1].get("content"))):
            raise Unusable("a question about an image")
        asked.append(_text(said.pop(0)[1]) or "")
    question = "\n\n".join(text for text in asked if text.strip()) or None
    replies = []
    while said and said[0][0] in _ASSISTANTS:
        replies.append(said.pop(0)[1])
    require_taught(replies)
    reply = _joined(_text(turn) for turn in replies if not is_unsaid(turn))
    return Exchange(question, reply, _joined(map(thought_of, replies)), bool(said))


def require_taught(replies: Iterable[Mapping[str, Any]]) -> None:
    """Raise Unusable where a reply is marked as one that is not to be taught."""
    if any(reply.get(key) in _NOT for reply in replies for key in _WEIGHTS):
        raise Unusable("a reply that is not to be taught (of weight 0)")


def require_good(row: Mapping[str, Any], marks: tuple[str, ...] = ("label", "kto_tag")) -> None:
    """Raise Unusable for a row whose reply is marked as a bad one, as for KTO.

    A label that is no truth value is something else, such as a class.
    """
    if any(row.get(mark) is False or row.get(mark) in ("false", "False") for mark in marks):
        raise Unusable("a reply that is marked as a bad one")


def thought_of(turn: Mapping[str, Any]) -> str:
    """What is thought in a turn: what stands apart from its text, or is said to nobody."""
    parts = [part for part in _parts(turn.get("content")) if is_thought(part)]
    parts += _parts(turn.get("reasoning_details"))  # OpenRouter's
    found = [held[key] for held in (turn, *parts) for key in _THOUGHTS if held.get(key)]
    found += [part.get("text") for part in parts] if not found else []
    texts = [_of_parts(each) if isinstance(each, list) else each for each in found]
    if is_unsaid(turn):
        texts.append(_text(turn))
    return _joined(dict.fromkeys(text for text in texts if isinstance(text, str))) or ""


def is_thought(part: Mapping[str, Any]) -> bool:
    """Whether a part of a turn is what was thought."""
    return str(part.get("type")).startswith(("thinking", "reasoning"))


def is_unsaid(turn: Mapping[str, Any]) -> bool:
    """Whether all of a turn is thought."""
    return turn.get("channel") == "analysis"  # gpt-oss'


def is_chat(value: Any) -> bool:
    """Whether a value is a conversation."""
    return bool(turns := turns_of(value)) and all(speaker(turn) for turn in turns)


def turns_of(value: Any) -> list[Mapping[str, Any]]:
    """The turns of a conversation in order; [] for a value that is none."""
    if isinstance(value, Mapping) and value and all(isinstance(v, list) for v in value.values()):
        # A table of turns, a column each: how some datasets are stored.
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=False)]
    turns = as_list(value) or []
    return [turn for turn in turns if isinstance(turn, Mapping)]


def speaker(turn: Mapping[str, Any]) -> str:
    """Whose turn it is, in small letters; '' where it does not say."""
    who = next((turn[key] for key in ("role", "from") if turn.get(key) is not None), None)
    if who is None and turn.get("type") in _TYPES:
        who = turn["type"]
    return who.lower() if isinstance(who, str) else ""


def _text(turn: Mapping[str, Any]) -> str | None:
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        return _of_parts([part for part in _parts(content) if not is_thought(part)])
    return content if isinstance(content, str) else None


def _parts(content: Any) -> list[Mapping[str, Any]]:
    return [p for p in content if isinstance(p, Mapping)] if isinstance(content, list) else []


def _of_parts(parts: list[Any]) -> str | None:
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str)) or None


def _joined(texts: Iterable[Any]) -> str | None:
    return "\n\n".join(t for t in texts if isinstance(t, str) and t.strip()) or None
