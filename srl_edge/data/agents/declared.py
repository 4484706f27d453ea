"""The functions that a row declares, in columns and turns of its own or in its system's text."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from srl_edge.data.chats import turns_of
from srl_edge.data.values import Unusable, as_list, as_written
from srl_edge.method import calls

_HOLDERS = ("metadata", "chat_template_kwargs")  # columns that may hold what is declared
_DECLARED = ("tools", "functions", "xml_tools", "available_tools")
_TYPES = {
    **{"str": "string", "string": "string", "int": "integer", "integer": "integer"},
    **{"float": "number", "number": "number", "bool": "boolean", "boolean": "boolean"},
    **{"list": "array", "tuple": "array", "set": "array", "array": "array"},
    **{"dict": "object", "object": "object", "none": "null", "null": "null"},
}
_TRIES = 100  # places where JSON may begin


def require_declared(action: str, declared: Iterable[str]) -> None:
    """Raise Unusable where an action calls what is not among the declared tools, if any are."""
    known = set(declared)
    made = calls.parsed(action) if known and action.startswith(("{", "[")) else None
    if any(name not in known for name, *_ in made or ()):
        raise Unusable("a call of a tool that is not declared")


def tools_of(row: Mapping[str, Any], turns: Any = None) -> tuple[Any, ...]:
    """The schemas that a row declares, or a turn of its chat, in OpenAI's form; () for none."""
    inside = [held for column in _HOLDERS for held in items(row.get(column))]
    holders = [held for held in (row, *inside, *turns_of(turns)) if isinstance(held, Mapping)]
    found = (items(holder.get(key)) for holder in holders for key in _DECLARED)
    given: list[Any] = next(filter(None, found), [])
    given = as_written({"": given}, {})[""]  # of a table: each may have the members of all
    tools = [tool for tool in given if isinstance(tool, Mapping) and name_of(tool)]
    return tuple(
        {"type": "function", **tool, "function": _in_openais_words(tool["function"])}
        if "function" in tool
        else {"type": "function", "function": _in_openais_words(tool)}
        for tool in tools
    )


def _in_openais_words(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function as OpenAI declares it: Anthropic's calls its parameters otherwise, and xLAM's have
    no schema around them, without which templates show none.
    """
    said = {"parameters" if key == "input_schema" else key: held for key, held in tool.items()}
    taken = said.get("parameters")
    if isinstance(taken, Mapping):
        bare = taken and all(isinstance(held, Mapping) for held in taken.values())
        if bare and "properties" not in taken:
            taken = {"type": "object", "properties": taken}
        said["parameters"] = _in_jsons_words(taken)
    return said


def _in_jsons_words(schema: Any) -> Any:
    """A schema with JSON's types for Python's: `str, optional` is a string."""
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    if isinstance(kind := found.get("type"), str) and kind not in _TYPES.values():
        known = _TYPES.get(re.split(r"\W", kind.strip().lower())[0])
        found |= {"type": known} if known else {}
        if not known:
            del found["type"]
    if isinstance(inside := found.get("properties"), Mapping):
        found["properties"] = {name: _in_jsons_words(held) for name, held in inside.items()}
    if "items" in found:
        found["items"] = _in_jsons_words(found["items"])
    return found


def items(value: Any) -> list[Any]:
    """The items of a list, or the one that stands alone; those in a text as JSON are read."""
    if isinstance(value, str):
        listed = as_list(value)
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value) if listed is None else listed
    if isinstance(value, list):
        return [item for each in value for item in items(each)]
    return [value] if value else []


def name_of(tool: Any) -> str:
    """The name of a declared function; '' for what is none."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else ""


def unfilled(given: Any, tool: Any) -> Any:
    """The arguments of a call without nulls that a table filled them up with.

    Those are of no name that the tool has. tool: its schema; None where it is not known.
    """
    if tool is None:
        return given
    inner = tool.get("function", tool)
    taken = inner.get("parameters", inner.get("input_schema"))
    return _unfilled(given, {"properties": {}, **(taken if isinstance(taken, Mapping) else {})})


def _unfilled(given: Any, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return given
    if isinstance(given, list):
        return [_unfilled(each, schema.get("items")) for each in given]
    known = schema.get("properties")
    if not isinstance(given, Mapping) or not isinstance(known, Mapping):
        return given
    named = {key: held for key, held in given.items() if held is not None or key in known}
    return {key: _unfilled(held, known.get(key)) for key, held in named.items()}


def declared_in(text: str) -> list[Any]:
    """The functions whose schemas stand in a text as JSON."""
    return [tool for *_, tools in schemas_in(text) for tool in tools]


def schemas_in(text: str) -> Iterator[tuple[int, int, list[Any]]]:
    """Where JSON that holds schemas of functions begins and ends in a text, and these."""
    at, decoder = 0, json.JSONDecoder()
    for match in islice(re.finditer(r"\[\s*\{|\{", text), _TRIES):
        if match.start() < at:
            continue
        with contextlib.suppress(ValueError, RecursionError):
            value, at = decoder.raw_decode(text, match.start())
            if found := [tool for tool in items(value) if _is_schema(tool)]:
                yield match.start(), at, found


def _is_schema(tool: Any) -> bool:
    inner = tool.get("function", tool) if name_of(tool) else {}
    taken = inner.get("parameters")  # a call may have its arguments by that name
    typed = isinstance(taken, Mapping) and ("properties" in taken or "type" in taken)
    return typed or "description" in inner or "input_schema" in inner
