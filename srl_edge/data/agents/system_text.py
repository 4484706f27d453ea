"""What an agent's system says: policies, dates, functions in words; the prompt needs it as well."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srl_edge.data.agents.declared import declared_in, name_of, schemas_in
from srl_edge.data.agents.turns import SYSTEMS, turn_of
from srl_edge.data.chats import turns_of

_COLUMNS = ("system", "system_prompt")
_KIND = r"(?:helpful|useful|friendly|honest|respectful|harmless|capable|language|ai|and|,|\s)+"
# What chat templates say by themselves, and others in these words.
_POLITE = re.compile(
    rf"\s*(?:you are \w+, created by [\w ]+\.\s*)?you are an?\s{_KIND}(?:assistant|model)"
    r"(?:,? with no access to external functions)?\s*[.!]?\s*",
    re.IGNORECASE,
)
_LONGEST = 200  # characters of such
_OF_TOOLS = re.compile(r"\b(?:tool|function|call|invo[ck]|format|json|xml|schema|arg|param)", re.I)
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)
_OF_CALLS = re.compile(r"</?(?:tool|function)_?calls?>|<function=|[\"']arguments[\"']", re.I)


def told_of(row: Mapping[str, Any], turns: Any, tools: Sequence[Any]) -> str:
    """What the system of an agent's chat says, in columns and turns; '' for nothing of its own.

    Left out are a polite phrase and, where the row declares its functions elsewhere, the part that
    repeats them, where it is clear what that is.
    """
    names = {name_of(tool) for tool in tools}
    texts = (_without_tools(text, names).strip() for text in _said(row, turns))
    return "\n\n".join(dict.fromkeys(text for text in texts if text and not _is_polite(text)))


def declares_tools(row: Mapping[str, Any], turns: Any) -> bool:
    """Whether a system's text declares functions by their schemas, as ToolACE's does."""
    return any(declared_in(text) for text in _said(row, turns))


def _said(row: Mapping[str, Any], turns: Any) -> Iterator[str]:
    """The texts, of turns up to the first that is somebody else's."""
    columns = (text.strip() for key in _COLUMNS if isinstance(text := row.get(key), str))
    yield from (text.removeprefix("SYSTEM:").strip() for text in columns)  # Glaive's
    for turn in map(turn_of, turns_of(turns)):
        if turn.role not in SYSTEMS:
            return
        yield turn.text


def _is_polite(text: str) -> bool:
    return len(text) <= _LONGEST and bool(_POLITE.fullmatch(text))


def _without_tools(text: str, names: set[str]) -> str:
    """A text without the paragraphs that declare known functions and say how they are called.

    It stays whole where a line of theirs is of something else.
    """
    found = list(schemas_in(text))
    if not found or any(name_of(tool) not in names for *_, tools in found for tool in tools):
        return text
    start, end = text.rfind("\n\n", 0, found[0][0]) + 1, _paragraph_end(text, found[-1][1])
    headings = list(_HEADING.finditer(text, 0, found[0][0]))
    if headings and _OF_TOOLS.search(headings[-1][0]):
        start = min(start, headings[-1].start())
    lines, at = [], start
    for begins, ends, _ in found:
        lines += text[at:begins].splitlines()
        at = ends
    lines += text[at:end].splitlines()
    if not all(_OF_TOOLS.search(line) or len(line.split()) < 2 for line in lines):
        return text
    while _OF_CALLS.search(text[end : (after := _paragraph_end(text, end + 2))]):
        end = after
    return f"{text[:start].rstrip()}\n\n{text[end:].lstrip()}"


def _paragraph_end(text: str, at: int) -> int:
    found = text.find("\n\n", at)
    return len(text) if found < 0 else found
