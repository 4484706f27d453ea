"""Units as people write them: what they measure, and whether two are the same.

They are few and exact. A library of units reads `cats` as centi-atmospheres.
"""

import re
from fractions import Fraction


def same_unit(a: str, b: str) -> bool:
    """Whether two units measure the same, or count things that share a word."""
    mine, theirs = dimensions(a), dimensions(b)
    if isinstance(mine, frozenset) and isinstance(theirs, frozenset):
        each = [
            set(re.findall(r"[^\W\d_]+", (*_PER.split(text, maxsplit=1), "")[1])) for text in (a, b)
        ]
        return bool(mine & theirs) and (not all(each) or bool(each[0] & each[1]))
    if isinstance(mine, frozenset) or isinstance(theirs, frozenset):
        return False
    return mine == theirs


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
    "australian dollars": {"a$ aud": 1},
    "canadian dollars": {"c$ cad": 1},
    "hong kong dollars": {"hk$ hkd": 1},
    "euros": {"€ eur euro": 1},
    "sterling": {"£ gbp quid": 1},
    "yen": {"¥ jpy yen": 1},
    "rupees": {"₹ inr r rs rupee": 1},
    "percent": {"% percent pct": 1},
    "angle": {"° degree deg": 1},
    "celsius": {"°c celsius centigrade": 1},
    "fahrenheit": {"°f fahrenheit": 1},
}
_UNITS = {
    alias: (kind, Fraction(factor))
    for kind, units in _KINDS.items()
    for aliases, factor in units.items()
    for alias in aliases.split()
}


def dimensions(text: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | frozenset[str]:
    """A unit's dimensions and size; or its words, where none of them is known.

    What known units are counted by, as in $5 per pen, does not matter.
    """
    text = re.sub(r"^of (?:an? |the )?|^in (?=[a-z])", "", _lower(text))
    text = re.sub(r"\bper cent\b", "percent", text)
    text = re.sub(r"\bdegrees? (c|f)(?:elsius|entigrade|ahrenheit)?\b", r"°\1", text)
    text = re.sub(r"\bmph\b", "mi/h", re.sub(r"\bkm/?h\b|\bkph\b", "km/h", text))
    text = re.sub(r"\b(?:square|sq\.?) ", "2@", re.sub(r"\bcubic ", "3@", text))
    measured: dict[str, int] = {}
    size = Fraction(1)
    for place, part in enumerate(re.split(r" ?/ ?| per | an? ", text)):
        for match in _UNIT.finditer(part):
            name = match[2].replace(" ", "")
            known = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
            if known:
                power = int(match[1] or match[3] or 1) * (-1 if place else 1)
                measured[known[0]] = measured.get(known[0], 0) + power
                size *= known[1] ** power
                break
        else:
            if not place:
                words = re.findall(r"[^\W\d_]+", _PER.split(text, maxsplit=1)[0])
                return frozenset(w.removesuffix("s") for w in words if w not in _EMPTY)
    return tuple(sorted((k, v) for k, v in measured.items() if v)), size


def _lower(text: str) -> str:
    """In lower case, but for short words whose case is their meaning: Mb is not MB."""
    return re.sub(r"[^\W\d_]+\$?", lambda m: m[0] if _odd(m[0]) else m[0].lower(), text)


def _odd(word: str) -> bool:
    """Whether a word is a short one with capitals that is no known unit."""
    known = word.lower() in _UNITS or word in ("C", "F") or "$" in word
    return len(word) <= 2 and not word.islower() and not known


_UNIT = re.compile(
    r"(?:([23])@)?((?:us|hk|nz|a|c|r)?\$|[^\W\d_]+|° ?[cf]?(?![a-z])|[%¢€£¥₹])(?:\^\{?([23])\}?)?"
)
_EMPTY = frozenset(["a", "an", "the", "of", "in", "more", "total"])
