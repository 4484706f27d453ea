# ruff: noqa: RUF001 - DeepSeek's tokens have a wide bar
"""Function calls in the marks of one family of models each, as the JSON that they mean."""

import json
import re
from typing import Any

# gpt-oss's channel to a function, with the end of what was said before it.
CHANNEL = (
    r"(?:<\|end\|>)?(?:(?:<\|start\|>)?assistant)?(?:(?:<\|channel\|>)?(?:commentary|analysis))?"
    r"\s{0,9}\bto=(?:functions\.)?([\w.-]+)\s*(?:<\|channel\|>(?:commentary|analysis)\s*)?"
    r"(?:<\|constrain\|>)?\s*(?:(?:json|code)?\s*<\|message\|>|json(?=\s*\{))"
)
# Mistral's f[ARGS]{…}, Llama's <function=f>{…}</function>, DeepSeek's begin and separator, Kimi's,
# and ReAct's lines.
_NAMED = re.compile(
    r"(?:\b([\w.-]+)(?:\[CALL_ID\][\w-]{1,64})?\[ARGS\]|<function=([\w.-]+)>"
    r"|<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?"
    r"|(?:<\|tool_call_begin\|>)?\s*(?:\bfunctions\.)?\b([\w.-]+)(?::\d+)?\s*"
    r"<\|tool_call_argument_begin\|>"
    r"|(?m:^)[ \t*]{0,9}Action:[ \t*`]{0,9}([\w.-]+)[ \t`]{0,9}\n[ \t*]{0,9}Action Input:\**"
    rf"|{CHANNEL})\s*(?:```json\s*)?(?=\{{)"
)
_HAS_NAMED = re.compile(r"\[ARGS\]|<function=|｜|argument_begin\|>|\bto=|Action Input:")
# Qwen3-Coder's and MiniMax's, with a tag for each argument.
_TAGGED = re.compile(
    r"<(?:function=|invoke name=\")([\w.-]+)\"?>\s*"
    r"((?:<parameter\b(?:(?!</parameter>|<function=|<invoke ).)*</parameter>\s*)*)"
    r"</(?:function|invoke)>",
    re.DOTALL,
)
# GLM's, with tags for the names of arguments as well.
_KEYED = re.compile(
    r"<tool_call>\s*([\w.-]+)\s*((?:<arg_key>(?:(?!</arg_value>|<tool_call>).)*</arg_value>\s*)*)"
    r"(?:</tool_call>|\Z)",
    re.DOTALL,
)
_ARGUMENT = re.compile(
    r"<arg_key>\s*([^<]*?)\s*</arg_key>\s*<arg_value>\s*(.*?)\s*</arg_value>", re.DOTALL
)
_PARAMETER = re.compile(
    r"<parameter(?:=| name=\")([\w.-]+)\"?([^<>]*)>\s*(.*?)\s*</parameter>", re.DOTALL
)
# FunctionGemma's call:f{x:<escape>text<escape>,n:1}, and Gemma 4's with <|"|> for <escape>.
_BARE = re.compile(r"\bcall:([\w.-]+)(\{.*?)(?=<end_function_call>|<tool_call\|>|\n|$)", re.DOTALL)
_KEY = re.compile(r"(?<=[{,])\s*([A-Za-z_]\w*)\s*:")
_MARK = (
    r"</?(?:[a-z]+:)?tool_calls?>|<\|tool_call>|<tool_call\|>"
    r"|</?function(?:=[\w.-]+|_?calls?)?>|</?(?:start|end)_function_call>"
    r"|<｜[^｜\n]{1,40}｜>|<\|/?[a-z_]+\|>|</s>|<eos>|<end_of_turn>|\[/?TOOL_CALLS\]"
    r"|```[a-z_]*|\*\*(?=`)|(?<=`)\*\*|`"
)
# What stands in quotes is an argument's.
_MARKS = re.compile(rf'"(?:[^"\\\n]|\\.)*"?|{_MARK}', re.IGNORECASE)
_BEFORE_A_LINE = re.compile(rf"^(?:[ \t]*(?:{_MARK}))+[ \t]*", re.IGNORECASE | re.MULTILINE)
_AROUND = re.compile(rf"\A(?:\s|{_MARK})+|(?:\s|{_MARK})+\Z", re.IGNORECASE)
# Where what models put before their calls begins.
SPECIAL = re.compile(
    r"<\|tool_call>|<｜DSML｜(?:function_calls|invoke)\b"
    r"|<\|tool_calls?(?:_start|_begin|_section_begin)?\|>|\[TOOL_CALLS\]|<start_function_call>"
    rf"|<\|python_tag\|>|<｜tool▁calls?▁begin｜>|{CHANNEL}"
)
BEGINS = re.compile(rf"<(?:[a-z]+:)?tool_call>|<function=|<invoke name=|{SPECIAL.pattern}")
# The number or the mark of a list before a call.
_ITEM = re.compile(
    r"^[ \t]*(?:(?:(?:step|call|action) ?)?\d{1,3}[.):]|[-*•])[ \t]+"
    r"(?=(?:\*\*)?`|[A-Za-z_][\w.]*\(|\[?\{|<)",
    re.IGNORECASE | re.MULTILINE,
)


def without_marks_around(text: str) -> str:
    """A text without the marks at its beginning and its end, whatever its arguments hold."""
    return _AROUND.sub("", text)


# Names in a list of calls that Python does not take, as ToolACE's: [Market Trends API(x=1)].
_ODD = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
    r"|(?:(?<=^\[)|(?<=,))(\s*)([\w./-]+(?: [\w./&'-]+){0,9})(?=\()",
    re.DOTALL,
)
_HELD = "named__"  # before what stands for such a name


def plainly(text: str) -> str:
    """A list of calls with names that Python takes; `named` gives those that were written."""

    def held(match: re.Match[str]) -> str:
        if not match[2] or re.fullmatch(r"[A-Za-z_][\w.]*", match[2]):
            return match[0]
        return f"{match[1]}{_HELD}{match[2].encode().hex()}"

    return _ODD.sub(held, text) if text.startswith("[") else text


def named(text: str) -> str:
    """A text with the names that stood where `plainly` put others."""
    return re.sub(rf"{_HELD}((?:[0-9a-f]{{2}})+)", lambda m: bytes.fromhex(m[1]).decode(), text)


def out_of_tex(text: str) -> str:
    r"""A call that stands in \text{…} or has `\_` for `_`, as in a box, as it is without them."""
    held = _IN_TEX.fullmatch(text.strip())
    return (held[1] if held else text).replace(r"\_", "_")


_IN_TEX = re.compile(r"\\(?:text(?:tt|rm|bf)?|math(?:tt|rm))\s*\{(.*)\}", re.DOTALL)


def unmarked(text: str) -> str:
    """A text whose calls are JSON or Python, without what its model puts around them."""
    text = _ITEM.sub("", text)
    if "｜DSML｜" in text:  # DeepSeek's tags since V3.2
        text = text.replace("<｜DSML｜", "<").replace("</｜DSML｜", "</")
    if "<function=" in text or "<invoke " in text:
        text = _TAGGED.sub(_of_tags, text)
    if "<tool_call>" in text:
        text = _KEYED.sub(_of_keys, text)
    if "call:" in text:
        text = _BARE.sub(lambda found: f"{found[1]}[ARGS]{_quoted(found[2])}", text)
    if _HAS_NAMED.search(text):
        text = _with_arguments(text)
    text = _BEFORE_A_LINE.sub("", text)
    return _MARKS.sub(lambda found: found[0] if found[0][0] == '"' else " ", text)


def _of_tags(match: re.Match[str]) -> str:
    arguments = {
        key: value if 'string="true"' in tag else _literal(value)
        for key, tag, value in _PARAMETER.findall(match[2])
    }
    return json.dumps({"name": match[1], "arguments": arguments})


def _of_keys(match: re.Match[str]) -> str:
    arguments = {key: _literal(value) for key, value in _ARGUMENT.findall(match[2])}
    if not arguments and not match[0].endswith("</tool_call>"):
        return match[0]  # it is only begun
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
    """Arguments of FunctionGemma and Gemma 4 as JSON: names and texts in quotes."""
    parts = text.replace('<|"|>', "<escape>").split("<escape>")
    return "".join(
        json.dumps(part) if at % 2 else _KEY.sub(r'"\1":', part) for at, part in enumerate(parts)
    )
