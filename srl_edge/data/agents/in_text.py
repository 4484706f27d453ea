"""Actions in the text of a reply: calls in tags and marks, commands, ReAct's lines."""

import ast
import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from srl_edge.data.cutting import enclosed
from srl_edge.data.thoughts import joined, split_thoughts
from srl_edge.data.values import Unusable
from srl_edge.method import calls
from srl_edge.method.call_forms import BEGINS, unmarked
from srl_edge.method.prompt_form import DONE

_FENCE, _FENCE_END = (
    re.compile(pattern, re.MULTILINE) for pattern in (r"^[ \t]*```(\w*)[^\n]*\n", r"```[ \t]*$")
)
_OF_SHELLS = ("", "bash", "sh", "shell", "mswea_bash_command")
_BASH, _BASH_END = map(
    re.compile, (r"<execute(?:_bash|_ipython)?>", r"</execute(?:_bash|_ipython)?>")
)
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
# ReAct's lines, and its last words.
_REACT = re.compile(
    r"^[ \t*]*Action:[ \t*`]{0,9}([^\n`*]{1,100}?)[ \t*`]{0,9}\n+[ \t*]*Action Input:[ \t*]*",
    re.MULTILINE | re.IGNORECASE,
)
_OBSERVED = re.compile(r"^[ \t*]*Observation:", re.MULTILINE | re.IGNORECASE)
_THOUGHT = re.compile(r"\A[\s*]*Thought:[ \t*]*", re.IGNORECASE)
_FINAL = re.compile(r"^[ \t*]*Final Answer:[ \t*]*", re.MULTILINE | re.IGNORECASE)
_LISTED = re.compile(r"\s*\[[\w./&' -]+\(.*\)\s*\]\s*\Z", re.DOTALL)  # ToolACE's
_OBJECT = re.compile(r'\{\s*"')
_FENCE_MARK = re.compile(r"\A\s*```[ \t]*$|^[ \t]*```(?:json)?\s*\Z", re.MULTILINE)
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


def is_marked(text: str) -> bool:
    """Whether a reply has an action in marks of some kind; a fence alone is none."""
    made = (*islice(_tagged(text), 1), *islice(enclosed(text, _BASH, _BASH_END), 1))
    listed = _is_list(text) or _keystrokes(text)
    return bool(made or _ends_in_calls(text) or _REACT.search(text) or listed)


def action_in(text: str, fences: bool) -> tuple[str, str | list[Any]] | None:
    """What is said before the action of a reply, and its command or calls; None for a reply that
    has none. fences: whether one is a command. Raises Unusable.
    """
    for start, end in enclosed(text, _BASH, _BASH_END):
        return text[: start.start()].strip(), text[start.end() : end.start()].strip()
    if tags := list(_tagged(text)):
        made = [call for _, inner in tags for call in _in_tag(inner)]
        return text[: tags[0][0]].strip(), made
    if ending := _ends_in_calls(text):
        return ending
    if line := _REACT.search(text):
        before = _THOUGHT.sub("", text[: line.start()]).strip()
        return before, [{"name": line[1], "arguments": _arguments(text[line.end() :])}]
    if typed := _keystrokes(text):
        return typed
    if _is_list(text):
        return "", text.strip()
    if fences and (fence := last_fence(text)):
        return text[: fence[0]].strip(), fence[1]
    return None


def _is_list(text: str) -> bool:
    """Whether a reply is a list of calls as in Python, which stay as the row's task wants them."""
    return bool(_LISTED.match(text)) and calls.parsed(text) is not None


def said_in(text: str) -> tuple[str, str]:
    """What is thought in a reply without an action, and what is said to the user."""
    said, thoughts = split_thoughts(text)
    before = [thought for _, thought in thoughts]
    if (last := _FINAL.search(said)) and (_THOUGHT.match(said) or not said[: last.start()].strip()):
        before.append(_THOUGHT.sub("", said[: last.start()]).strip())
        said = said[last.end() :]
    return joined(before), said.strip()


def calls_in(text: str) -> list[Any]:
    """The calls of a text that is there to make them; raises Unusable."""
    try:
        return _in_tag(text)
    except Unusable:
        made = calls.parsed(calls.last(text) or "")
        if not made or any(given for _, given, _ in made):
            raise
        return [{"name": name, "arguments": named} for name, _, named in made]


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


def last_fence(text: str) -> tuple[int, str] | None:
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


def _arguments(text: str) -> Any:
    """What follows `Action Input:`; raises Unusable."""
    given, *told = (part.strip() for part in _OBSERVED.split(text))
    if any(told):
        raise Unusable("a reply that tells what came of its own action")
    given = fenced[1] if (fenced := _FENCED.match(given)) else given.strip("`")
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            if isinstance(found := read(given), Mapping):
                return found
    raise Unusable("a call whose arguments are no JSON")


def _keystrokes(text: str) -> tuple[str, str] | None:
    """What Terminus says and types in a reply that holds its JSON."""
    if '"commands"' not in text:
        return None
    body, thoughts = split_thoughts(text)
    if not (start := _OBJECT.search(body)):
        return None
    try:
        said, end = json.JSONDecoder().raw_decode(body, start.start())
    except (ValueError, RecursionError):
        return None
    made = said.get("commands")
    if not isinstance(made, list):
        return None
    typed = [each.get("keystrokes") for each in made if isinstance(each, Mapping)]
    texts = [text for text in typed if isinstance(text, str)]
    if len(texts) < len(made):
        return None
    around = (_FENCE_MARK.sub("", part).strip() for part in (body[: start.start()], body[end:]))
    told = [*(t for _, t in thoughts), *around, *(v for v in said.values() if isinstance(v, str))]
    complete = any(said.get(key) is True for key in ("task_complete", "is_task_complete"))
    if complete and not any(texts):
        return joined(told), DONE
    return joined(told), _typed(made, texts)


def _typed(made: list[Any], texts: list[str]) -> str:
    """Commands as a shell takes them; keys such as C-c and waits as the JSON that they are."""
    command = "".join(texts).strip()
    if command and all(text.endswith("\n") for text in texts[:-1]):
        return command
    return "\n".join(json.dumps(each, ensure_ascii=False) for each in made)
