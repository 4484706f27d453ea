"""One turn of an agent's chat: who speaks, what is said and thought, and what is called."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srl_edge.data.agents.declared import items
from srl_edge.data.chats import is_thought, is_unsaid, speaker, thought_of

_CALLERS = ("tool_call", "tool_calls", "function_call", "function_calls")  # whose turn is a call
ASSISTANTS = ("assistant", "ai", "gpt", "model", "agent", "bot", "chatgpt", *_CALLERS)
RESULTS = (
    *("tool", "tool_response", "tool_result", "tool_output"),
    *("function", "function_response", "function_result", "function_output"),
    *("observation", "environment", "ipython", "function_call_output"),
)
SYSTEMS = ("system", "developer")
USERS = ("user", "human")
_PARTS = ("text", "image", "image_url")  # that a tool's result may have
# OpenAI's Responses have items without a role.
_ITEMS = {"function_call": "function_call", "function_call_output": "function_call_output"}
_ITEMS |= {"reasoning": "assistant"}


_OF_RESULTS = ("tool_call_id", "tool_call_ids", "tool_use_id", "call_id")
_OF_CALLS = ("call_id", "id")  # Responses give the item an id as well


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn says; told: whether it is a result by the kind of its part, and of: the id of
    the call that it is of, '' where that is not said.
    """

    role: str
    text: str
    thought: str
    calls: Sequence[Any]
    told: bool
    of: str


def turn_of(turn: Mapping[str, Any]) -> Turn:
    """A turn in any recorder's words."""
    kind = str(turn.get("type"))
    role = (speaker(turn) or _ITEMS.get(kind, "")).replace("-", "_")
    keys = ("tool_calls", "function_call", "function_calls")
    found = next((made for key in keys if (made := items(turn.get(key)))), [])
    parts = _parts(turn.get("content"))
    found = found or [part for part in parts if part.get("type") == "tool_use"]  # Anthropic's
    text = _text(turn, role not in (*ASSISTANTS, *SYSTEMS, *USERS))
    if is_unsaid(turn):
        text = ""
    if role in _CALLERS:  # the call is all that is said
        text, found = "", [turn if kind in _ITEMS else text]
    told = any(part.get("type") == "tool_result" for part in parts)
    thought = thought_of({"reasoning": turn.get("summary")} if kind == "reasoning" else turn)
    return Turn(role, text, thought, found, told, _id((turn, *parts), _OF_RESULTS))


def divided(turn: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A turn of Anthropic's for each result that it tells, and one for what it says besides."""
    parts = _parts(turn.get("content"))
    results = [part for part in parts if part.get("type") == "tool_result"]
    others = [part for part in parts if part.get("type") != "tool_result"]
    apart: list[Mapping[str, Any]] = [{**turn, "content": [part]} for part in results]
    return [*apart, {**turn, "content": others}] if apart and others else apart or [turn]


def ids_of(calls: Sequence[Any]) -> list[str]:
    """The ids of calls, '' for those without."""
    return [_id((call,), _OF_CALLS) if isinstance(call, Mapping) else "" for call in calls]


def _id(held: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    found = (items(each.get(name)) for each in held for name in names)
    return next((str(ids[0]) for ids in found if ids), "")


def _parts(content: Any) -> list[Mapping[str, Any]]:
    listed = content if isinstance(content, list) else [content]
    return [part for part in listed if isinstance(part, Mapping)]


def _text(turn: Mapping[str, Any], is_result: bool) -> str:
    """What a turn says; is_result: what is no text stands there as its JSON."""
    contents = (turn.get(key) for key in ("content", "value", "text", "output", "system_prompt"))
    content = next((each for each in contents if each is not None and each != ""), "")
    if isinstance(content, str):
        return content.strip()
    parts = _parts(content)
    written = [part.get("type") in _PARTS or part.keys() == {"text"} for part in parts]
    if is_result and not (written and all(written)):
        return json.dumps(content, ensure_ascii=False, default=str)
    texts = [
        _text(part, True) if part.get("type") == "tool_result" else part.get("text")
        for part in parts
        if not is_thought(part)
    ]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()
