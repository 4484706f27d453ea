"""Whether two texts say the same word or code."""

import re

from srl_edge.method.quantities import plain

_QUOTED = re.compile("^['\"\u2018\u201c](.*)['\"\u2019\u201d]$", re.DOTALL)
_TIME = re.compile(r"(\d) ?(?i:([ap])\.? ?m\b\.?)")


def _time(match: re.Match[str]) -> str:
    return f"{match[1]} {match[2].lower()}m"


def same_text(given: str, answer: str) -> bool:
    """Letter by letter, apart from spaces, quotes and a full stop; case counts in code alone."""
    pair = [_QUOTED.sub(r"\1", plain(text)).strip() for text in (given, answer)]
    pair = [_TIME.sub(_time, re.sub(r"(?<=\d) ?: ?(?=\d)", ":", text)) for text in pair]
    words = re.fullmatch(r"[^\W\d_]+", pair[1])
    if words and re.match(rf"{re.escape(pair[1])}[,;.:] ", pair[0], re.IGNORECASE):
        return True  # Yes, it is
    if all(re.fullmatch(r"[^\W\d_]+(?:[ -][^\W\d_]+)*", text) for text in pair):
        pair = [text.casefold() for text in pair]
    return pair[0] == pair[1]
