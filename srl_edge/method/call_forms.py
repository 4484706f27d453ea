# ruff: noqa: RUF001 - DeepSeek's tokens have a wide bar
"""Function calls in the marks of one family of models each, as the JSON that they mean."""

import json
import re
from typing import Any

# Mistral's f[ARGS]{…}, Llama's <function=f>{…}</function>, DeepSeek's begin and separator.
_NAMED = re.compile(
    r"(?:\b([\w.-]+)\[ARGS\]|<function=([\w.-]+)>"
    r"|<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?)"
    r"\s*(?:```json\s*)?(?=\{)"
)
# Qwen3-Coder's, with a tag for each argument.
_TAGGED = re.compile(
    r"<function=([\w.-]+)>\s*"
    r"((?:<parameter=(?:(?!</parameter>|<function=).)*</parameter>\s*)*)</function>",
    re.DOTALL,
)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\s*(.*?)\s*</parameter>", re.DOTALL)
# FunctionGemma's call:f{x:<escape>text<escape>,n:1}
_BARE = re.compile(r"\bcall:([\w.-]+)(\{.*?)(?=<end_function_call>|\n|$)", re.DOTALL)
_KEY = re.compile(r"(?<=[{,])\s*([A-Za-z_]\w*)\s*:")
_MARKS = re.compile(
    r"</?tool_calls?>|</?function(?:=[\w.-]+)?>|</?(?:start|end)_function_call>|<｜[^｜\n]{1,40}｜>"
    r"|<\|[a-z_]+\|>|\[/?TOOL_CALLS\]|```[a-z_]*|`",
    re.IGNORECASE,
)


def unmarked(text: str) -> str:
    """A text whose calls are JSON or Python, without what its model puts around them."""
    if "<function=" in text:
        text = _TAGGED.sub(_of_tags, text)
    if "call:" in text:
        text = _BARE.sub(lambda found: f"{found[1]}[ARGS]{_quoted(found[2])}", text)
    if "[ARGS]" in text or "<function=" in text or "｜" in text:
        text = _with_arguments(text)
    return _MARKS.sub(" ", text)


def _of_tags(match: re.Match[str]) -> str:
    arguments = {key: _literal(value) for key, value in _PARAMETER.findall(match[2])}
    return json.dumps({"name": match[1], "arguments": arguments})


def _literal(text: str) -> Any:
    """A value as JSON reads it, or the text: tags do not tell 1 from "1"."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text, text)


def _with_arguments(text: str) -> str:
    """A text in which a name before the JSON of its arguments is JSON as well."""
    parts, at, decoder = [], 0, json.JSONDecoder()
    for match in _NAMED.finditer(text):
        try:
            arguments, end = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        if match.start() >= at:
            call = {"name": next(filter(None, match.groups())), "arguments": arguments}
            parts += [text[at : match.start()], json.dumps(call)]
            at = end
    return "".join([*parts, text[at:]])


def _quoted(text: str) -> str:
    """FunctionGemma's arguments as JSON: names and texts in quotes."""
    parts = text.split("<escape>")
    return "".join(
        json.dumps(part) if at % 2 else _KEY.sub(r'"\1":', part) for at, part in enumerate(parts)
    )
