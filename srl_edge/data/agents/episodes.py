"""What agents did, as their recorders write it: actions, the thought before each, what came of it.

Known: chats with `tool_calls` and tool results (OpenAI, OpenHands, SWE-smith), calls that are
written in the text (`in_text` says how), and commands in a fence (SWE-agent). A command of a shell
stands alone, other calls as JSON with name and arguments.
"""

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Any

from srl_edge.data.agents.declared import declared_in, name_of, require_declared, unfilled
from srl_edge.data.agents.in_text import action_in, calls_in, is_marked, last_fence, said_in
from srl_edge.data.agents.turns import (
    ASSISTANTS,
    RESULTS,
    SYSTEMS,
    USERS,
    Turn,
    divided,
    ids_of,
    turn_of,
)
from srl_edge.data.chats import require_taught, turns_of
from srl_edge.data.thoughts import joined
from srl_edge.data.values import Unusable, as_list
from srl_edge.method.prompt_form import DONE, SAID

_SHELLS = ("bash", "execute_bash", "shell", "run_command", "run_shell_command", "terminal")
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


def is_episode(turns: Any) -> bool:
    """Whether a conversation has calls or tool results; fences alone may be any talk of code."""
    return _has_calls(list(map(turn_of, turns_of(turns))))


def replies(turn: Mapping[str, Any]) -> bool:
    """Whether a turn is an assistant's."""
    return turn_of(turn).role in ASSISTANTS


def is_fenced(turns: Any) -> bool:
    """Whether all that is replied in a conversation, more than once, has a command in a fence."""
    said = [turn_of(turn).text for turn in turns_of(turns) if replies(turn)]
    return len(said) > 1 and all(map(last_fence, said))


def tells_results(turns: Any) -> bool:
    """Whether what a user says after a reply is what came of an action."""
    told = [t.text for t in map(turn_of, turns_of(turns)) if t.role in USERS]
    return any(_RESULT.match(text) for text in told[1:])


def _has_calls(turns: Sequence[Turn]) -> bool:
    return any(
        turn.role in RESULTS or turn.calls or (turn.role in ASSISTANTS and is_marked(turn.text))
        for turn in turns
    )


def of_turns(turns: Any, tools: Sequence[Any] = (), told: str = "") -> Episode:
    """The episode of a conversation; raises Unusable.

    Of a reply that makes no call, its text is the action: what is said to the user. told: what the
    system says, which stands before the task. What a user says later stands behind what came of the
    action before it, and is marked as theirs.
    """
    listed = turns_of(turns)
    require_taught(filter(replies, listed))
    said = [turn_of(each) for turn in listed for each in divided(turn)]
    # Elsewhere a fence is what is shown to the user.
    fences = not _has_calls(said) and (not tools or is_fenced(turns))
    opening = _opening(said)
    actions: list[str] = []
    thoughts: list[str] = []
    observations: list[str] = []
    known = (*tools, *declared_in(told))
    declared = {name for tool in known if (name := name_of(tool))}
    while said:
        made = _taken(said, lambda turn: turn.role in ASSISTANTS)
        before, action, count = _action(made, fences, known)
        if action == DONE and count and actions:  # what follows asks whether it is
            break
        if not action:
            raise Unusable("an action that says nothing")
        require_declared(action, declared)
        came = _taken(said, lambda turn: turn.role not in ASSISTANTS)
        actions.append(action)
        thoughts.append(before)
        called = [each for turn in made for each in ids_of(turn.calls)]
        observations.append(_observation(came, count, called))
    task = "\n\n".join(turn.text for turn in opening if turn.text.strip())
    if not task.strip():
        raise Unusable("no task before the first action")
    task = f"{told}\n\n{task}" if told else task
    return Episode(task, tuple(actions), tuple(thoughts), tuple(observations))


def _taken(turns: list[Turn], wanted: Callable[[Turn], bool]) -> list[Turn]:
    """The first turns that are wanted, which are taken off."""
    found = list(takewhile(wanted, turns))
    del turns[: len(found)]
    return found


def _opening(turns: list[Turn]) -> list[Turn]:
    """What comes before the first action, taken off: what the system says, a greeting, the task."""
    found = _taken(turns, lambda turn: turn.role not in ASSISTANTS)
    if any(turn.role not in SYSTEMS for turn in found):
        return list(dropwhile(lambda turn: turn.role in SYSTEMS, found))
    greeting = list(takewhile(lambda turn: turn.role in ASSISTANTS, turns))
    if len(greeting) == len(turns) or _has_calls(greeting):
        return []
    del turns[: len(greeting)]
    return _opening(turns)


def _observation(turns: Sequence[Turn], count: int, called: Sequence[str]) -> str:
    """What came of an action of so many calls, and then what was said by others.

    called: ids of its calls, in whose order results stand that all name one.
    """
    results: list[Turn] = []
    said: list[str] = []
    in_parts = any(turn.told for turn in turns)
    for turn in turns:
        awaited = not in_parts and len(results) < count
        told = turn.role in USERS and (turn.told or awaited or _RESULT.match(turn.text))
        if turn.role in (*USERS, *SYSTEMS) and not told:
            said += [SAID[turn.role in SYSTEMS] + turn.text] if turn.text else []
            continue
        results.append(turn)
    if len(results) < count and turns:
        raise Unusable("an action without its observation")
    if len({turn.of for turn in results} & set(called)) == len(results):
        results.sort(key=lambda turn: called.index(turn.of))
    return "\n\n".join([*(turn.text for turn in results), *said])


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
    """The episode of a request and the calls that fulfil it, of which no results are known.

    Of none of the tools that there are, where none fits, all that is to do is to say so.
    """
    listed = as_list(made)
    actions = tuple(as_action(call, tools) for call in listed or ())
    declared = {name for tool in tools if (name := name_of(tool))}
    for action in actions:
        require_declared(action, declared)
    if not actions and (listed is None or not tools):
        raise Unusable("no call")
    done = () if actions else ("",)  # nothing comes of it
    return Episode(task if isinstance(task, str) else "", (*actions, DONE), (), done)


def as_action(call: Any, tools: Sequence[Any] = ()) -> str:
    """A call as an action: JSON, or a shell's command by itself; raises Unusable.

    tools: schemas, by which an argument is left out that is null and none of the tool's: tables
    fill the arguments of each call up with those of all others.
    """
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
    command = given.get("command") if function["name"] in _SHELLS else None
    typed = str(given.get("is_input")).lower() == "true"  # into what runs already
    if isinstance(command, str) and not typed:
        return command.strip()
    tool = next((tool for tool in tools if name_of(tool) == function["name"]), None)
    shown = {"name": function["name"], "arguments": dict(unfilled(given, tool))}
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


def _action(turns: Sequence[Turn], fences: bool, tools: Sequence[Any]) -> tuple[str, str, int]:
    """What is said before the action of replies in a row, the action, and how many of them call."""
    before: list[str] = []
    said: list[str] = []
    made: list[str] = []
    for turn in turns:
        before.append(turn.thought)
        if turn.calls:
            before.append(turn.text)
            listed = (calls_in(c) if isinstance(c, str) else [c] for c in turn.calls)
            made.append("\n".join(as_action(call, tools) for part in listed for call in part))
        elif found := action_in(turn.text, fences):
            before.append(found[0])
            action = found[1]
            made.append(
                action
                if isinstance(action, str)
                else "\n".join(as_action(call, tools) for call in action)
            )
        else:
            thought, text = said_in(turn.text)
            before.append(thought)
            said.append(text)
    if made:
        return joined([*before, *said]), "\n".join(made), len(made)
    return joined(before), joined(said), 0
