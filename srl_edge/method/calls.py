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


def parsed(text: str) -> list[Call] | None:
    """The calls of a text that holds nothing else, in order; None for any other text."""
    text = text.strip().strip("`").strip()
    if len(text) > LONGEST:
        return None
    return _from_json(text) if text.startswith(("{", "[{")) else _from_python(text)


def same(given: str, answer: str) -> bool:
    """Whether two texts call the same functions with equal arguments.

    Arguments by name have no order, and numbers are compared by value; names and texts exactly.
    """
    mine, theirs = parsed(given), parsed(answer)
    if mine is None or theirs is None:
        return " ".join(given.split()) == " ".join(answer.split())
    return len(mine) == len(theirs) and all(map(_equal, mine, theirs))


def last(text: str) -> str | None:
    """The last call in running text, as it is written there."""
    text = text[-LONGEST:]
    for match in islice(reversed(list(_LIKE.finditer(text))), _TRIES):
        ends = (m.end() for m in re.finditer(r"\)", text[match.start() :]))
        for end in islice(ends, _TRIES):
            written = text[match.start() : match.start() + end]
            if parsed(written) is not None:
                return written
    return None


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
        body = ast.parse(text, mode="eval").body
        nodes = body.elts if isinstance(body, ast.List) else [body]
        return [_call(node) for node in nodes]
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
        arguments = one.get("arguments", one.get("parameters", {}))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        if not isinstance(arguments, dict):
            return None
        made.append((one["name"], (), arguments))
    return made
