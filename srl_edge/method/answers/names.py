# ruff: noqa: RUF001 - Greek letters and signs of mathematics are what is read here
r"""What a value is called: the `a_{10}` of `a_{10} = 55`, the `\tan A` and the `Area`.

A name is a letter, a function of something, points, or words. What is done to a letter, as in `2x`,
`x^2` and `x + 1`, is no name: of that equation the other side is not what was asked for.
"""

import re

from srl_edge.method.answers.typed import GREEK

_LONGEST = 80  # characters of a name
EQUALS = re.compile(r"(?<![!<>=:\\])(?:=(?!=)|≈|\\(?:approx|simeq|sim)(?![a-z]))")
_BRACKETS = re.compile(r"[(\[{}\])]")
_GREEK = (
    r"\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho"
    r"|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|ell)"
    r"(?![A-Za-z])"
)
_DRESSED = (
    r"\\(?:math(?:bb|cal|bf)|overline|overrightarrow|vec|bar|hat|tilde|dot|widehat)(?![A-Za-z])"
)
_HELD = r" ?(?:\{[^{}]*\}|[A-Za-z](?![A-Za-z]))"
_LETTER = rf"(?:[A-Za-z](?![A-Za-z])|[α-ωΑ-Ω]|{_GREEK}|{_DRESSED}{_HELD})"
_LOWER = r" ?_ ?(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[^\W_]+)"
_PRIMES = r" ?(?:'{1,4}(?!')|\^ ?\{? ?(?:\*|(?:\\ast|(?:\\prime ?){1,3})(?![A-Za-z])) ?\}?)"
_INVERSE = r"\^ ?\{? ?-1 ?\}?(?= ?\()"
_OF = r" ?(?:\((?:[^()]|\([^()]*\))*\)|\[[^\[\]]*\])"
_VARIABLE = rf"(?:(?:\\Delta|Δ|#) ?)?{_LETTER}(?:{_LOWER}|{_PRIMES})*"
_FUNCTION = (
    rf"(?:{_LETTER}|\([^()]*\\circ[^()]*\))(?:{_LOWER}|{_PRIMES}|{_INVERSE})*{_OF}(?:{_LOWER})?"
)
_FIGURE = rf"(?:(?:m ?)?(?:\\(?:angle|triangle)|[∠△]) ?)?(?:{_DRESSED} ?\{{? ?)?[A-Z]{{1,4}}\}}?"
_ABSOLUTE = rf"(?:\\?\||\\[lr]?[vV]ert ?)(?:{_VARIABLE}|{_FIGURE}) ?(?:\\?\||\\[lr]?[vV]ert)"
_ROUNDED = rf"\\[lr](?:floor|ceil) ?{_VARIABLE} ?\\[lr](?:floor|ceil)"
_COUNTED = (
    r"[CPA](?: ?_ ?(?:\{\w+\}|\w) ?\^ ?(?:\{\w+\}|\w)| ?\^ ?(?:\{\w+\}|\w) ?_ ?(?:\{\w+\}|\w))"
)
_APPLIED = (
    rf"\\?(?:sin|cos|tan|cot|sec|csc|det|max|min|sup|inf|deg|dim|ker|gcd|lcm|arg|Var|rank|Re|Im)"
    rf"(?![A-Za-z])(?:{_LOWER})?(?:\^\{{?2\}}?)? ?(?:{_OF}|(?:\\angle|∠)? ?{_VARIABLE})"
)
_TOTALLED = r"\\(?:lim|int|sum|prod)(?![A-Za-z]).*"
_DERIVATIVE = (
    r"\\frac ?\{ ?d(?:\^\{?\d\}?)? ?[A-Za-z]? ?\} ?\{ ?d ?[A-Za-z](?:\^\{?\d\}?)? ?\}"
    r"|d(?:\^\{?\d\}?)?[A-Za-z]/d[A-Za-z](?:\^\{?\d\}?)?"
)
_WORD = r"(?!(?:sqrt|log|ln|exp|cbrt|abs|not|never|no|or|and|if|than|less|more|is|mod)\b)[^\W\d_]+"
_WORDS = rf"(?={_WORD})(?=.*[^\W\d_]{{3}}|[a-z][A-Z]){_WORD}(?:[ -]{_WORD}){{0,7}}(?:{_OF})?"
# A sum of numbers alone that is written with a command, as `\gcd` without its letters.
_COMPUTED = r"(?=.*(?:\\[A-Za-z]|!))(?:[\d\s+\-*/^_(){}\[\],.!π°]|\\[A-Za-z]+|(?<=\\ln )e)+"
_FORMS = {
    "variable": _VARIABLE,
    "function": rf"{_FUNCTION}|{_APPLIED}|{_DERIVATIVE}|{_COUNTED}|{_TOTALLED}",
    "figure": rf"{_FIGURE}|{_ABSOLUTE}|{_ROUNDED}|\[[A-Z]{{3,}}\]",
    "words": _WORDS,
    "computed": _COMPUTED,
}
_NAMES = {form: re.compile(pattern) for form, pattern in _FORMS.items()}
_SEVERAL = re.compile(r"[,;]|\b(?:and|or)\b")


def named(text: str) -> tuple[str, str]:
    """A plain text's name and value, as of `S_5 = 31`; '' and the text where it has no name."""
    for sign in EQUALS.finditer(text, 0, _LONGEST):
        left, right = text[: sign.start()].strip(), text[sign.end() :].strip()
        if is_open(left):
            continue  # P(X = 2) = 1/2
        several = "=" in right and _SEVERAL.search(right)
        return (left, right) if right and not several and is_name(left) else ("", text)
    return "", text


def is_open(text: str) -> bool:
    """Whether a bracket of a text is not closed."""
    brackets = "".join(_BRACKETS.findall(text))
    return sum(brackets.count(each) for each in "([{") > sum(map(brackets.count, ")]}"))


def is_name(text: str) -> bool:
    """Whether the whole of a text is the name of a value."""
    return len(text) <= _LONGEST and _form(text) != ""


def is_label(text: str) -> bool:
    r"""Whether a text is a name that says no value itself, as `S_5`, and not `\gcd(6, 4)`."""
    return is_name(text) and _form(text) != "computed"


def _form(name: str) -> str:
    """What a name is made of; '' for what is none."""
    form = next((form for form, each in _NAMES.items() if each.fullmatch(name)), "")
    if form == "function" and (head := re.match(r"([A-Za-z]) ?\(", name)):
        again = rf"(?<![A-Za-z\\]){head[1]}(?![A-Za-z(])"  # x(x + 1)
        return "" if re.search(again, name[head.end() :]) else form
    return form


def asked_for(left: str) -> bool:
    """Whether what is before an equals sign is what was asked for: 3 + 4, x + y, S_5, not 5x.

    An equation in one letter is solved, and its other side is no answer, nor the last of several.
    """
    left = left.strip(" $")
    name, rest = named(left)
    if is_name(left) or (name and rest and asked_for(rest)):
        return True
    left = _MARKED_POINTS.sub("", rest)
    letters = set(_LETTERS.findall(left))
    if re.search(r"\d[A-Za-z]", _TENS.sub("", left.rpartition("=")[2])):
        return False
    return not letters or (len(letters) > 1 and not _SEVERAL.search(left))


_MARKED_POINTS = re.compile(r"m?\\m?(?:angle|overline)\s*\{?\s*[A-Z]+\}?")
_LETTERS = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_TENS = re.compile(r"(?<![\d.])10+(?=[A-Za-z])")  # 100m + n, of which digits are asked for


def agree(a: str, b: str) -> bool:
    """Whether two names may be one value's: x is no y, and f(2) no f(3), but the area may be A.

    What is called a letter here may be a function or in words there, as y is f(x).
    """
    if _spelled(a) == _spelled(b):
        return True
    forms = {_form(a), _form(b)}
    if forms == {"variable"}:
        one, other = sorted((_spelled(a), _spelled(b)), key=len)
        return re.fullmatch(re.escape(one) + r"_\w+", other) is not None  # x_1 may be x
    if forms == {"words"}:
        words, others = (set(re.findall(r"\w+", name.casefold())) - _EMPTY for name in (a, b))
        return words <= others or others <= words
    if forms == {"variable", "function"}:
        function, variable = (
            _spelled(name) for name in ((a, b) if _form(a) == "function" else (b, a))
        )
        return not function.endswith(f"({variable})")
    if forms == {"figure"}:
        one, other = sorted((re.sub("[^A-Z]", "", name) for name in (a, b)), key=len)
        return one in (other, other[::-1]) or (len(one) == 1 and one == other[1:2])
    return forms != {"function"}


_EMPTY = frozenset({"the", "of", "a", "an", "total", "value", "then", "so"})


def _spelled(name: str) -> str:
    """A name in one spelling: without braces, spaces and backslashes, and with Greek in words."""
    name = re.sub(r"\^ ?\{? ?((?:\\prime ?){1,3})\}?", lambda m: "'" * m[1].count("p"), name)
    name = "".join(GREEK.get(character, character) for character in name)
    return re.sub(r"\\(?:left|right|big)|[\\{}\s]", "", name)
