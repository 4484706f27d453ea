# ruff: noqa: RUF001 - dashes as people write them
"""Yes or no: what a text says of a question that has no other answer."""

import re
from collections.abc import Iterable, Sequence

from srl_edge.method.answers.plain import plain

_SAYS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_WORD = r"(yes|no|true|false)\b"
# A sentence, and neither another value nor what takes it back. `No. 5` is a number.
_GOES_ON = (
    r"(?:(?:[.!]+|[,;:]|\s*[—–]|\s+-)\s+|\s+\()"
    r"(?!(?:but|and|or|not|partly|mostly|only|except|unless|if)\b)"
    r"(?=[^\W\d_][\w'’-]*,?\s+[^\W\d_])"
)
_VERDICT = re.compile(
    r"(?:(?:according to|based on|given|from|in)\s[^,.;:!?]{1,60},\s+)?"
    r"(?:(?:so|hence|thus|therefore|then|overall|in conclusion)[,:]?\s+)?"
    r"(?:(?:(?:the|this|that)\s+(?:statement|claim|conclusion|sentence|proposition|hypothesis"
    r"|assertion|answer)\s+(?:is|must be)|(?:it|that|this)(?:\s+is|['’]s))\s+)?"
    rf"{_WORD}(?:[.!]*\s*$|{_GOES_ON}|[,;:]?\s+(?:because|since|as)\b)",
    re.IGNORECASE,
)
# Said as a verdict further on in a text; "this is not true" is none, nor is "no" before a noun.
_NOT_DENIED = r"(?<!not )(?<!n't )(?<!n’t )\b"
_ENDED = r"(?=\s*(?:$|[.,;:!?]))"
_AGAIN = re.compile(rf"{_NOT_DENIED}{_WORD}{_ENDED}", re.IGNORECASE)
_TAKEN_BACK = re.compile(rf"{_NOT_DENIED}(yes|true|false|no{_ENDED})\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
# A first line that goes on may only agree to a question, or say what comes: "Yes, we can find out."
_ABOUT_TO = re.compile(
    rf"{_WORD}\W+(?:we|i|let|let['’]?s|lets|sure|ok|okay|good|great)\b", re.IGNORECASE
)
_DOUBTED = re.compile(
    r"(?:^|[.!?]\s+)(?:wait|actually|on second thoughts?|correction|i was wrong|my mistake)\b",
    re.IGNORECASE,
)
_FIRST = re.compile(
    rf"[#>\- ]*{_WORD}(?:[.!]*\s*$|[.!]\s+(?!\d)|(?:[,;.:]| -)?\s+(?:because|since)\b)",
    re.IGNORECASE,
)


def word(text: str) -> str:
    """`yes` or `no` where a text is such a word, or true or false, and nothing more; else ''."""
    return _SAYS.get(plain(text).casefold(), "")


def verdict(text: str) -> str:
    """What a text says that begins with its verdict, as "No, it has none."; '' for no such one."""
    return _SAYS.get(written(text).casefold(), "")


def written(text: str) -> str:
    """The word with which a text gives its verdict, as it stands; '' where it gives none."""
    text = plain(text.strip("#>*_- \t\n").replace("*", ""))
    if (begins := _VERDICT.match(text)) is None:
        return ""
    return begins[1] if _agree(begins[1], _AGAIN.finditer(text, begins.end())) else ""


def last(lines: Sequence[str]) -> str | None:
    """The verdict of a reply in lines: of its last line, that line's last sentence, or its first
    line, where its reasons follow and not another one.
    """
    if not lines:
        return None
    *before, end = lines
    ends = map(verdict, (end, _SENTENCE.split(end)[-1]))
    if said := next(filter(None, ends), ""):
        return said
    if any(map(_DOUBTED.search, lines)):
        return None
    if begins := _FIRST.match(lines[0]):
        said = _SAYS[begins[1].lower()]
    elif not _ABOUT_TO.match(lines[0].lstrip("#>- ")):
        said = verdict(lines[0])
    again = [found for line in before for found in _AGAIN.finditer(line)]
    return said if said and _agree(said, [*again, *_TAKEN_BACK.finditer(end)]) else None


def _agree(said: str, others: Iterable[re.Match[str]]) -> bool:
    """Whether all that is said again is the same verdict."""
    return all(_SAYS[other[1].lower()] == _SAYS[said.lower()] for other in others)
