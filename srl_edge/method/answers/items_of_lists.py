"""Values in brackets and between commas: points, intervals, sets, lists, and what ± stands for."""

import re
from itertools import pairwise
from itertools import product as product_of

from srl_edge.method.answers.mathematics import as_list
from srl_edge.method.answers.names import named
from srl_edge.method.answers.plain import closings, plain

MANY = 20  # items, each of which is compared with each


def listed(text: str) -> list[str] | None:
    """The points, intervals or sets of a list, after the bracket that they stand in or ''."""
    text = as_list(plain(text))
    for bracket, pattern in (("{", r"\\?\{(.*?)\\?\}"), ("[", r"\[(.*)\]"), ("", "(.*)")):
        held = re.fullmatch(pattern, text)
        parts = [part.strip() for part in parted(held[1]) or ()] if held else []
        if parts and all(map(is_bracketed, parts)):
            return [bracket, *parts]
    return None


PLUS_MINUS = re.compile(r"±|∓|\\(?:pm|mp)(?![A-Za-z])")
_OPPOSITE = ("∓", r"\mp")
_TURNED = {"+": "-", "-": "+"}
_SIGNS = 3  # of one item, each of which doubles it


def signed(text: str) -> list[str] | None:
    """The items of a list, each ± of which is once a plus and once a minus; None of too many.

    Signs are apart from each other, unless ∓ says that they go together.
    """
    text = as_list(plain(text))
    if braced := re.fullmatch(r"\\?\{(.*?)\\?\}", text):
        text = braced[1]
    found: list[str] = []
    for item in parted(text) or ():
        signs = PLUS_MINUS.findall(item)
        if len(signs) > _SIGNS:
            return None
        together = any(sign in _OPPOSITE for sign in signs)
        for chosen in product_of("+-", repeat=min(len(signs), 1) if together else len(signs)):
            parts = PLUS_MINUS.split(item)
            pluses = chosen * len(signs) if together else chosen
            turned = [
                _TURNED[p] if s in _OPPOSITE else p for s, p in zip(signs, pluses, strict=True)
            ]
            joined = "".join(map("".join, zip(parts, [*turned, ""], strict=True)))
            found.append(joined.strip(" +"))
    return found if len(found) <= MANY else None


def is_bracketed(text: str) -> bool:
    """Whether a text is in brackets as a whole, and holds several values."""
    match = re.fullmatch(r"(?:\(|\[|\\?\{)(.*?)(?:\)|\]|\\?\})", text)
    return match is not None and len(parted(match[1]) or ()) > 1


def is_point(text: str) -> bool:
    return plain(text).startswith("(") and is_bracketed(plain(text))


def as_roots(text: str) -> str:
    """What `x_1 = 2, x_2 = 3` says of x, as `x = 2, x = 3`; another text as it is."""
    pairs = [named(part.strip()) for part in parted(as_list(plain(text))) or ()]
    roots = [_ROOT.fullmatch(name) for name, _ in pairs]
    letters = {root[1] for root in roots if root}
    if len(pairs) < 2 or not all(roots) or len(letters) > 1:
        return text
    return ", ".join(f"{letter} = {value}" for letter in letters for _, value in pairs)


_ROOT = re.compile(r"([A-Za-z])_\{?\d\}?")


def as_point(text: str) -> str:
    """The point that equations say, by the names' order, as `(1, 2)` of `y = 2, x = 1`."""
    pairs = sorted(named(part.strip()) for part in parted(as_list(plain(text))) or ())
    names = {name for name, _ in pairs if name}
    values = [value for _, value in pairs]
    return f"({', '.join(values)})" if len(pairs) > 1 and len(names) == len(pairs) else text


def in_order(text: str) -> list[str] | None:
    """The parts of a point or an interval between its brackets, which may be ''; None of others."""
    text = as_list(plain(text))
    match = re.fullmatch(r"([(\[])(.*)([)\]])", text)
    opened, inner, closed = match.groups() if match else ("", text, "")
    parts = parted(inner)
    plainly = parts and len(parts) > 1 and not re.search(r"=|\\[{}]|\\in(?![a-z])", text)
    return [opened, *(parts or ()), closed] if plainly else None


def parted(text: str) -> list[str] | None:
    """What is between the commas that stand in no brackets; None where brackets do not match."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return None
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def unbraced(text: str) -> str:
    """A text without braces that hold all between brackets, as in `\\left[ {0,1} \\right]`."""
    opened = list(_BRACED.finditer(text))
    closed = closings(text) if opened else {}
    cuts = [
        place
        for match in opened
        if _BRACKET.match(text, (end := closed.get(match.end(), len(text))) + 1)
        for place in (match.end() - 1, end)
    ]
    return "".join(text[a + 1 : b] for a, b in pairwise([-1, *sorted(cuts), len(text)]))


_BRACED = re.compile(r"(?:(?<!\\)[(\[]|\\\{)\s*\{")
_BRACKET = re.compile(r"\s*(?:\\right\s*)?(?:[)\]]|\\\})")
