r"""Whether what equals the right answer is one: worked out, and not the question once more.

Mathematics finds `\sqrt{242}` equal to `11\sqrt{2}`: a copy of the question would be right without
any work.
"""

import re
from collections import Counter

from srl_edge.method.answers.items_of_lists import in_order
from srl_edge.method.answers.names import EQUALS, is_label, is_open
from srl_edge.method.answers.plain import plain, ungrouped
from srl_edge.method.answers.quantities import quantity, same, without_unit

_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
# What a formula begins or ends at: its delimiters, a line of several, an empty line.
_DELIMITER = re.compile(
    r"(?<!\\)\$+|\\[()\[\]]|\\\\|\\(?:begin|end)\s*\{[A-Za-z]+\*?\}|(?<!\\)&|\n\s*\n"
)
_SIGNS = tuple(
    (re.compile(pattern), sign)
    for pattern, sign in (
        (r"\\le(?![a-z])", "≤"),
        (r"\\ge(?![a-z])", "≥"),
        (r"\\ne(?![a-z])", "≠"),
        (r"\\lt(?![a-z])", "<"),
        (r"\\gt(?![a-z])", ">"),
        (r"\\div(?![a-z])", "÷"),
        (r"[×·⋅]", "*"),
    )
)
_FUNCTION = (
    r"(?:sqrt|cbrt|log|lg|ln|exp|(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|[dt]?binom|choose|gcd|lcm|max"
    r"|min|[bp]?mod|floor|ceil|abs)"
)
_TOTAL = re.compile(
    r"\\(?:i{1,3}nt|oint|lim(?:sup|inf)?|sum|prod|det)(?![a-z])|[∫∑∏]|\\begin ?\{ ?[vV]matrix"
    r"|(?<![A-Za-z\\])(?:lim(?= ?_)|det(?= ?\())"
)
# What is done to values. A fraction of numbers is itself one.
_OPERATION = re.compile(
    rf"[+*÷^!|√]|(?<=[\w)}}\]!°]) ?-|(?<![A-Za-z])\\?{_FUNCTION}(?![A-Za-z])"
    rf"|\\[lr](?:floor|ceil)|\\begin.*\\begin|{_TOTAL.pattern}"
)
_FRACTION = re.compile(r"/|\\frac")
_LETTER = re.compile(r"(?<!\\)(?<!\\[A-Za-z])[A-Za-z]")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_RELATION = re.compile(r"[=<>≤≥≠≈]")
_PARTS = re.compile(rf"{_RELATION.pattern}|[,;]|\b(?:and|or)\b")
_BRACKETS = " (){}[]"
_NEAR = 40  # characters around a formula that say whether it is a whole one
# What may stand before and behind a whole formula of a text: its end, a relation, a word.
_ENDS = "=<>≤≥≠≈,;:.?!\"'"
_WORD = rf"(?!{_FUNCTION}(?![a-z]))[A-Za-z]{{2,}}"
_WORD_BEFORE = re.compile(rf"(?<![A-Za-z\\]){_WORD}$")
_WORD_BEHIND = re.compile(_WORD)
_SPELLED = re.compile(r"\\[A-Za-z]+|[^\W_]|[^\s\w(){}\[\]+*\\]|_")
# Numbers alone, added and multiplied.
_NUMBERS = re.compile(r"(?:[\d\s.+\-*/÷(){}\[\]]|\\frac)+")
_JOINED = re.compile(r"[\d.)}\]]\s*(?:[+*-]\s*[-+\s(\[{]*(?:\\frac|[\d.])|(?<!\})[(\[]\s*-?\s*\d)")
_BRACED = re.compile(r"^\{(.*)\}$")
_SAID_TWICE = re.compile(r"[=≈]|\bor\b| \(")


def is_worked_out(given: str, answer: str, problem: str = "") -> bool:
    """Whether a value that equals the right answer is a result, and no formula of the problem."""
    given, answer = _in_one_spelling(given), _in_one_spelling(answer)
    sides = _sides(given)
    if _TOTAL.search(given) and not _TOTAL.search(answer):
        results = [side for side in sides if not _TOTAL.search(side)]
        if not any(not is_label(side) or _spelled_alike(side, answer) for side in results):
            return False
    if (right := quantity(answer)) and any(map(_is_sum, sides)):
        parts = [_BRACED.sub(r"\1", part.strip(" ().")) for part in _SAID_TWICE.split(given)]
        said = [quantity(part) for part in parts if not _is_sum(part)]
        return any(each and same(each, right) for each in said)
    return not (problem and _is_copy(given, sides, answer, problem))


def _is_copy(given: str, sides: list[str], answer: str, problem: str) -> bool:
    """Whether a text, or each value that it says, stands in a problem and is yet to be done."""
    if _spelled_alike(given, answer):
        return False
    asked = _in_one_spelling(_DELIMITER.sub(" ; ", _DRAWING.sub("", problem)))
    values = [side for side in sides if not is_label(side)]
    return _stands_in(asked, given) or (
        bool(values) and all(_stands_in(asked, value) for value in values)
    )


def _in_one_spelling(text: str) -> str:
    text = plain(text)
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    return text


def _sides(text: str) -> list[str]:
    """What is between the equals signs of a text that stand in no brackets."""
    cuts = [sign.span() for sign in EQUALS.finditer(text) if not is_open(text[: sign.start()])]
    edges = [0, *(edge for cut in cuts for edge in cut), len(text)]
    return [text[a:b].strip() for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _spelled_alike(given: str, answer: str) -> bool:
    """Whether two texts, or the values that they name, have the same signs, in whatever order."""
    return not {_signs(text) for text in _values(given)}.isdisjoint(map(_signs, _values(answer)))


def _values(text: str) -> tuple[str, ...]:
    *names, value = _sides(text)
    return (text, value, without_unit(value)[0]) if all(map(is_label, names)) else (text,)


def _signs(text: str) -> frozenset[tuple[str, int]]:
    found = Counter("/" if sign == r"\frac" else sign for sign in _SPELLED.findall(text))
    return frozenset(found.items())


def _stands_in(asked: str, text: str) -> bool:
    """Whether a text is a formula of a problem, and has something to be worked out."""
    if _is_bare(text):
        return False
    text, asked = _DELIMITER.sub(" ; ", text).strip(" ;").replace("÷", "/"), asked.replace("÷", "/")
    signs = re.sub(rf"[\\{re.escape(_BRACKETS)}]|(?<!\d)\*|\*(?!\d)", "", text)
    skipped = rf"[\\*{re.escape(_BRACKETS)}]*"
    return any(
        _ends_before(asked[max(0, match.start() - _NEAR) : match.start()])
        and _begins_behind(asked[match.end() : match.end() + _NEAR])
        for match in re.finditer(skipped.join(map(re.escape, signs)), asked)
    )


def _ends_before(before: str) -> bool:
    """Whether a formula may begin behind a text."""
    left = before.removesuffix("\\").rstrip(_BRACKETS)
    if not left:
        return True
    if re.search(r"\d[.,]$", before):
        return False
    return left[-1] in _ENDS or (left != before and _WORD_BEFORE.search(left) is not None)


def _begins_behind(behind: str) -> bool:
    """Whether a formula may end before a text."""
    right = behind.lstrip(_BRACKETS)
    if not right:
        return True
    if re.match(r"[.,]\d", behind):
        return False
    return right[0] in _ENDS or (right != behind and _WORD_BEHIND.match(right) is not None)


def _is_bare(text: str) -> bool:
    """Whether a text is a value, or what a letter is, and nothing is to be done."""
    interval = in_order(text)
    if quantity(text) or (interval and interval[0]):
        return True
    parts = [part.strip() for part in _PARTS.split(text)]
    if any(map(_is_operation, parts)):
        return False
    return not _RELATION.search(text) or all(
        is_label(part) or not _LETTER.search(_COMMAND.sub("", part)) for part in parts
    )


def _is_operation(text: str) -> bool:
    if quantity(text):
        return False
    divided = _FRACTION.search(text) and _LETTER.search(_COMMAND.sub("", text))
    return bool(divided) or _OPERATION.search(text) is not None


def _is_sum(text: str) -> bool:
    """Whether a text is numbers that are yet to be added or multiplied, as `48 + 24`."""
    text = without_unit(ungrouped(text.replace("$", "").strip()))[0]
    return _NUMBERS.fullmatch(text) is not None and _JOINED.search(text) is not None
