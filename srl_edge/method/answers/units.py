"""Units as people write them: what they measure, and whether two are the same.

They are few and exact. A library of units reads `cats` as centi-atmospheres.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from srl_edge.method.answers.unit_table import UNITS, Kind


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit measures (None where it is not known), how large it is, and its other words."""

    kind: tuple[tuple[str, int], ...] | None
    size: Fraction
    words: frozenset[str]
    per: frozenset[str] = frozenset()


def same_unit(a: str, b: str) -> bool:
    """Whether two units are the same, and no word of theirs tells them apart."""
    return ratio(a, b) == 1


def ratio(a: str, b: str) -> Fraction | None:
    """How many of the first unit one of the second is; None where they do not measure the same.

    Of other words, as in `5 red apples` or `5% increase`, one may have fewer than the other.
    """
    mine, theirs = read(a), read(b)
    if not (mine.words <= theirs.words or theirs.words <= mine.words):
        return None
    if mine.kind != theirs.kind:
        word = _OF_TWO_KINDS.get(frozenset({mine.kind, theirs.kind}))
        return Fraction(1) if word and any(re.fullmatch(word, each) for each in (a, b)) else None
    if mine.kind is None and not mine.per & theirs.per:
        timed = any(map(_known, mine.per | theirs.per))
        if (mine.per and theirs.per) or timed:  # pages per hour are no pages
            return None
    return theirs.size / mine.size


# Words that two kinds of units have.
_OF_TWO_KINDS: dict[frozenset[object], str] = {
    frozenset({(("mass", 1),), (("sterling", 1),)}): "(?i:pounds?)",
    frozenset({(("celsius", 1),), (("current", 1), ("time", 1))}): "C",
    frozenset(
        {(("fahrenheit", 1),), (("current", 2), ("length", -2), ("mass", -1), ("time", 4))}
    ): "F",
}
_PER = re.compile(r" ?/ ?| per ")


@lru_cache(4096)
def read(text: str) -> Unit:
    """A unit taken apart; what known units are counted by, as in $5 per pen, does not matter."""
    text = re.sub(r"^of (?:an? |the )?|\bin (?=[a-z])", "", _lower(text))
    text = re.sub(r"\bper cent\b", "percent", text)
    text = re.sub(r" ?([A-Za-zμµΩ]+) ?\^\{?-(\d)\}?", r"/\1^\2", text).replace("^1", "")
    text = re.sub(r"(?:\bdegrees?|°) ?([cfCF])(?:elsius|entigrade|ahrenheit)?\b", _degrees, text)
    text = re.sub(r"\bmph\b", "mi/h", re.sub(r"\bkm/?h\b|\bkm?ph\b", "km/h", text))
    text = re.sub(r"\b(?:square|sq\.?) ", "2@", re.sub(r"\bcubic ", "3@", text))
    measured: dict[str, int] = {}
    size = Fraction(1)
    first, *others = re.split(r" ?/ ?| per | an? ", text)
    words = frozenset(_words(first))
    for place, part in enumerate((first, *others)):
        found = _factors(part)
        for match, (kind, factor) in found:
            power = int(match[1] or match[3] or 1) * (-1 if place else 1)
            for name, own in kind.items():
                measured[name] = measured.get(name, 0) + own * power
            size *= factor**power
        if place:
            continue
        if not found:
            counted = _PER.split(text, maxsplit=1)
            raised = _POWER.search(counted[0])
            powers = [raised[1] or raised[2]] if raised else []
            return Unit(
                None,
                Fraction(1),
                frozenset([*_words(counted[0]), *powers]),
                frozenset(_words("".join(counted[1:]))),
            )
        words = frozenset(_words(part[: found[0][0].start()] + " " + part[found[-1][0].end() :]))
    # Other names of the same unit, as in US$5 dollars, are no other words.
    words = frozenset(w for w in words if w not in UNITS and w not in _PREFIXES)
    return Unit(tuple(sorted((k, v) for k, v in measured.items() if v)), size, words)


def _degrees(match: re.Match[str]) -> str:
    return f"°{match[1].lower()}"


def _known(name: str) -> tuple[Kind, Fraction] | None:
    """What a name of a unit measures, in one or in several; None for a word."""
    name = name.replace(" ", "")
    return UNITS.get(name) or UNITS.get(name.removesuffix("s"))


def _factors(part: str) -> list[tuple[re.Match[str], tuple[Kind, Fraction]]]:
    """The first unit of a part that is known, and those it is multiplied by, as in `N·m`."""
    found: list[tuple[re.Match[str], tuple[Kind, Fraction]]] = []
    for match in _UNIT.finditer(part):
        if found and not _TIMES.fullmatch(part[found[-1][0].end() : match.start()]):
            break
        if known := _known(match[2]):
            found.append((match, known))
        elif found:
            break
    return found


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[^\W\d_]+", text):
        if word not in _EMPTY:
            yield re.sub(r"(?<=[a-z])s$", "", re.sub(r"(?<=ch|sh)es$|(?<=[xs])es$", "", word))


def _lower(text: str) -> str:
    """In lower case, but for words whose case is their meaning: MPa is not mPa, nor Mb MB."""
    return re.sub(r"[^\W\d_]+\$?", lambda m: m[0] if _odd(m[0]) else m[0].lower(), text)


def _odd(word: str) -> bool:
    """Whether a word's capitals are its meaning: it is a unit so written, or short and none."""
    known = word.lower() in UNITS or "$" in word
    return word in UNITS or (len(word) <= 2 and not word.islower() and not known)


_TIMES = re.compile(r" ?[·⋅*] ?")
_UNIT = re.compile(
    r"(?:([23])@)?((?:us|hk|nz|nt|au?|ca?|s|r)?\$|[^\W\d_]+|° ?[cf]?(?![A-Za-z])"
    r"|[%¢€£¥₹₩₽₺₫₪₿₱])(?:\^\{?([23])\}?)?"
)
_POWER = re.compile(r"([23])@|\^\{?([23])\}?")  # of a unit that is not known
_EMPTY = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "more",
        "total",
        "each",
        "every",
        "left",
        "remaining",
        "altogether",
        "overall",
        "now",
        "all",
        "exactly",
    ]
)
_PREFIXES = frozenset(["us"])
