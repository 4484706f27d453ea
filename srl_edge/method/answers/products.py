"""Letters side by side: the variables of a product, as in `GMm`, `3RT` and `mgh`, or a word."""

import re

from srl_edge.method.answers.units import read


def variables(text: str, glued: bool = True) -> bool:
    """Whether letters after a number are variables, as in `6xy` and `3s^2`, and no unit.

    Only a length has powers. glued: no space is before them, which people leave before a word and
    before a unit with capitals.
    """
    if not _VARIABLES.fullmatch(text):
        return False
    runs = re.findall("[A-Za-z]+", text)
    if not glued and any(len(run) > 1 and _SHORT.fullmatch(run) for run in runs):
        return False
    if len(runs) > 1:
        return all(len(run) == 1 or product(run) for run in runs)
    if "^" in text and len(runs[0]) <= 2:
        length = read(runs[0]).kind == (("length", 1),)
        return not length or (glued and len(runs[0]) == 1)
    return product(runs[0]) and (glued or len(runs[0]) == 2)


def product(letters: str) -> bool:
    """Whether two letters or more are variables side by side, as `xy` and `nRT`, and no word."""
    if len(letters) < 2 or read(letters).kind is not None:
        return False
    if len(letters) == 2 and letters.islower():
        return _ORDINAL.fullmatch(letters) is None
    if len(letters) > 2 and _NEIGHBOURS.fullmatch(letters):
        return True
    return _NO_WORD.fullmatch(letters) is not None and not _WORDS.fullmatch(letters.lower())


def apart(text: str) -> str:
    """A formula with spaces between the letters of its products.

    In it a short unit that no number is before is a product too, as in `T = mg`, and so are the
    capitals of several points; not behind the sign of an angle or a triangle, where they have an
    order.
    """
    return _RUN.sub(_spaced, text) if _FORMULA.search(text) else text


def _spaced(run: re.Match[str]) -> str:
    letters, before = run[0], run.string[: run.start()]
    if _FIGURE.search(before) or _SAID.fullmatch(letters):
        return letters
    opened = _OPENED.search(before) is not None and read(letters).kind is not None
    if len(letters) == 2 and letters.islower():  # of which many are words
        found = opened
    elif len(letters) == 2:
        signs = _SIGNED.search(before) or _SIGN.match(run.string, run.end())
        found = opened or letters.isupper() or product(letters) or signs is not None
    else:
        found = product(letters) or (letters.isupper() and "\\" in run.string)
    power = len(letters) < 4 and _POWER_OF_E.match(run.string, run.end() - 1)
    return " ".join(letters) if found or power else letters


_VARIABLES = re.compile(r"(?:(?:- ?)?[A-Za-z](?:\^\{?\d+\}?)? ?)+")
_ORDINAL = re.compile("st|nd|rd|th")
# Units and other words of two letters that are not in the table.
_SHORT = re.compile(
    "p[tpxc]|kr|cc|ha|dl|cl|dm|kn|db|of|us|in|is|it|no|so|as|at|by|or|on|to|[ap]m|be|do|he|we"
    "|.?[A-Z].?"
)
# Neighbours in the alphabet, of which no word and no unit is made.
_NEIGHBOURS = re.compile("a?b?c?d?|k?l?m?n?|m?n?p?q?|p?q?r?s?t?|u?v?w?x?y?z?")
# Two letters, a capital behind another letter, or small letters without a vowel.
_NO_WORD = re.compile(
    r"[A-Z]{2}|[A-Z][a-z]|(?=.*[a-z])[A-Za-z]{1,2}[A-Z][A-Za-z]{0,2}"
    r"|(?![AEIOU])[A-Zb-df-hj-np-tv-xz][b-df-hj-np-tv-xz]{2}"
)
# Words, functions and abbreviations that look like products.
_WORDS = re.compile(
    "a[dhlmnstu]|and|b[ceuy]|bps|cbrt|c[clm]|cds|d[blor]|ctg|cth|dbl|dvds?|ev|gbp?|gcd|go|gpa|h[aep]"
    "|hrs|i[dfnstu]|kb|lbs|lcm|l[gn]|m[bersty]|mph|mrs|nan|no[rt]?|nth|o[fknr]|pm|pp[bm]|pts|rmb"
    "|rpm|sgn|so|sqft|st|t[bhorv]|tbsp|true|tsp|tvs|u[kps]|vs|we|xor|xth|yes"
)
_SAID = re.compile("AND|X?OR|NOT|NOR|NAND|TRUE|YES|N[Oo]|IF")  # of logic
_FORMULA = re.compile(r"[+=*^<>]|\\(?!q?quad|text)[A-Za-z]|\d[A-Za-z]{2}")
_RUN = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{2,4}(?![A-Za-z.])")
_FIGURE = re.compile(r"(?:\\(?:m?angle|triangle|odot|square)|[∠△⊙]) ?$")
_OPENED = re.compile(r"(?:^|[-+*/=<>^({\[|,]|\\(?!pi(?![a-z]))[A-Za-z]+)\s*$")
_SIGNED = re.compile(r"[-+*/=<>^({]\s*$")
_SIGN = re.compile(r"\s*[+*^]")
_POWER_OF_E = re.compile(r"e\^(?!\{?\d*[-+]\}?(?![A-Za-z\d]))")
