"""Function calls as models write them: `light.turn_on(room=3)`, or JSON with name and arguments."""

import ast
import json
import re
from itertools import islice
from typing import Any

LONGEST = 20_000  # characters
_TRIES = 30  # names, and closing brackets of each
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
_LIKE = re.compile(r"[A-Za-z_][\w.]*\s*\(")
_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "max", "min", "gcd"}
    | {"lcm", "det", "arcsin", "arccos", "arctan"}
)


_WRAPPED = re.compile(r"</?tool_calls?>|<\|[a-z_]+\|>|\[/?TOOL_CALLS\]|```[a-z]*|`", re.IGNORECASE)
_ARGUMENTS = ("arguments", "parameters", "args", "input", "kwargs")


def parsed(text: str) -> list[Call] | None:
    """The calls of a text that holds nothing else, in order; None for any other text."""
    if len(text) > LONGEST:
        return None
    text = _WRAPPED.sub(" ", text).strip()
    return _from_json(text) if re.match(r"\{|\[\s*\{", text) else _from_python(text)


def same(given: str, answer: str) -> bool:
    """Whether two texts call the same functions with equal arguments.

    Arguments by name have no order, and numbers are compared by value; names and texts exactly.
    """
    mine, theirs = parsed(given), parsed(answer)
    if mine is None or theirs is None:
        return " ".join(given.split()) == " ".join(answer.split())
    try:
        return len(mine) == len(theirs) and all(map(_equal, mine, theirs))
    except RecursionError:
        return False


def last(text: str) -> str | None:
    """The last calls in running text, together where nothing else stands between them."""
    text = _WRAPPED.sub(" ", text[-LONGEST:])
    spans = _json_spans(text) or _python_spans(text)
    if not spans:
        return None
    start, end = spans[-1]
    for earlier, before in reversed(spans[:-1]):
        if text[before:start].strip(" ,;\n\t"):
            break
        start = earlier
    if parsed(found := text[start:end]) is not None:
        return found
    group = [text[a:b] for a, b in spans if start <= a]
    return f"[{', '.join(group)}]"


def _json_spans(text: str) -> list[tuple[int, int]]:
    """Where JSON of calls begins and ends."""
    spans, at, decoder = [], 0, json.JSONDecoder()
    for match in islice(re.finditer(r"\{|\[\s*\{", text), 10 * _TRIES):
        if match.start() < at:
            continue
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if _from_json(text[match.start() : end]) is not None:
            spans.append((match.start(), end))
            at = end
    return spans


def _python_spans(text: str) -> list[tuple[int, int]]:
    """Where calls as in Python begin and end."""
    spans, at = [], 0
    for match in list(_LIKE.finditer(text))[-_TRIES:]:
        if match.start() < at:
            continue
        ends = (match.start() + m.end() for m in re.finditer(r"\)", text[match.start() :]))
        for end in islice(ends, _TRIES):
            if parsed(text[match.start() : end]) is not None:
                spans.append((match.start(), end))
                at = end
                break
    return spans


def _equal(a: Any, b: Any) -> bool:
    """Equality of calls and arguments, in which True is not 1."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _from_python(text: str) -> list[Call] | None:
    if not _LIKE.match(text.lstrip("[")):
        return None
    try:
        lines = [line.value for line in ast.parse(text).body if isinstance(line, ast.Expr)]
        nodes = [n for each in lines for n in (each.elts if isinstance(each, ast.List) else [each])]
        whole = len(lines) == len(ast.parse(text).body)
        return [_call(node) for node in nodes] if whole and nodes else None
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _call(node: ast.expr) -> Call:
    """One call; raises ValueError for what is none, or is mathematics."""
    if not isinstance(node, ast.Call):
        raise ValueError
    name = ast.unparse(node.func)
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise ValueError
    named = {k.arg: _value(k.value) for k in node.keywords if k.arg}
    if len(named) < len(node.keywords):
        raise ValueError
    if (len(name) == 1 or name in _FUNCTIONS) and node.args and not named:
        raise ValueError  # f(2) is mathematics
    return name, tuple(map(_value, node.args)), named


def _value(node: ast.expr) -> Any:
    """An argument: a literal; a name, as models leave quotes out; else what is written."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return {"true": True, "false": False, "null": None}.get(
            written := ast.unparse(node), written
        )


def _from_json(text: str) -> list[Call] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    made = []
    for one in found if isinstance(found, list) else [found]:
        one = one.get("function", one) if isinstance(one, dict) else one
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            return None
        arguments = next((one[key] for key in _ARGUMENTS if key in one), None)
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        if not isinstance(arguments, dict):
            return None
        made.append((one["name"], (), arguments))
    return made
