# ruff: noqa: RUF001 - quotes as people write them
"""Whether two texts say the same word or code."""

import json
import re
from typing import Any

from srl_edge.method.answers.plain import plain

_QUOTES = str.maketrans("‘’‛“”„", "'''\"\"\"")
_QUOTED = re.compile("^(['\"])(.*)\\1$", re.DOTALL)
_TIME = re.compile(
    r"(?<![\d:])0?(\d{1,2})(:\d\d)?(:\d\d)? ?(?:(?i:([ap])\.? ?m\b\.?)|(?<=:\d\d))(?![\d:])"
)
# What goes on after a word without being another answer: "Yes, it is".
_GOES_ON = (
    r"(?:[,;.:]| -) (?:(?:it|its|this|that|there|these|those|because|since|as|which|the|he|she"
    r"|they|we|you|i|so|for|both|in|who|whose|where)\b|it's|they're|there's"
    r"|\S+ (?:is|are|was|were|has|have|had|did|does|do|can)\b)"
)
_WORD = r"(?:[^\W\d_]+(?:['-][^\W\d_]+)*\.?|\d+)"
_ARTICLE = re.compile(r"^(?:an?|the) (?=[^\W\d_](?:[^\W\d_]|\.))", re.IGNORECASE)
_WORDS = re.compile(rf"{_WORD}(?:,? {_WORD})*")
# Several letters or Roman numerals, as of statements that hold: `I, II`, `(A) and (C)`.
_LABEL = r"\b(?:[A-J]|[IVX]{1,5})\b"
_LABELS = re.compile(
    rf"\(?{_LABEL}\)?(?:(?:,? (?:and|&) |, ?(?:and|&) |[,;] ?)\(?{_LABEL}\)?){{1,20}}"
)
_AND = re.compile(r",? and (?=\S)")  # before the last of a list
_REMAINDER = re.compile(r"(?<=\d) ?(?:[Rr]|remainder) ?(?=\d)")
_YES = {"true": "yes", "false": "no"}


# A mark of a list before its item, with a space; of mathematics' own minus it is none.
_BULLET = re.compile(r"[ \t]*[-*+•‣◦⁃▪●○·–—][ \t]+(?=\S)")


def unbulleted(line: str) -> str:
    """A line without the mark of a list that it begins with: the `-` of `- 42` is no minus."""
    match = _BULLET.match(line)
    return line[match.end() :] if match else line


def items(text: str) -> list[str]:
    """The items of a list that a text begins with, without their marks, blank lines between."""
    found: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        if (item := unbulleted(line)) == line:
            break
        found.append(item.strip())
    return found


def as_step(text: str) -> str:
    """A text as a step: without blanks around it, but for what its first line is indented by.

    One space indents nothing: replies and texts that were cut elsewhere begin with it.
    """
    said = text.strip()
    before = text[: len(text) - len(text.lstrip())].rpartition("\n")[2]
    return before + said if said and before != " " and not before.strip(" \t") else said


def _time(match: re.Match[str]) -> str:
    hour, minutes, seconds, half = match.groups()
    return f"{hour}{minutes or ':00'}{seconds or ''}" + (f" {half.lower()}m" if half else "")


_CLOCK = re.compile(r"(?<![\w:.])\d{1,2}:\d\d(?::\d\d)?(?: [ap]m)?(?![\w:%])")
# What is before a time is then not that it is the answer, or after it another zone's.
_NO_TIME = re.compile(
    r"(?:\b(?:before|after|until|till|by|past|since|than|from|between|to|or)|[-+]) ?"
    r"(?:about |around )?$|\b(?:not|never)\b|n't\b",
    re.IGNORECASE,
)
_ZONE = re.compile(r" \(?[A-Z]{2,4}\b|,? (?:or|to) |[-+]")


def _only_time(text: str) -> str:
    """The time of day in a sentence that has one; else the text."""
    times = list(_CLOCK.finditer(text))
    if len(times) != 1:
        return text
    before, after = text[: times[0].start()], text[times[0].end() :]
    said = re.search(r"[^\W\d_]", before) and not _NO_TIME.search(before)
    return times[0][0] if said and not _ZONE.match(after) else text


def _lowered(text: str) -> str:
    """A text with digits that are set lower, as in H₂O, and charges, as in Na⁺, on its line."""
    text = re.sub(r"(?<=[A-Za-z)\]])_\{(\d+)\}(?!\d)", r"\1", text)
    text = re.sub(r"(?<=[\w)])\^\{(\d*[-+])\}", r"^\1", text)
    text = re.sub(r"(?<=[\w)])\^(?=[-+]$)", "", text)
    return _COMPOUND.sub(lambda match: match[0].replace("_", ""), text)


# H_2O, and no PIN_4, which may be a name in code.
_COMPOUND = re.compile(r"(?<![\w\\])(?=\w*_\d+[A-Z])(?:[A-Z][a-z]?(?:_?\d+)?){2,}(?!\w)")


def same_text(given: str, answer: str) -> bool:
    """Letter by letter, apart from spaces, quotes and a full stop; case counts in code alone."""
    pair = [_QUOTED.sub(r"\2", plain(text.translate(_QUOTES))).strip() for text in (given, answer)]
    if pair[0] == pair[1]:
        return True
    if all(text[:1] in ("{", "[") for text in pair):
        return _same_json(*pair)
    pair = [_TIME.sub(_time, re.sub(r"(?<=\d) ?: ?(?=\d)", ":", text)) for text in pair]
    if _CLOCK.fullmatch(pair[1]):
        pair[0] = _only_time(pair[0])
    if all(map(_LABELS.fullmatch, pair)):
        return re.findall(_LABEL, pair[0]) == re.findall(_LABEL, pair[1])
    pair = [_ARTICLE.sub("", _lowered(text)) for text in pair]
    if _WORDS.fullmatch(pair[1]) and (
        goes_on := re.match(re.escape(pair[1]) + _GOES_ON, pair[0], re.IGNORECASE)
    ):
        pair[0] = pair[0][: goes_on.start() + len(pair[1])]
    pair = [re.sub(r"\s&\s", " and ", re.sub(r"(?<=[^\W\d_]);\s", ", ", text)) for text in pair]
    pair = [re.sub(r"(?<=[^\W\d_]),\s*(?=[^\W\d_])", ", ", text) for text in pair]
    if all(map(_WORDS.fullmatch, pair)):
        pair = [_AND.sub(", ", text) for text in pair]
    pair = [_REMAINDER.sub(" remainder ", text) for text in pair]
    if all(map(_WORDS.fullmatch, pair)) and not _cased(*pair):
        pair = [_YES.get(text.casefold(), text.casefold()) for text in pair]
    return pair[0] == pair[1]


def _cased(one: str, other: str) -> bool:
    """Whether case is the meaning of short words: of NaCl, of Co and CO, of x and X."""
    for text in (one, other):
        inside = not (text.islower() or text.isupper() or text.istitle())
        if inside and len(text) <= 4 and " " not in text:
            return True
    if len(one) != len(other) or one.casefold() in ("no", "ok"):
        return False
    return (len(one) == 1 and one.lower() > "j") or (
        len(one) == 2 and {one, other} == {one.upper(), one.title()}
    )


def _same_json(given: str, answer: str) -> bool:
    try:
        return _shown(json.loads(given)) == _shown(json.loads(answer))
    except (ValueError, RecursionError):
        return False


def _shown(value: Any) -> str:
    """JSON as one text: keys have no order, and 1 is 1.0 and not true."""
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    match value:
        case dict():
            return {key: _numbers(held) for key, held in value.items()}
        case list():
            return [_numbers(held) for held in value]
        case float() if value.is_integer():
            return int(value)
    return value
