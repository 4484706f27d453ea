"""Units as people write them: what they measure, and whether two are the same.

They are few and exact. A library of units reads `cats` as centi-atmospheres.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache


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
        pounds = {mine.kind, theirs.kind} == {(("mass", 1),), (("sterling", 1),)}
        return Fraction(1) if pounds and any(map(_POUNDS.fullmatch, (a, b))) else None
    if mine.kind is None and mine.per and theirs.per and not mine.per & theirs.per:
        return None
    return theirs.size / mine.size


_POUNDS = re.compile(r"pounds?", re.IGNORECASE)
_PER = re.compile(r" ?/ ?| per ")
# What a unit measures, and how many of the first of its kind it is.
_KINDS: dict[str, dict[str, Fraction | int]] = {
    "length": {
        "m meter metre": 1,
        "km kilometer kilometre": 1000,
        "cm centimeter centimetre": Fraction(1, 100),
        "mm millimeter millimetre": Fraction(1, 1000),
        "μm µm micrometer micrometre micron": Fraction(1, 10**6),
        "nm nanometer nanometre": Fraction(1, 10**9),
        "in inch inche": Fraction(254, 10000),
        "ft foot feet": Fraction(3048, 10000),
        "yd yard": Fraction(9144, 10000),
        "mi mile": Fraction(1609344, 1000),
    },
    "mass": {
        "g gram": 1,
        "kg kilogram kilo": 1000,
        "mg milligram": Fraction(1, 1000),
        "μg µg microgram": Fraction(1, 10**6),
        "lb pound": Fraction(45359237, 100000),
        "oz ounce": Fraction(45359237, 1600000),
        "ton tonne": 10**6,
    },
    "time": {
        "s sec second": 1,
        "ms millisecond": Fraction(1, 1000),
        "min minute": 60,
        "h hr hour": 3600,
        "d day": 86400,
        "week wk": 604800,
    },
    "months": {"month": 1, "year yr": 12},
    "volume": {"l liter litre": 1, "ml milliliter millilitre": Fraction(1, 1000)},
    "dollars": {"$ us$ usd dollar buck": 1, "¢ cent": Fraction(1, 100)},
    "australian dollars": {"a$ au$ aud": 1},
    "canadian dollars": {"c$ ca$ cad": 1},
    "hong kong dollars": {"hk$ hkd": 1},
    "euros": {"€ eur euro": 1},
    "sterling": {"£ gbp quid": 1},
    "yen": {"¥ jpy yen": 1},
    "singapore dollars": {"s$ sgd": 1},
    "taiwan dollars": {"nt$ twd": 1},
    "pesos": {"₱ php peso": 1},
    "won": {"₩ krw won": 1},
    "rupees": {"₹ inr r rs rupee": 1},
    "percent": {"% percent pct": 1},
    "angle": {"° degree deg": 1},
    "voltage": {"V volt": 1, "mV millivolt": Fraction(1, 1000), "kV kilovolt": 1000},
    "current": {"A amp ampere": 1, "mA milliamp": Fraction(1, 1000)},
    "power": {"W watt": 1, "mW milliwatt": Fraction(1, 1000), "kW kilowatt": 1000, "MW": 10**6},
    "energy": {"J joule": 1, "kJ kilojoule": 1000},
    "force": {"N newton": 1, "kN kilonewton": 1000},
    "pressure": {"Pa pascal": 1},
    "resistance": {"Ω ohm": 1, "kΩ": 1000, "MΩ": 10**6},
    "frequency": {"Hz hertz": 1},
    "temperature": {"K kelvin": 1},
    "celsius": {"°c celsius centigrade": 1},
    "fahrenheit": {"°f fahrenheit": 1},
}
_UNITS = {
    alias: (kind, Fraction(factor))
    for kind, units in _KINDS.items()
    for aliases, factor in units.items()
    for alias in aliases.split()
}


@lru_cache(4096)
def read(text: str) -> Unit:
    """A unit taken apart; what known units are counted by, as in $5 per pen, does not matter."""
    text = re.sub(r"^of (?:an? |the )?|\bin (?=[a-z])", "", _lower(text))
    text = re.sub(r"\bper cent\b", "percent", text)
    text = re.sub(r" ?([a-zμµ]+) ?\^\{?-(\d)\}?", r"/\1^\2", text).replace("^1", "")
    text = re.sub(r"\bdegrees? (c|f)(?:elsius|entigrade|ahrenheit)?\b", r"°\1", text)
    text = re.sub(r"\bmph\b", "mi/h", re.sub(r"\bkm/?h\b|\bkph\b", "km/h", text))
    text = re.sub(r"\b(?:square|sq\.?) ", "2@", re.sub(r"\bcubic ", "3@", text))
    measured: dict[str, int] = {}
    size = Fraction(1)
    first, *others = re.split(r" ?/ ?| per | an? ", text)
    words = frozenset(_words(first))
    for place, part in enumerate((first, *others)):
        for match in _UNIT.finditer(part):
            name = match[2].replace(" ", "")
            known = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
            if known:
                power = int(match[1] or match[3] or 1) * (-1 if place else 1)
                measured[known[0]] = measured.get(known[0], 0) + power
                size *= known[1] ** power
                if not place:
                    words = frozenset(_words(part[: match.start()] + " " + part[match.end() :]))
                break
        else:
            if not place:
                counted = _PER.split(text, maxsplit=1)
                raised = _POWER.search(counted[0])
                powers = [raised[1] or raised[2]] if raised else []
                return Unit(
                    None,
                    Fraction(1),
                    frozenset([*_words(counted[0]), *powers]),
                    frozenset(_words("".join(counted[1:]))),
                )
    # Other names of the same unit, as in US$5 dollars, are no other words.
    words = frozenset(w for w in words if w not in _UNITS and w not in _PREFIXES)
    return Unit(tuple(sorted((k, v) for k, v in measured.items() if v)), size, words)


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[^\W\d_]+", text):
        if word not in _EMPTY:
            yield re.sub(r"(?<=[a-z])s$", "", re.sub(r"(?<=ch|sh)es$|(?<=[xs])es$", "", word))


def _lower(text: str) -> str:
    """In lower case, but for short words whose case is their meaning: Mb is not MB."""
    return re.sub(r"[^\W\d_]+\$?", lambda m: m[0] if _odd(m[0]) else m[0].lower(), text)


def _odd(word: str) -> bool:
    """Whether a word is a short one with capitals that is no known unit."""
    known = word.lower() in _UNITS or word in ("C", "F") or "$" in word
    return len(word) <= 2 and not word.islower() and not known


_UNIT = re.compile(
    r"(?:([23])@)?((?:us|hk|nz|nt|au?|ca?|s|r)?\$|[^\W\d_]+|° ?[cf]?(?![a-z])"
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
