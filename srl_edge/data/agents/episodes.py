"""What agents did, as their recorders write it: actions, the thought before each, what came of it.

Known: chats with `tool_calls` and tool results (OpenAI, OpenHands, SWE-smith), calls that are
written in the text (`<function=…>`, `<tool_call>`, `<execute_bash>`, the special tokens of other
families that `call_forms` reads), and commands in a fence (SWE-agent). A command of a shell stands
alone, other calls as JSON with name and arguments.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from srl_edge.data.chats import require_taught, turns_of
from srl_edge.data.cutting import enclosed
from srl_edge.data.thoughts import joined, split_thoughts
from srl_edge.data.values import Unusable, as_list
from srl_edge.method import calls
from srl_edge.method.call_forms import BEGINS, unmarked
from srl_edge.method.prompt_form import DONE

_ASSISTANTS = ("assistant", "ai", "gpt", "model", "agent", "function_call")
_SYSTEM = ("system", "developer")
_SHELLS = ("bash", "execute_bash", "shell", "run_command", "run_shell_command", "terminal")
_FENCE, _FENCE_END = (
    re.compile(pattern, re.MULTILINE) for pattern in (r"^[ \t]*```(\w*)[^\n]*\n", r"```[ \t]*$")
)
_OF_SHELLS = ("", "bash", "sh", "shell")
_BASH, _BASH_END = map(re.compile, (r"<execute_(?:bash|ipython)>", r"</execute_(?:bash|ipython)>"))
_CALL = re.compile(
    r"<((?:[a-z]+:)?(?:tool|function)_?calls?)>|<(?:(function)=|(invoke) name=\")[\w.-]+\"?>",
    re.IGNORECASE,
)
_WRAP = re.compile(r"\s*<[\w:]+>\s*\Z")  # around the first call
# GLM's, within <tool_call>.
_KEYED = re.compile(r"\s*([\w.-]+)\s*(?=<arg_key>|\Z)")
_KEY, _KEY_END = map(re.compile, (r"<arg_key>\s*", r"\s*</arg_key>"))
_VALUE, _VALUE_END = map(re.compile, (r"<arg_value>\n?", r"\n?</arg_value>"))
_CHANNEL = re.compile(r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>\w+<\|message\|>")
_FUNCTION, _FUNCTION_END = map(
    re.compile, (r"<(?:function=|invoke name=\")([\w.-]+)\"?>", r"</(?:function|invoke)>")
)
_PARAMETER, _PARAMETER_END = map(
    re.compile, (r"<parameter(?:=| name=\")([\w.-]+)\"?[^<>]*>\n?", r"\n?</parameter>")
)
_TEXTS = frozenset(
    {
        "command",
        "code",
        "content",
        "text",
        "file_text",
        "insert_text",
        "old_str",
        "new_str",
        "old_string",
        "new_string",
    }
)
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
_PARTS = ("text", "image", "image_url")  # that a tool's result may have
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
    return _has_calls(list(map(_turn, turns_of(turns))))


def is_fenced(turns: Any) -> bool:
    """Whether all that is replied in a conversation, more than once, has a command in a fence."""
    replies = [t for t in map(_turn, turns_of(turns)) if t.role in _ASSISTANTS]
    return len(replies) > 1 and all(_fence(turn.text) for turn in replies)


def _has_calls(turns: Sequence[_Turn]) -> bool:
    return any(
        turn.role in ("tool", "function")
        or turn.calls
        or (turn.role in _ASSISTANTS and _marked(turn.text))
        for turn in turns
    )


def of_turns(turns: Any, tools: Sequence[Any] = ()) -> Episode:
    """The episode of a conversation; raises Unusable.

    Of a reply that makes no call, its text is the action: what is said to the user.
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
    declared = {name for tool in tools if (name := _name(tool))}
    while said:
        turn = said.pop(0)
        before, action = _action(turn, fences)
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
    declared = {name for tool in tools if (name := _name(tool))}
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


def require_declared(action: str, declared: Iterable[str]) -> None:
    """Raise Unusable where an action calls what is not among the declared tools, if any are."""
    known = set(declared)
    made = calls.parsed(action) if known and action.startswith("{") else None
    if any(name not in known for name, *_ in made or ()):
        raise Unusable("a call of a tool that is not declared")


def tools_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The schemas that a row declares, in OpenAI's form; () for none."""
    given = _each(row.get("tools")) or _each(row.get("functions"))
    tools = [tool for tool in given if isinstance(tool, Mapping) and _name(tool)]
    return tuple(
        tool if "function" in tool else {"type": "function", "function": _in_openais_words(tool)}
        for tool in tools
    )


def _in_openais_words(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function as OpenAI declares it, where Anthropic's calls its parameters otherwise."""
    return {"parameters" if key == "input_schema" else key: held for key, held in tool.items()}


def _each(value: Any) -> list[Any]:
    """The items of a list, or the one that stands alone; those in a text as JSON are read."""
    if isinstance(value, str):
        listed = as_list(value)
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value) if listed is None else listed
    if isinstance(value, list):
        return [item for each in value for item in _each(each)]
    return [value] if value else []


def _name(tool: Any) -> str:
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else ""


def _turn(turn: Mapping[str, Any]) -> _Turn:
    role = str(turn.get("role") or turn.get("from") or "").lower()
    parts = _parts(turn.get("content"))
    thoughts = [each.get(key) for each in (turn, *parts) for key in _THOUGHTS]
    thought = next((each for each in thoughts if isinstance(each, str)), "")
    found = _each(turn.get("tool_calls")) or _each(turn.get("function_call"))
    found = found or [part for part in parts if part.get("type") == "tool_use"]  # Anthropic's
    text = _text(turn, role not in (*_ASSISTANTS, *_SYSTEM, "user", "human"))
    if role == "function_call":  # LLaMA-Factory's: the call is all that is said
        text, found = "", [text]
    return _Turn(role, text, thought, found)


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
    ]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def _marked(text: str) -> bool:
    made = (*islice(_tagged(text), 1), *islice(enclosed(text, _BASH, _BASH_END), 1))
    return bool(made or _ends_in_calls(text))


def _ends_in_calls(text: str) -> tuple[str, list[Any]] | None:
    """What is said before the calls in special tokens that a text ends with, and these."""
    opened = _CALL.search(text)  # and never closed
    if not (mark := BEGINS.search(text) or opened):
        return None
    made = calls.parsed(text[mark.end() if mark is opened and mark[1] else mark.start() :])
    if not made or any(given for _, given, _ in made):
        return None
    told = _WRAP.sub("", text[: mark.start()])
    before = [part.strip() for part in _CHANNEL.split(told)]
    return joined(before), [{"name": name, "arguments": named} for name, _, named in made]


def _tagged(text: str) -> Iterator[tuple[int, str]]:
    """Where each call in tags stands, and what is between them; of a function the tags as well."""
    at, never_closed = 0, set()
    while start := _CALL.search(text, at):
        kind, at = start[1] or start[2] or start[3], start.end()
        end = -1 if kind in never_closed else text.find(f"</{kind}>", at)
        if end < 0:
            never_closed.add(kind)
            continue
        at = end + len(f"</{kind}>")
        yield start.start(), text[start.end() : end] if start[1] else text[start.start() : at]


def _action(turn: _Turn, fences: bool) -> tuple[str, str]:
    """What is said before an action, and the action; fences: whether one is a command."""
    if turn.calls:
        return turn.text, "\n".join(map(as_action, turn.calls))
    for start, end in enclosed(turn.text, _BASH, _BASH_END):
        return turn.text[: start.start()].strip(), turn.text[start.end() : end.start()].strip()
    if tags := list(_tagged(turn.text)):
        made = [call for _, inner in tags for call in _in_tag(inner)]
        return turn.text[: tags[0][0]].strip(), "\n".join(map(as_action, made))
    if ending := _ends_in_calls(turn.text):
        return ending[0], "\n".join(map(as_action, ending[1]))
    if fences and (fence := _fence(turn.text)):
        return turn.text[: fence[0]].strip(), fence[1]
    said, thoughts = split_thoughts(turn.text)
    return joined([thought for _, thought in thoughts]), said.strip()


def _fence(text: str) -> tuple[int, str] | None:
    """Where the last fence that holds commands of a shell stands, and these."""
    found = None
    for start, end in enclosed(text, _FENCE, _FENCE_END):
        if start[1].lower() in _OF_SHELLS:
            found = start.start(), text[start.end() : end.start()].strip()
    return found


def _in_tag(text: str) -> list[Any]:
    """The calls of a text between tags, as they stand there; raises Unusable."""
    if functions := list(enclosed(text, _FUNCTION, _FUNCTION_END)):
        return [_of_parameters(a[1], text[a.end() : b.start()]) for a, b in functions]
    if keyed := _KEYED.match(text):
        return [_of_keys(keyed[1], text[keyed.end() :])]
    decoder, found, left = json.JSONDecoder(), [], text.strip()
    try:
        while left:  # one after another
            one, end = decoder.raw_decode(left)
            found += one if isinstance(one, list) else [one]
            left = left[end:].lstrip(" ,;\n\t")
    except (ValueError, RecursionError):
        made = calls.parsed(unmarked(text)) or ()
        found = [{"name": name, "arguments": named} for name, given, named in made if not given]
    if not found:
        raise Unusable("a call whose arguments are no JSON")
    return found


def _of_parameters(name: str, inner: str) -> dict[str, Any]:
    """A call with a tag for each argument, or with JSON; texts keep their indentation."""
    parameters = enclosed(inner, _PARAMETER, _PARAMETER_END)
    given = {a[1]: _value(a[1], inner[a.end() : b.start()]) for a, b in parameters}
    return {"name": name, "arguments": given or inner.strip() or {}}


def _of_keys(name: str, inner: str) -> dict[str, Any]:
    """A call with a tag for the name of each argument and one for its value; raises Unusable."""
    keys = [inner[a.end() : b.start()] for a, b in enclosed(inner, _KEY, _KEY_END)]
    values = [inner[a.end() : b.start()] for a, b in enclosed(inner, _VALUE, _VALUE_END)]
    if len(keys) != len(values):
        raise Unusable("an argument without its value")
    given = {key: _value(key, text) for key, text in zip(keys, values, strict=True)}
    return {"name": name, "arguments": given}


def _value(key: str, text: str) -> Any:
    """Tags do not tell 1 from "1": it is read as JSON, but for what is always a text."""
    if key in _TEXTS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text.strip(), text)
