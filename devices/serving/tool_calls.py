"""The tool calls of a reply, in whichever form its model writes them."""

import json
import re
from collections.abc import Sequence
from typing import Any

from srl_edge.method import calls
from srl_edge.method.call_forms import BEGINS

# Where calls begin, in marks of their model or in a fence.
_MARK = re.compile(rf"{BEGINS.pattern}|```(?:json|tool_code|tool_call|python)?\s*(?=[\[{{\w])")


def divided(answer: str, tools: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The text of an answer without its calls, and the calls as name and arguments.

    Only calls of tools that were offered count; anything else stays text.
    """
    known = {tool["function"]["name"]: tool["function"] for tool in tools}
    mark = _MARK.search(answer)
    for at in dict.fromkeys((0, *([mark.start()] if mark else []))):
        if found := _known(calls.parsed(answer[at:]), known):
            return answer[:at].strip(), found
    last = calls.last(answer)
    if last and (found := _known(calls.parsed(last), known)):
        before, _, after = answer.partition(last)
        said = (before.strip(), after.strip()) if after != answer else (answer.strip(),)
        return "\n".join(part for part in said if part), found
    return answer, []


def _known(found: list[calls.Call] | None, known: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls as OpenAI's clients read them, if every one is of a known tool."""
    if not found or not all(name in known for name, _, _ in found):
        return []
    return [
        {"name": name, "arguments": json.dumps(_named(values, known[name]) | named, default=str)}
        for name, values, named in found
    ]


def _named(values: Sequence[Any], function: dict[str, Any]) -> dict[str, Any]:
    """Arguments that were given by place, by the names that the tool declares in that order."""
    properties = (function.get("parameters") or {}).get("properties") or {}
    return dict(zip(properties, values, strict=False))
