# ruff: noqa: RUF001 - characters of other scripts are what is read here
"""Numbers as people and models write them, with their units: `US$1,200`, `1 1/2 cups`, `5 km/h`."""

import re
from dataclasses import dataclass
from fractions import Fraction

from srl_edge.method.answers.names import named
from srl_edge.method.answers.number_words import number_word
from srl_edge.method.answers.plain import UNIT, plain
from srl_edge.method.answers.products import variables
from srl_edge.method.answers.scales import scaled
from srl_edge.method.answers.units import ratio, read

_GROUPED = (
    r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?"  # 1,234.5
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"  # 1,00,000
    r"|\d{1,3}(?:['_]\d{3})+(?!\d)(?:\.\d+)?"
    r"|\d{1,3}(?:\.\d{3}){2,}(?!\d)(?:,\d+)?"  # 1.234.567,8
    r"|[1-9]\d{0,2}\.\d{3},\d{1,2}(?![\d,])"  # 1.234,50
)
_SPACED = r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)?"
_LOOSE_IN_TEXT = r"[1-9]\d{0,2}(?:, \d{3})*, 000(?!\d|, ?\d)"
_SIMPLE = r"\d+(?:\.\d+)?|\.\d+"
_POWER = (
    r"(?:[eE][-+]?\d{1,3}(?![\d.])"
    r"| ?(?:\*|×|·|⋅|x) ?10(?:\^|\*\*) ?(?:\{ ?([-+]?\d{1,3}) ?\}|([-+]?\d{1,3})))"
)
_FRACTION = r"\\[dtc]?frac ?(?:\{ ?-?\d+ ?\}|\d) ?(?:\{ ?\d+ ?\}|\d)|(?<![/\d])\d+ ?/ ?\d+"
_TEX = re.compile(r"\\[dtc]?frac ?(?:\{ ?(-?\d+) ?\}|(\d)) ?(?:\{ ?(\d+) ?\}|(\d))")
_MONEY = (
    r"(?:(?:US|AU?|CA?|NZ|HK|NT|S|R)?\$|[€£¥₹₩₽₺₫₪₿₱%]"
    r"|(?:USD|EUR|GBP|JPY|INR|CNY|CHF|AUD|CAD|Rs\.?)(?![A-Za-z]))"
)


def _number(grouped: str) -> str:
    return (
        rf"(?:(?:(?:\d+[ +]?)?(?:{_FRACTION})(?![\d/]))"
        rf"|(?:{grouped}|{_SIMPLE})(?:{_POWER})?)"
    )


_WHOLE = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<before>{_MONEY})? ?(?P<inner>[-+]?)"
    rf"(?P<number>{_number(f'{_GROUPED}|{_SPACED}')})(?P<after>.*)",
    re.DOTALL,
)
# In running text a space separates numbers, unless it is one that does not break a line.
IN_TEXT = re.compile(
    rf"(?<![A-Za-z_\d.])(?<!\d[,/])"
    rf"(?P<sign>(?<![\w)\]}}])-|(?<=[=≈])- |(?<=[=≈] )- |(?<=\bis )- )?(?P<before>{_MONEY})?"
    rf"(?P<inner>-)?(?P<number>\d*\.\d*\\(?:overline|bar|dot) ?\{{ ?\d+ ?\}}"
    rf"|{_number(f'{_LOOSE_IN_TEXT}|{_GROUPED}')})"
    r"(?P<percent> ?\\?%)?"
)
# What comes after is a factor; a count of times may be compared.
_FACTOR = re.compile(r"times\b(?! (?:a|as|each|per|more|faster|larger|longer)\b)(?=.*\w)")
# Words after a number that make it another value, or another question.
_NO_UNIT = frozenset(
    {
        *("or", "and", "to", "not", "minus", "plus", "divided", "over", "squared"),
        *("pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "mod", "choose", "infinity"),
        *("half", "halves", "third", "thirds", "quarter", "quarters", "cubed"),
    }
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what it counts. places: decimals as written; None of a fraction."""

    value: Fraction
    unit: str = ""
    places: int | None = 0


def quantity(text: str) -> Quantity | None:
    """What a text says as a number with its unit; None where it says anything else besides."""
    worded = _IN_WORDS.search(text) is not None
    text = _ABOUT.sub("", named(plain(text))[1]).strip()
    text = _OHMS.sub(r"\1Ω", text)
    text = _OVER.sub(r"\1/\2", re.sub(r"\\l?dots(?![a-z])", "...", text))
    text = _AND_A_HALF.sub(lambda match: f"{number_word(match[1]) or match[1]} 1/2", text)
    text = _REPEATING.sub(_as_fraction, _GOES_ON.sub(r"\1.\2\\overline{\3}", text))
    text = re.sub(r"^([-+]?)10(?=\^|\*\*)", r"\g<1>1*10", text)
    text = _NEGATIVE.sub("-", _BELOW.sub(r"-\1", text))
    text = _PARTS_OF.sub(_as_parts, text)
    while (held := _HELD.fullmatch(text)) is not None:
        text = held[1] or held[2] or held[3] or ""  # (18), {18}, "18"
    match = _WHOLE.fullmatch(text)
    if not match:
        word = number_word(text)
        return None if word is None else Quantity(Fraction(word))
    if match["sign"] and match["inner"]:
        return None
    read_ = _read(match["number"])
    if read_ is None:
        return None
    value, places = read_
    after = match["after"]
    if short := (_SCALED if match["before"] or _PAID.search(after) else _THOUSANDS).match(after):
        value *= 10 ** _SCALES[short[1].lower()]
        after = after[short.end() :]
    elif (after and not after[0].isascii()) or after[:1] == " ":
        if (multiplied := scaled(after.strip())) is None:
            return None
        value *= multiplied[0]
        after = after if multiplied[0] == 1 else " " + multiplied[1]
    letters = re.match(r"[A-Za-z]*", after)
    assert letters
    if len(letters[0]) == 1 and letters[0] not in _GLUED:
        return None  # 2x is a product
    of_fraction = "\\" in match["number"] and not after.islower()  # behind which TeX needs no space
    letters_alone = variables(after.strip(), glued=bool(letters[0]) or of_fraction)
    if letters_alone and not worded and after.strip() not in _GLUED:
        return None
    after = re.sub(r" ?(?<!/)\([^()\d]*\)$", "", after.strip())
    after = _TIMES.sub("·", after) if worded else after
    if _NO_WORDS.search(re.sub(r"(?<=\w)\^\{?-?\d\}?", "", after)):
        return _in_two_units(text)
    words = re.findall(r"[^\W\d_]+", after.lower())
    if (
        _NO_UNIT & set(words)
        or _FACTOR.match(after)
        or (re.fullmatch("[a-z]", after.lower()) and after not in _APART and not worded)
    ):
        return None
    if _OF_A_DAY.match(after):
        return None
    sign = -1 if "-" in (match["sign"], match["inner"]) else 1
    return Quantity(sign * value, " ".join(filter(None, (match["before"] or "", after))), places)


# What may stand before a number that is said to be the answer, or about so.
_ABOUT = re.compile(
    r"^(?:[=≈]|\\(?:approx|simeq|sim)(?![a-z])) ?"
    r"|^(?:about|around|approximately|approx\.|roughly|exactly|only|just) (?=[-+\d.$€£¥])",
    re.IGNORECASE,
)
_AND_A_HALF = re.compile(r"^(\d+|[A-Za-z]+)(?: [Aa]nd a half\b)")
_OHMS = re.compile(r"(?<=\d)( ?[kM]?) ?\\Omega$")
# A unit that is written as a fraction.
_OVER = re.compile(r"\\frac ?\{ ?([A-Za-z][^{}]*?) ?\} ?\{ ?([A-Za-z][^{}]*?) ?\}$")
# A unit, and no variable.
_IN_WORDS = re.compile(rf"{UNIT}[^{{}}]*[A-Za-z]|m[²³]")
_NTHS = {
    name: n
    for n, name in enumerate(
        ("half", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), 2
    )
} | {"quarter": 4, "hundredth": 100, "thousandth": 1000, "halve": 2}
_PARTS_OF = re.compile(
    rf"^(?P<count>[-+]?\d+|[A-Za-z]+)[ -](?P<nth>{'|'.join(_NTHS)})(?P<many>s?)(?![\w-])",
    re.IGNORECASE,
)


def _as_parts(match: re.Match[str]) -> str:
    """`3 fourths` and `two-thirds` as fractions; `3 fifth graders` as it is."""
    word = match["count"]
    count = number_word(word) if word.isalpha() else int(word)
    if count is None or (not match["many"] and abs(count) != 1):
        return match[0]
    return f"{count}/{_NTHS[match['nth'].lower()]}"


_HELD = re.compile(r"\(([^,]*)\)|\\?\{ ?([^,{}\\]*) ?\\?\}|[\"“'‘]([^\"”'’]*)[\"”'’]")
_NEGATIVE = re.compile(r"^(?:negative|minus) (?=[\d.$€£])", re.IGNORECASE)
_BELOW = re.compile(r"^(\d[^-]*?) below (?:zero|0)$", re.IGNORECASE)
_OF_A_DAY = re.compile(r"[ap]\.? ?m\b", re.IGNORECASE)
_THOUSANDS = re.compile(r"([kKM])(?![A-Za-z])")
_SCALED = re.compile(r" ?([kKmMbBtT]|[mMbBtT]n)(?![A-Za-z])")
_PAID = re.compile(r"^[A-Za-z]{1,2} (?:dollar|euro|USD|EUR|GBP)s?\b")
_SCALES = {"k": 3, "m": 6, "mn": 6, "b": 9, "bn": 9, "t": 12, "tn": 12}
_LONG = 80  # characters of a quantity in two units
_TWO = re.compile(r"(.*?\d.*?),? (?:and )?(\$?\d[\d.,]* ?[^\W\d_]+)")


def _in_two_units(text: str) -> Quantity | None:
    """`1 hour 30 minutes` as hours; None where the second unit is no smaller one of its kind."""
    match = _TWO.fullmatch(text) if len(text) < _LONG else None
    both = [quantity(part) for part in match.groups()] if match else []
    if not all(both):
        return None
    (large, small) = [q for q in both if q] or (None, None)
    if large is None or small is None or large.value < 0 or not (large.unit and small.unit):
        return None
    one, other = read(large.unit), read(small.unit)
    if one.kind is None or one.kind != other.kind or one.size <= other.size:
        return None
    if one.words or other.words:  # .5 hour, which is 30 minutes
        return None
    return Quantity(large.value + small.value * other.size / one.size, large.unit, None)


# 0.1666... and 0.121212..., but not 3.14...
_GOES_ON = re.compile(r"^(\d*)\.(\d{0,9}?)(\d{1,9}?)\3{1,30}\.\.\.$")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot) ?\{ ?(\d{1,30}) ?\}")


def _as_fraction(match: re.Match[str]) -> str:
    """0.1666… as a fraction."""
    whole, once, again = match.groups()
    nines = (10 ** len(again) - 1) * 10 ** len(once)
    return f"{int(whole + once + again) - int(whole + once or 0)}/{nines}"


_TIMES = re.compile(r"(?<=[A-Za-zΩμ\d]) ?\* ?(?=[A-Za-zΩμ])")  # in N·m
_GLUED = frozenset("mgshlLdCFKVWAJNB")  # units of one letter
_APART = _GLUED | frozenset("MTH")  # of one letter, after a space
_NO_WORDS = re.compile(r"[\d=+*<>\\{}|,;:!?πθαβγλφψω√∞]|^[-(^]|^/(?![A-Za-z])")


def _read(written: str) -> tuple[Fraction, int | None] | None:
    """A number as written, and how many decimals it has."""
    try:
        if match := _TEX.search(written):
            top, bottom = match[1] or match[2], match[3] or match[4]
            whole = written[: match.start()].strip(" +")
            return int(whole or 0) + Fraction(int(top), int(bottom)), None
        if match := re.fullmatch(r"(?:(\d+)[ +])?(\d+) ?/ ?(\d+)", written):
            return int(match[1] or 0) + Fraction(int(match[2]), int(match[3])), None
        power = re.search(_POWER, written)
        digits, exponent = written, 0
        if power:
            digits = written[: power.start()]
            exponent = int(power[1] or power[2] or power[0][1:])
        if re.fullmatch(r"\d{1,3}(?:(?:\.\d{3}){2,}(?:,\d+)?|\.\d{3},\d+)", digits):
            digits = digits.replace(".", "").replace(",", ".")
        elif re.fullmatch(r"\d{1,3}(?: \d{3})+,\d+", digits):
            digits = digits.replace(",", ".")
        digits = re.sub(r"[, '_]", "", digits)
        places = len(digits.partition(".")[2])
        return Fraction(digits) * Fraction(10) ** exponent, max(places - exponent, 0)
    except (ValueError, ZeroDivisionError):  # thousands of digits, or a third of nothing
        return None


def same(a: Quantity, b: Quantity) -> bool:
    """Whether two quantities are equal; one without a unit may have that of the other.

    A fraction without an end equals its decimals, rounded, from four of them on.
    """
    if not a.unit or not b.unit:
        if _equal(a, b, Fraction(1)):
            return True
        percent = [_PERCENT.fullmatch(q.unit) is not None for q in (a, b)]
        return any(percent) and a.value * _PARTS[percent[0]] == b.value * _PARTS[percent[1]]
    factor = ratio(a.unit, b.unit)
    return factor is not None and _equal(a, b, factor)


def without_unit(text: str) -> tuple[str, str]:
    """A formula and the unit in words after it, as in `25\\pi \\text{ cm}^2`; '' for none."""
    match = _UNIT_AFTER.search(text)
    if match is None or not text[: match.start()].strip(" $\\"):
        return text, ""
    words = plain(match[0])
    if "\\" not in match[0].rstrip("\\ ") and variables(words):
        return text, ""  # 2πrh
    if _NO_UNIT & set(re.findall(r"[^\W\d_]+", words.lower())):
        return text, ""
    return text[: match.start()].strip(), words


_UNIT_AFTER = re.compile(
    rf"(?:\\[,; ]|\s)*{UNIT}[^{{}}\\\d]+\}}(?:\^\{{?[23]\}}?)?\s*$"
    r"|(?<=[\d})!πi])\s+[A-Za-z]{2,}(?:[ /^][A-Za-z]+)*(?:\^?\{?[23²³]\}?)?\s*$"
)


_PERCENT = re.compile(r"%|per ?cent|pct", re.IGNORECASE)
_PARTS = {True: Fraction(1, 100), False: Fraction(1)}


def _equal(a: Quantity, b: Quantity, factor: Fraction) -> bool:
    """Whether a = b * factor."""
    if a.value == b.value * factor:
        return True
    exact, rounded = (a, b) if a.places is None else (b, a)
    if factor != 1 or exact.places is not None or not rounded.places or rounded.places < 4:
        return False
    return round(exact.value, rounded.places) == rounded.value
