"""Tools for templates that have no place for them, and how such a template is told from others."""

import json
from collections.abc import Sequence
from typing import Any

MARK = "srl-edge marks this"
# A tool that tells whether there is a place for some.
_ONE = {"type": "object", "properties": {"x": {"type": "string", "description": "What."}}}
PROBE = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": MARK,
                "description": "Do.",
                "parameters": _ONE | {"required": ["x"]},
            },
        }
    ]
}
_TOOLS = "You may call these functions:"  # where a template has no place for them


def told_of(tools: Sequence[Any], turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A chat whose system's text ends with the functions that may be called, one a line."""
    lines = (json.dumps(tool, ensure_ascii=False, default=str) for tool in tools)
    text = "\n".join([_TOOLS, *lines])
    if turns and turns[0]["role"] == "system":
        before, turns = turns[0].get("content"), turns[1:]
        text = f"{before}\n\n{text}" if before else text
    return [{"role": "system", "content": text}, *turns]
