"""What agents did, as their recorders write it: actions, the thought before each, what came of it.

Known: chats with `tool_calls` and tool results (OpenAI, OpenHands, SWE-smith), calls that are
written in the text (`<function=…>`, `<tool_call>`, `<execute_bash>`), and commands in a fence
(SWE-agent). A command of a shell stands alone, other calls as JSON with name and arguments.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srl_edge.data.values import Unusable, as_list
from srl_edge.method import calls
from srl_edge.method.call_forms import unmarked
from srl_edge.method.prompt_form import DONE

_ASSISTANTS = ("assistant", "ai", "gpt", "model", "agent")
_SYSTEM = ("system", "developer")
_SHELLS = ("bash", "execute_bash", "shell", "run_command", "run_shell_command", "terminal")
_FENCE = re.compile(r"```(?:bash|sh|shell)?\n(.*?)\n?```", re.DOTALL)
_BASH_TAG = re.compile(r"<execute_(?:bash|ipython)>(.*?)</execute_(?:bash|ipython)>", re.DOTALL)
_CALL_TAG = re.compile(r"<(?:tool_call|function=[\w.-]+|function_call)>")
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
_OUTCOMES = ("resolved", "target", "success")


@dataclass(frozen=True, slots=True)
class Episode:
    """A task and what was done about it; an observation each, '' after the last action."""

    task: str
    actions: tuple[str, ...]
    thoughts: tuple[str, ...]
    observations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    text: str
    thought: str
    calls: Sequence[Any]


def require_success(row: Mapping[str, Any]) -> None:
    """Raise Unusable for the record of an attempt that says that it failed."""
    for column in _OUTCOMES:
        if row.get(column) in (False, 0, "False", "false"):
            raise Unusable("an attempt that did not succeed")


def is_episode(turns: Any) -> bool:
    """Whether a conversation has calls or tool results; fences alone may be any talk of code."""
    return any(
        turn.role in ("tool", "function")
        or turn.calls
        or (turn.role in _ASSISTANTS and _marked(turn.text))
        for turn in map(_turn, _list(turns))
    )


def of_turns(turns: Any, tools: Sequence[Any] = ()) -> Episode:
    """The episode of a conversation; raises Unusable.

    Of a reply that makes no call, its text is the action: what is said to the user.
    """
    said = [turn for turn in map(_turn, _list(turns)) if turn.role not in _SYSTEM]
    opening: list[str] = []
    while said and said[0].role not in _ASSISTANTS:
        opening.append(said.pop(0).text)
    task = "\n\n".join(text for text in opening if text.strip())
    actions: list[str] = []
    thoughts: list[str] = []
    observations: list[str] = []
    declared = {name for tool in tools if (name := _name(tool))}
    while said:
        turn = said.pop(0)
        before, action = _action(turn)
        if not action:
            raise Unusable("an action that says nothing")
        require_declared(action, declared)
        came = []
        while said and said[0].role not in _ASSISTANTS:
            came.append(said.pop(0).text)
        if said and not came:
            raise Unusable("an action without its observation")
        actions.append(action)
        thoughts.append("\n\n".join(part for part in (turn.thought, before) if part.strip()))
        observations.append("\n\n".join(came))
    if not task.strip():
        raise Unusable("no task before the first action")
    return Episode(task, tuple(actions), tuple(thoughts), tuple(observations))


def of_steps(steps: Any) -> Episode:
    """The episode of SWE-agent's own files: rows of thought, action and observation."""
    rows = [step for step in _list(steps) if isinstance(step.get("action"), str)]
    acted = [row for row in rows if row["action"].strip()]
    if any(not isinstance(row.get("observation"), str) for row in acted[:-1]):
        raise Unusable("an action without its observation")
    return Episode(
        "",
        tuple(row["action"].strip() for row in acted),
        tuple(str(row.get("thought") or "").strip() for row in acted),
        tuple(str(row.get("observation") or "").strip() for row in acted),
    )


def of_calls(task: Any, made: Any, tools: Sequence[Any] = ()) -> Episode:
    """The episode of a request and the calls that fulfil it, of which no results are known."""
    actions = tuple(as_action(call) for call in as_list(made) or ())
    declared = {name for tool in tools if (name := _name(tool))}
    for action in actions:
        require_declared(action, declared)
    if not actions:
        raise Unusable("no call")
    return Episode(task if isinstance(task, str) else "", (*actions, DONE), (), ())


def as_action(call: Any) -> str:
    """A call as an action: JSON, or a shell's command by itself; raises Unusable."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if isinstance(function, str):
        function = {"name": function, **{k: v for k, v in call.items() if k != "function"}}
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Unusable("a call without a name")
    keys = ("arguments", "parameters", "kwargs", "args")
    given: Any = next((function[key] for key in keys if function.get(key) is not None), {})
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError):
            raise Unusable("a call whose arguments are no JSON") from None
    if not isinstance(given, Mapping):
        raise Unusable("a call whose arguments are no JSON")
    if function["name"] in _SHELLS and isinstance(given.get("command"), str):
        return str(given["command"]).strip()
    shown = {"name": function["name"], "arguments": dict(given)}
    return json.dumps(shown, ensure_ascii=False)


def require_declared(action: str, declared: Iterable[str]) -> None:
    """Raise Unusable where an action calls what is not among the declared tools, if any are."""
    known = set(declared)
    made = calls.parsed(action) if known and action.startswith("{") else None
    if any(name not in known for name, *_ in made or ()):
        raise Unusable("a call of a tool that is not declared")


def tools_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The schemas that a row declares, in OpenAI's form; () for none."""
    given = as_list(row.get("tools")) or as_list(row.get("functions")) or []
    tools = [tool for tool in given if isinstance(tool, Mapping) and _name(tool)]
    return tuple(
        tool if "function" in tool else {"type": "function", "function": tool} for tool in tools
    )


def _name(tool: Any) -> str:
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else ""


def _list(turns: Any) -> list[Mapping[str, Any]]:
    return [turn for turn in as_list(turns) or () if isinstance(turn, Mapping)]


def _turn(turn: Mapping[str, Any]) -> _Turn:
    role = str(turn.get("role") or turn.get("from") or "").lower()
    thought = next((turn[key] for key in _THOUGHTS if isinstance(turn.get(key), str)), "")
    found = as_list(turn.get("tool_calls")) or ()
    return _Turn(role, _text(turn), thought, found)


def _text(turn: Mapping[str, Any]) -> str:
    content = next((turn[key] for key in ("content", "value", "text") if turn.get(key)), "")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(text for text in parts if isinstance(text, str))
    return content.strip() if isinstance(content, str) else ""


def _marked(text: str) -> bool:
    return bool(_CALL_TAG.search(text) or _BASH_TAG.search(text))


def _action(turn: _Turn) -> tuple[str, str]:
    """What is said before an action, and the action."""
    if turn.calls:
        return turn.text, "\n".join(map(as_action, turn.calls))
    if tagged := _BASH_TAG.search(turn.text):
        return turn.text[: tagged.start()].strip(), tagged[1].strip()
    if tag := _CALL_TAG.search(turn.text):
        made = calls.parsed(unmarked(turn.text[tag.start() :]))
        if not made:
            raise Unusable("a call whose arguments are no JSON")
        acts = [as_action({"name": name, "arguments": named}) for name, _, named in made]
        return turn.text[: tag.start()].strip(), "\n".join(acts)
    if fences := list(_FENCE.finditer(turn.text)):
        return turn.text[: fences[-1].start()].strip(), fences[-1][1].strip()
    return "", turn.text
