# ruff: noqa: RUF001 - quotes and dashes as people write them
"""Multiple choice as models write it: `B`, `(B)`, `**B.** water`, `Option B`, `B, not A`."""

import re

from srl_edge.method.quantities import plain

_NAMED = r"(?:the\s+)?(?:(?:correct|right|best)\s+)?(?:option|choice|answer)"
_CHOICE = re.compile(
    rf"(?:(?i:{_NAMED})\s+)?[\"'“]?(?:\(([A-Ja-j])\)|([A-J]))(?![A-Za-z'’])[\"'”]?(.*)", re.DOTALL
)
# What may come after a letter that stands without brackets.
_AFTER = re.compile(r"\s*(?:$|[.:),;]|[-–—](?!\w)|(?:because|since|as|is|which)\b)")
_OTHER = re.compile(r"\([A-J]\)|^\W*(?:and|or|&)\s+\(?[A-J]\b|\band\s+[A-J]\b")
_LETTER = re.compile(rf"\(([A-J])\)|(?i:{_NAMED})\s+\(?([A-J])\b")


def letter(text: str) -> str | None:
    """The letter of a text that is one choice; None for others, and for more than one."""
    match = _CHOICE.fullmatch(plain(text).replace("*", "").strip())
    if not match:
        return None
    rest = match[3]
    if not match[1] and not _AFTER.match(rest):
        return None
    first = re.split(r"\b(?:not|because|since)\b", rest)[0]
    return None if _OTHER.search(first) else (match[1] or match[2]).upper()


def found(text: str) -> str | None:
    """The letter that a running text chooses: its first line, a line of its own, or the last."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in (*lines[:1], *reversed(lines)):
        if len(line) < 200 and (chosen := letter(line)):
            return chosen
    named = _LETTER.findall(text)
    return (named[-1][0] or named[-1][1]) if named else None
