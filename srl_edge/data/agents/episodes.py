"""What agents did, as their recorders write it: actions, the thought before each, what came of it.

Known: chats with `tool_calls` and tool results (OpenAI, OpenHands, SWE-smith), calls that are
written in the text (`in_text` says how), and commands in a fence (SWE-agent). A command of a shell
stands alone, other calls as JSON with name and arguments.
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from srl_edge.data.agents.declared import (
    declared_in,
    items,
    name_of,
    require_declared,
    told_in,
    tools_of,
)
from srl_edge.data.agents.in_text import action_in, calls_in, is_marked, last_fence, said_in
from srl_edge.data.chats import is_thought, is_unsaid, require_taught, thought_of, turns_of
from srl_edge.data.thoughts import joined
from srl_edge.data.values import Unusable, as_list
from srl_edge.method.prompt_form import DONE

_CALLERS = ("tool_call", "tool_calls", "function_call", "function_calls")  # whose turn is a call
_ASSISTANTS = ("assistant", "ai", "gpt", "model", "agent", *_CALLERS)
_RESULTS = (
    *("tool", "tool_response", "tool_result", "tool_output"),
    *("function", "function_response", "function_result", "function_output"),
    *("observation", "environment", "ipython"),
)
_SYSTEM = ("system", "developer")
_SHELLS = ("bash", "execute_bash", "shell", "run_command", "run_shell_command", "terminal")
_PARTS = ("text", "image", "image_url")  # that a tool's result may have
_OUTCOMES = ("resolved", "target", "success")
# How a user's turn begins that tells what came of an action.
_RESULT = re.compile(
    r"\s*<(?:returncode|output|observation|stdout|(?:tool|function)_(?:response|results?|output))>"
    r"|[\W_]*(?:the |new |current )?(?:observation|stdout|output of \w+ \w+"
    r"|(?:execution|command|terminal|tool|function) (?:output|results?|response|screen))\b"
    r"[^\n:]{0,40}:",
    re.IGNORECASE,
)


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
    results: int  # that it tells, if it tells any


def require_success(row: Mapping[str, Any]) -> None:
    """Raise Unusable for the record of an attempt that says that it failed."""
    for column in _OUTCOMES:
        if row.get(column) in (False, 0, "False", "false"):
            raise Unusable("an attempt that did not succeed")


def is_episode(turns: Any) -> bool:
    """Whether a conversation has calls or tool results; fences alone may be any talk of code."""
    return _has_calls(list(map(_turn, turns_of(turns))))


def is_fenced(turns: Any) -> bool:
    """Whether all that is replied in a conversation, more than once, has a command in a fence."""
    replies = [t for t in map(_turn, turns_of(turns)) if t.role in _ASSISTANTS]
    return len(replies) > 1 and all(last_fence(turn.text) for turn in replies)


def tells_results(turns: Any) -> bool:
    """Whether what a user says after a reply is what came of an action."""
    told = [t.text for t in map(_turn, turns_of(turns)) if t.role in ("user", "human")]
    return any(_RESULT.match(text) for text in told[1:])


def _has_calls(turns: Sequence[_Turn]) -> bool:
    return any(
        turn.role in _RESULTS or turn.calls or (turn.role in _ASSISTANTS and is_marked(turn.text))
        for turn in turns
    )


def told_of_tools(row: Mapping[str, Any], turns: Any) -> str:
    """The system's text of a row whose functions are declared there and nowhere else, or ''."""
    if tools_of(row, turns):
        return ""
    return told_in(row, [turn.text for turn in map(_turn, turns_of(turns)) if turn.role in _SYSTEM])


def of_turns(turns: Any, tools: Sequence[Any] = (), told: str = "") -> Episode:
    """The episode of a conversation; raises Unusable.

    Of a reply that makes no call, its text is the action: what is said to the user. told: a text
    that declares functions, which stands before the task.
    """
    listed = turns_of(turns)
    require_taught(turn for turn in listed if _turn(turn).role in _ASSISTANTS)
    said = [turn for turn in map(_turn, listed) if turn.role not in _SYSTEM]
    fences = not _has_calls(said)  # elsewhere a fence is what is shown to the user
    opening: list[str] = []
    while said and said[0].role not in _ASSISTANTS:
        opening.append(said.pop(0).text)
    task = "\n\n".join(text for text in opening if text.strip())
    actions: list[str] = []
    thoughts: list[str] = []
    observations: list[str] = []
    declared = {name for tool in (*tools, *declared_in(told)) if (name := name_of(tool))}
    while said:
        replies = list(takewhile(lambda turn: turn.role in _ASSISTANTS, said))
        del said[: len(replies)]
        before, action, count = _action(replies, fences)
        if action == DONE and count and actions:  # what follows asks whether it is
            break
        if not action:
            raise Unusable("an action that says nothing")
        require_declared(action, declared)
        came = list(takewhile(lambda turn: turn.role not in _ASSISTANTS, said))
        del said[: len(came)]
        if came and sum(turn.results for turn in came) < count:
            raise Unusable("an action without its observation")
        actions.append(action)
        thoughts.append(before)
        observations.append("\n\n".join(turn.text for turn in came))
    if not task.strip():
        raise Unusable("no task before the first action")
    task = f"{told}\n\n{task}" if told else task
    return Episode(task, tuple(actions), tuple(thoughts), tuple(observations))


def of_steps(steps: Any) -> Episode:
    """The episode of SWE-agent's own files: rows of thought, action and observation."""
    rows = [step for step in turns_of(steps) if step.get("action") is not None]
    if not all(isinstance(row["action"], str) for row in rows):
        raise Unusable("an action that is no text")
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
    declared = {name for tool in tools if (name := name_of(tool))}
    for action in actions:
        require_declared(action, declared)
    if not actions:
        raise Unusable("no call")
    return Episode(task if isinstance(task, str) else "", (*actions, DONE), (), ())


def as_action(call: Any) -> str:
    """A call as an action: JSON, or a shell's command by itself; raises Unusable."""
    if isinstance(call, str):
        with contextlib.suppress(ValueError, RecursionError):
            call = json.loads(call)
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if isinstance(function, str):
        function = {"name": function, **{k: v for k, v in call.items() if k != "function"}}
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Unusable("a call without a name")
    keys = ("arguments", "parameters", "kwargs", "args", "input")
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
    try:
        return json.dumps(shown, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # of a table's types, or nested too deeply
        raise Unusable("a call whose arguments are no JSON") from None


def are_calls(made: Any) -> bool:
    """Whether a value is a list of calls, of one at least."""
    listed = as_list(made) or []
    return bool(listed) and all(
        isinstance(each, Mapping) and ("name" in each or "function" in each) for each in listed
    )


def _turn(turn: Mapping[str, Any]) -> _Turn:
    role = str(turn.get("role") or turn.get("from") or "").lower().replace("-", "_")
    keys = ("tool_calls", "function_call", "function_calls")
    found = next((made for key in keys if (made := items(turn.get(key)))), [])
    parts = _parts(turn.get("content"))
    found = found or [part for part in parts if part.get("type") == "tool_use"]  # Anthropic's
    text = _text(turn, role not in (*_ASSISTANTS, *_SYSTEM, "user", "human"))
    if is_unsaid(turn):
        text = ""
    if role in _CALLERS:  # the call is all that is said
        text, found = "", [text]
    results = sum(part.get("type") == "tool_result" for part in parts)
    return _Turn(role, text, thought_of(turn), found, results or 1)


def _parts(content: Any) -> list[Mapping[str, Any]]:
    listed = content if isinstance(content, list) else [content]
    return [part for part in listed if isinstance(part, Mapping)]


def _text(turn: Mapping[str, Any], is_result: bool) -> str:
    """What a turn says; is_result: what is no text stands there as its JSON."""
    contents = (turn.get(key) for key in ("content", "value", "text"))
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


def _action(turns: Sequence[_Turn], fences: bool) -> tuple[str, str, int]:
    """What is said before the action of replies in a row, the action, and how many of them call."""
    before: list[str] = []
    said: list[str] = []
    made: list[str] = []
    for turn in turns:
        before.append(turn.thought)
        if turn.calls:
            before.append(turn.text)
            listed = (calls_in(c) if isinstance(c, str) else [c] for c in turn.calls)
            made.append("\n".join(as_action(call) for part in listed for call in part))
        elif found := action_in(turn.text, fences):
            before.append(found[0])
            action = found[1]
            made.append(action if isinstance(action, str) else "\n".join(map(as_action, action)))
        else:
            thought, text = said_in(turn.text)
            before.append(thought)
            said.append(text)
    if made:
        return joined([*before, *said]), "\n".join(made), len(made)
    return joined(before), joined(said), 0
