# ruff: noqa: RUF001 - characters of other scripts are what is read here
"""One plain spelling of a value: without Markdown, TeX's delimiters and other scripts' digits."""

import re
import unicodedata
from functools import lru_cache

from srl_edge.method.answers.number_words import number_word

# What nobody sees: zero-width spaces and joiners, a byte-order mark, marks of writing's direction.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\ufeff]"
)
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"))


def seen(text: str) -> str:
    """A text without characters that have no width, which pages and chats leave in copies."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def in_ascii(text: str) -> str:
    """A text whose digits, fractions, minus signs and spaces are ASCII's, of whatever script."""
    if (text := seen(text)).isascii():
        return text
    digits = (
        str(unicodedata.decimal(c))
        if not c.isascii() and unicodedata.decimal(c, None) is not None
        else {"٫": ".", "٬": ",", "，": ",", "。": ".", "％": "%", "٪": "%", "＄": "$"}.get(c, c)
        for c in text
    )
    text = re.sub("(?<!\\d) (?=\\d+\u2044)", "", "".join(map(_spelled, digits)))
    text = _LOWERED.sub(lambda m: f"_{{{unicodedata.normalize('NFKC', m[0])}}}", text)
    text = _RAISED.sub(lambda m: f"^{{{unicodedata.normalize('NFKC', m[0])}}}", text)
    text = unicodedata.normalize("NFKC", _SPACES.sub(" ", text)).replace("\u2044", "/")
    return text.translate(_MINUS)


# What TeX sets as words; what is bold or slanted in a formula is a vector or a variable.
WORDS = r"\\(?:text(?:rm|normal|sf|bf|it|tt|sl|sc|md|up)?|mathrm|mbox)"
UNIT = rf"{WORDS}\s*\{{(?!\s*[ei]\s*\}})"  # upright e and i are numbers
_LOOKS = re.compile(
    r"\\(?:text)?color ?\{[^{}]*\}"
    r"|\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge|textstyle)(?![A-Za-z])"
)
_MICRO = re.compile(rf"\\mu\s*({WORDS}\s*\{{)\s*")
_LOWER = re.compile(rf"({WORDS}\s*\{{[^{{}}]*)\}} ?_ ?(?:(\d)|\{{ ?(\d+) ?\}})")  # \text{CO}_2
_JOINED = re.compile(rf"(_\{{\d+\}})\}} ?{WORDS}\s*\{{(?=[A-Z])")
_SIGNS = {"pounds": "£", "euro": "€", "yen": "¥", "textdollar": r"\$", "mathdollar": r"\$"}
_IN_TEN = re.compile(r"(?<=\d)_(?:\{ ?10 ?\}|10)$")
_PRIME = re.compile(r" ?\^ ?(?:\\prime(?![A-Za-z])|\{ ?(?:\\prime ?){1,4}\})")
# Arguments of one character, which TeX takes without braces.
_TWO_ARGUMENTS = re.compile(r"\\[dt]?binom ?(\d) ?(\d)")
_OPEN_ARGUMENT = re.compile(
    r"(\\mathbb(?= |[A-Z])|\\pmod(?= )|\\sqrt ?\[\w+\]) ?(\d|[A-Za-z])(?![A-Za-z\d])"
)
_BASE_IN_WORDS = re.compile(r"(?<=\d)_ ?\{ ?([a-z]+) ?\}")
_DELIMITER = re.compile(r"(?<!\\)\$")  # an escaped one is money
_PRICED = re.compile(rf"\\({'|'.join(_SIGNS)})(?![A-Za-z])\s*")


@lru_cache(64)  # one comparison asks for the same few texts again and again
def plain(text: str) -> str:
    """An answer without Markdown, LaTeX's delimiters and spaces, and other scripts' digits."""
    text = in_ascii(text)
    text = TEX_COMMA.sub("", text)  # of no list
    text = re.sub(r",\s*\\!\s*|\\text\s*\{\s*,\s*\}", ",", text)
    text = re.sub(r"\\(?:left|right|big|Big|displaystyle)(?![A-Za-z])|\\!", "", text)
    text = _SPELLINGS.sub(lambda match: _SPELLED[match[1]], text) if "\\" in text else text
    text = re.sub(r"\\([lg])eq(?:slant|q)(?![A-Za-z])", r"\\\1e ", text)
    text = re.sub(r"\\not ?=", r"\\ne ", text)
    text = _PRICED.sub(lambda match: _SIGNS[match[1]], _LOOKS.sub("", text))
    text = _JOINED.sub(r"\1", _LOWER.sub(r"\1_{\2\3}}", text))
    text = _unwrapped(_MICRO.sub(r"\1μ", text))
    text = re.sub(r"(?<!\\)\\[,;: ]|(?<!\\)~|\\q?quad(?![A-Za-z])", " ", text)
    text = re.sub(r"(?<=\d) ?\^ ?\{ ?(st|nd|rd|th) ?\}", r"\1", text)
    text = re.sub(r"\^\{?\\circ\}?|\\degree(?![A-Za-z])", "°", text)
    text = re.sub(r"\\(?:times|cdot)(?![A-Za-z])", "*", text)
    text = re.sub(r"\{ ?([,:]) ?\}", r"\1", text)
    text = _PRIME.sub(lambda match: "'" * match[0].count("prime"), text)
    text = re.sub(r"\+/-|^\+-", "±", text)
    text = _OPEN_ARGUMENT.sub(r"\1{\2}", _TWO_ARGUMENTS.sub(r"\\binom{\1}{\2}", text))
    text = _BASE_IN_WORDS.sub(lambda match: f"_{{{number_word(match[1]) or match[1]}}}", text)
    text = re.sub(r"\\[()\[\]]|\*\*(?=\D|$)|(?<!\w)__|__(?!\w)|`", "", text)
    if len(_DELIMITER.findall(text)) % 2 == 0:
        text = _DELIMITER.sub("", text)
    text = re.sub(r"\\(?=[%$#&_])", "", text)
    text = re.sub(r"\s+", " ", text.replace(" ^", "^")).strip()
    while (text[-1:] in tuple(".,;:?*") or re.search(r"[^\W\d_]{2}!$", text)) and text[-2:] != "..":
        text = text[:-1].rstrip()
    text = text.strip(" *") if text.count("*") != 1 else text.strip()
    return _IN_TEN.sub("", text) if re.match(r"[-+]?\d[\d.,]*_", text) else text


# Commands that say what others do, or nothing.
_SPELLED = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"), r"\frac"),
    **{"lbrace": r"\{", "rbrace": r"\}", "langle": "(", "rangle": ")"},
    **dict.fromkeys(("lvert", "rvert", "vert"), "|"),
    **dict.fromkeys(("blacksquare", "qedsymbol", "rm", "bf", "it"), ""),
}
_SPELLINGS = re.compile(rf"(?<!\\)\\({'|'.join(_SPELLED)})(?![A-Za-z])(?!(?<=rm|bf|it) ?\{{)")
TEX_COMMA = re.compile(r"(?<=\d)(?:,\s*\\!|\\text\s*\{\s*,\s*\}|\{ ?, ?\})\s*(?=\d{3}(?!\d))")
_LOWERED = re.compile("[\u2080-\u208e\u2090-\u209c]+")
_RAISED = re.compile("[\u2070\u2071\u00b9\u00b2\u00b3\u2074-\u207f\u02b8\u02e3\u1d4f\u1d50\u1d57]+")


def _spelled(character: str) -> str:
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return f" {unicodedata.normalize('NFKC', character)}"  # 1½ is not 11/2
    if unicodedata.decomposition(character).startswith("<circle>"):
        return f"({unicodedata.normalize('NFKC', character)})"  # ①③ is not 13
    if character in "ℂℕℚℝℤ":
        return rf"\mathbb{{{unicodedata.normalize('NFKC', character)}}}"
    return character


_TEXTUAL = re.compile(
    rf"(?:{WORDS}|\\(?:math(?:bf|it|sf|tt)|"
    r"boldsymbol|bm|underline|operatorname|boxed|fbox|bf|rm))\s*\{"
)


def _unwrapped(text: str) -> str:
    r"""A text without \text{…} and its kind, around what they hold."""
    opened = list(_TEXTUAL.finditer(text)) if "\\" in text else []
    if not opened:
        return text
    closed = closings(text)
    cuts = [match.span() for match in opened]
    cuts += [(closed[m.end()], closed[m.end()] + 1) for m in opened if m.end() in closed]
    parts, at = [], 0
    for start, end in sorted(cuts):
        parts.append(text[at:start])
        at = end
    return " ".join([*parts, text[at:]])


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def closings(text: str) -> dict[int, int]:
    """Where each brace is closed, by where what it holds begins; not where nothing closes it."""
    closed: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            opened.append(match.end())
        elif match[0] == "}" and opened:
            closed[opened.pop()] = match.start()
    return closed


def ungrouped(text: str) -> str:
    """A text that holds no list without the commas between thousands."""
    return _COMMAS.sub(lambda match: match[0].replace(",", ""), text)


def tightened(text: str) -> str:
    """A text without spaces between thousands that no list can be, as those of `70, 000`."""
    return _LOOSE.sub(
        lambda match: re.sub(r"[^\d,]", "", match[0]) if _LED_BY_0.search(match[0]) else match[0],
        text,
    )


_COMMAS = re.compile(r"(?<![\d.,(\[])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_LOOSE = re.compile(
    r"(?<![\d.,(\[{])(?<!, )[1-9]\d{0,2}(?: ?,(?: |~|\\[ ,])*\d{3})+(?![\d,]| ?, ?\d)"
)
_LED_BY_0 = re.compile(r"\D0\d\d(?!\d)")
