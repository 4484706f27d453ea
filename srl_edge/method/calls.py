"""Function calls as models write them: `light.turn_on(room=3)`, or JSON with name and arguments."""

import ast
import json
import keyword
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from srl_edge.method.call_forms import named, out_of_tex, plainly, unmarked, without_marks_around

LONGEST = 20_000  # characters
_TRIES = 30  # names, and closing brackets of each
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
_LIKE = re.compile(r"[A-Za-z_][\w.]*\s*\(")
_IN_TEXT = re.compile(r"[A-Za-z_][\w.]*\(")  # "days (optional)" is none
_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "max", "min", "gcd"}
    | {"lcm", "det", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log2", "log10", "cbrt"}
)


_ARGUMENTS = (
    *("arguments", "parameters", "params", "args", "input", "kwargs"),
    *("tool_arguments", "tool_input", "action_input"),
)
_NAMES = ("name", "function", "function_name", "tool", "tool_name")
_NAMES_BESIDE = ("action", "api")  # only where arguments stand beside
_SPACE = "functions."  # where OpenAI's models have their tools
_BESIDE = frozenset({"type", "id", "index", *_NAMES})  # what a call without arguments may have


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """What is written as JSON or as a Python literal at a place, and where it ends, or ValueError.

    JSON in single quotes, as Glaive's arguments are, is a text of a Python literal.
    """
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        if not _DICTIONARY.match(text, at):
            raise
        end = _closed(text, at)
        try:
            return ast.literal_eval(_CONSTANTS.sub(_constant, text[at:end])), end
        except (SyntaxError, TypeError, MemoryError) as error:
            raise ValueError from error


def _closed(text: str, at: int) -> int:
    """Where what is opened at a place is closed, or ValueError."""
    depth = 0
    for match in _BRACKETS.finditer(text, at):
        depth += (match[0] in "[{") - (match[0] in "]}")
        if not depth:
            return match.end()
        if depth > _DEEP:
            break
    raise ValueError


_DICTIONARY = re.compile(r"""(?:\[\s*)?\{\s*(['"])[\w.-]+\1\s*:""")


def _constant(match: re.Match[str]) -> str:
    """JSON's constants as Python's, and texts as they are."""
    return {"true": "True", "false": "False", "null": "None"}.get(match[0], match[0])


_KEPT = "kept__"  # before names of arguments that Python keeps for itself


def _as_python(match: re.Match[str]) -> str:
    return _KEPT + match["kept"] if match["kept"] else _constant(match)


_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_BEGUN = re.compile(rf"\s*(?:{_DICTIONARY.pattern}|\[\s*[A-Za-z_][\w.]*\(\s*[A-Za-z_]\w*=)")
_CONSTANTS = re.compile(rf"{_TEXT}|\b(?:true|false|null)\b", re.DOTALL)
_WORDS = re.compile(
    rf"{_CONSTANTS.pattern}|(?<=[(,\s])(?P<kept>{'|'.join(keyword.kwlist)})(?=\s?=(?!=))", re.DOTALL
)
_BRACKETS = re.compile(rf"{_TEXT}|[\[\]{{}}]", re.DOTALL)
_DEEP = 30  # brackets in each other


def parsed(text: str) -> list[Call] | None:
    """The calls of a text that holds nothing else, in order; None for any other text."""
    if len(text) > LONGEST:
        return None
    # What stands in an argument is no mark, where the text can be read with it.
    forms = (text, without_marks_around(text), unmarked(text), out_of_tex(text))
    for form in dict.fromkeys(form.strip() for form in forms):
        made = _from_json(form) if re.match(r"\{|\[\s*\{", form) else _from_python(form)
        if made is not None:
            return made
    return None


def begun(text: str) -> bool:
    """Whether a text begins as calls in JSON do, or as a list of calls in Python does."""
    return bool(_BEGUN.match(text))


def same(given: str, answer: str) -> bool:
    """Whether two texts call the same functions with equal arguments.

    Calls that are made together have no order, nor have arguments by name; numbers are compared by
    value, names and texts exactly.
    """
    mine, theirs = parsed(given), parsed(answer)
    if mine is None or theirs is None:
        return " ".join(given.split()) == " ".join(answer.split())
    try:
        for call in mine:
            at = next((at for at, other in enumerate(theirs) if _equal(call, other)), None)
            if at is None:
                return False
            theirs = [*theirs[:at], *theirs[at + 1 :]]
    except RecursionError:
        return False
    return not theirs


def last(text: str) -> str | None:
    """The last calls in running text, together where nothing else stands between them.

    Calls on lines of their own come before those that a sentence speaks of.
    """
    text = unmarked(text[-LONGEST:])
    spans = _json_spans(text) or _python_spans(text)
    spans = [span for span in spans if _fills_lines(text, *span)] or spans
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


def _fills_lines(text: str, start: int, end: int) -> bool:
    """Whether nothing but other marks stands on the lines of a span."""
    before = text[:start].rsplit("\n", 1)[-1]
    return not (before + text[end:].split("\n", 1)[0]).strip(" ,;[]*-#.\t")


def _json_spans(text: str) -> list[tuple[int, int]]:
    """Where JSON of calls begins and ends."""
    spans, at = [], 0
    for match in islice(re.finditer(r"\{|\[\s*\{", text), 10 * _TRIES):
        if match.start() < at:
            continue
        try:
            _, end = _decoded(text, match.start())
        except (ValueError, RecursionError):
            continue
        if _from_json(text[match.start() : end]) is not None:
            spans.append((match.start(), end))
            at = end
    return spans


def _python_spans(text: str) -> list[tuple[int, int]]:
    """Where calls as in Python begin and end."""
    spans, at = [], 0
    for match in list(_IN_TEXT.finditer(text))[-_TRIES:]:
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
    text = plainly(text)
    if not _LIKE.match(text.lstrip("[ \n\t")):
        return None
    try:
        body = ast.parse(_WORDS.sub(_as_python, text)).body
        lines = [line.value for line in body if isinstance(line, ast.Expr)]
        nodes = [n for each in lines for n in (each.elts if isinstance(each, ast.List) else [each])]
        return [_call(node) for node in nodes] if nodes and len(lines) == len(body) else None
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _call(node: ast.expr) -> Call:
    """One call; raises ValueError for what is none, or is mathematics."""
    if not isinstance(node, ast.Call):
        raise ValueError
    if isinstance(node.func, ast.Name) and node.func.id == "print" and len(node.args) == 1:
        return _call(node.args[0])  # how Gemma is told to write tool code
    name = ast.unparse(node.func)
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name) or (named(name) != name and node.args):
        raise ValueError
    given = {k.arg.removeprefix(_KEPT): _value(k.value) for k in node.keywords if k.arg}
    if len(given) < len(node.keywords):
        raise ValueError
    if (
        (len(name) == 1 or re.sub(r"_(?:\d+|e)$", "", name) in _FUNCTIONS)
        and node.args
        and not given
    ):
        raise ValueError  # f(2) is mathematics
    return named(name).removeprefix(_SPACE), tuple(map(_value, node.args)), given


def _value(node: ast.expr) -> Any:
    """An argument: a literal; a name, as models leave quotes out; else what is written."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return named(ast.unparse(node).replace(_KEPT, ""))


def _is_named(one: dict[Any, Any]) -> bool:
    """Whether a dictionary is a function's name and its arguments, as in BFCL's records."""
    [name, *others] = one or [None]
    return (
        not others
        and isinstance(name, str)
        and name not in (*_NAMES, *_ARGUMENTS)
        and re.fullmatch(r"[A-Za-z_][\w.]*", name) is not None
        and isinstance(one[name], dict)
    )


def _opened(found: list[Any]) -> Iterator[Any]:
    """What is found, without the turns and records that calls stand in."""
    for one in found:
        held = one.get("tool_calls") if isinstance(one, dict) else None
        for each in held if held and isinstance(held, list) else [one]:
            match each:
                case {"function_call": {"name": str()} as call} | {"function": {} as call}:
                    yield call
                case _:
                    yield each


def _from_json(text: str) -> list[Call] | None:
    made: list[Call] = []
    found: list[Any] = []
    at = 0
    try:
        while at < len(text):  # one after another, or a list of them
            one, end = _decoded(text, at)
            found += one if isinstance(one, list) else [one]
            at = len(text) - len(text[end:].lstrip(" ,;\n\t"))
    except (ValueError, RecursionError):
        return None
    for one in _opened(found):
        if not isinstance(one, dict):
            return None
        if _is_named(one):  # {"f": {"x": 1}}
            [(name, arguments)] = one.items()
            made.append((name, (), arguments))
            continue
        key = next((key for key in _ARGUMENTS if key in one), None)
        names = _NAMES if key is None else (*_NAMES, *_NAMES_BESIDE)
        name = next((one[each] for each in names if each in one), None)
        if not isinstance(name, str) or (key is None and one.keys() - _BESIDE):
            return None
        arguments = {} if key is None or one[key] is None else one[key]
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        if not isinstance(arguments, dict):
            return None
        made.append((name.removeprefix(_SPACE), (), arguments))
    return made
