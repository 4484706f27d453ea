# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Formulas: what is one, and whether two are equal; points and intervals in order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from itertools import product as product_of

from srl_edge.method.mathematics import as_list, equal
from srl_edge.method.names import agree, asked_for, named
from srl_edge.method.products import apart, product
from srl_edge.method.quantities import (
    Quantity,
    closings,
    plain,
    quantity,
    same,
    ungrouped,
    without_unit,
)
from srl_edge.method.texts import same_text
from srl_edge.method.units import same_unit

# What makes a text mathematics, beside a number.
_MATH = re.compile(
    r"\\[A-Za-z]+|[\^√π∞∪∩≤≥≠±∈∅°]|[([{][^()\[\]]*,[^()\[\]]*[)\]}]"
    r"|(?<![A-Za-z])(?:sqrt|pi|sin|cos|tan|log|ln|theta|inf|infinity)(?![A-Za-z])"
)
_FORMULA = re.compile(r"[A-Za-z\d\s.,()\[\]{}+*/^_=<>!|-]+")
_IN_BASE = re.compile(r"(-?[0-9A-Z]+)_\{?(\d+)\}?")


def is_formula(text: str) -> bool:
    """Whether a text is mathematics: no word of it but names of functions and LaTeX's commands."""
    text = _PRIMES.sub("", as_list(plain(text)))
    if not text or _NO_FORMULA.fullmatch(text) or _COMPOUND.fullmatch(text):
        return False
    text = apart(text)
    bare = _GREEK.sub(" ", _NAMES.sub("", text))
    if re.search(r"[\d+=*^\\]", text):
        bare, text = (
            _LETTERS.sub(lambda run: "x" if product(run[0]) else run[0], each)
            for each in (bare, text)
        )
    if re.search(r"[^\W\d_]{2}", re.sub(r"\b[A-Z]{2,3}\b(?=\s*[=)])", "", bare)):
        return False
    if _MATH.search(text) or _SET.fullmatch(_unbraced(text)):
        return True
    signs = re.search(r"[-+*/=<>!,_]|\d\s?[A-Za-z]\b|\d (?:or|and) -?\d", text)
    text = text.replace("%", "") if "," in text else text
    return bool(signs and _FORMULA.fullmatch(text) and re.search(r"[A-Za-z\d]", text))


_PRIMES = re.compile(r"(?<=(?<![A-Za-z])[A-Za-z])'{1,4}(?![A-Za-z'])")
_GREEK = re.compile("(?<![α-ωά-ώ])[α-ω](?![α-ωά-ώ])")
# Letters that may be variables side by side; a word of two only where signs are around it.
_LETTERS = re.compile(
    r"(?<![A-Za-z\\])(?!to\b)(?:(?<=[-+*/=^({}])(?!..-)|(?<=[-+*/=^({}] )|(?<=\d)|(?=..[+^])"
    r"|(?!ln\b)(?!(?:a[dmnst]|be|by|do|go|ha|h[ei]|i[fst]|la|m[ey]|no|o[fhknrx]|pm|re|so|tv|u[ps]|vs|we)\b))"
    r"[a-z]{2,4}(?![A-Za-z.])"
)
_NAMES = re.compile(
    r"\\(?:begin|end)\{[a-z]+\}|\\[A-Za-z]+"
    r"|(?<![A-Za-z])(?:sqrt|pi|sin|cos|tan|log|ln|or|and|in|mod|max|min|arcsin|arccos|arctan"
    r"|alpha|beta|gamma|delta|theta|lambda|sigma|omega|inf|infinity)(?![A-Za-z])"
)
# Dates, versions, times of day and ranges, which are no sums.
_NO_FORMULA = re.compile(
    r"\d{1,4}([-/.:])\d{1,4}\1\d{1,4}(?:\1\d+)*|\d{1,2}:\d{2}|\d+ ?- ?\d+"
    r"|\d{1,2}(?::\d{2})?\s?[ap]\.? ?m\.?",
    re.IGNORECASE,
)

_COMPOUND = re.compile(r"(?=.*\d)(?:\(?[A-Z][a-z]?\)?\d*){2,}")  # H2O


def same_formula(given: str, answer: str) -> bool:
    """Whether two formulas are equal: as texts, as quantities, in order, or by math-verify."""
    if same_text(given, answer):
        return True
    given, answer = (_of_reals(_unbraced(text)) for text in (given, answer))
    whole = given
    if "=" not in answer:
        if _unsolved(given):
            return False
        given = _comes_to(given)
    elif "=" not in given or _same_names(given, answer):
        given, answer = named(plain(given))[1], named(plain(answer))[1]
    if "," not in plain(answer) and plain(given)[:1] not in ("{", "\\"):
        given = ungrouped(given)  # 1,200 is a number where no list is asked for
    found, right = quantity(given), quantity(answer)
    if found and right:
        return same(found, right)
    if (counted := same_quantities(given, answer)) is not None:
        return counted
    (given, unit), (answer, right_unit) = without_unit(given), without_unit(answer)
    if unit and right_unit and not same_unit(unit, right_unit):
        return False
    if (both := _both_listed(given, answer)) is not None:
        return _paired(*both)
    if any(_PLUS_MINUS.search(plain(text)) for text in (given, answer)):
        signed, right_signed = _signed(given), _signed(answer)
        if signed and right_signed and _paired(signed, right_signed):
            return True
    if unlike(given, answer):
        return plain(given).replace(" ", "") == plain(answer).replace(" ", "")
    based = [_IN_BASE.fullmatch(plain(text)) for text in (given, answer)]
    if based[0] and based[1]:
        return based[0].groups() == based[1].groups()
    parts, right_parts = _in_order(given), _in_order(answer)
    if parts and right_parts and (parts[0] or right_parts[0]):
        ends, right_ends = (parts[0] + parts[-1], right_parts[0] + right_parts[-1])
        alike = ends == right_ends or not ends or not right_ends
        inner = zip(parts[1:-1], right_parts[1:-1], strict=False)
        return alike and len(parts) == len(right_parts) and all(same_formula(*p) for p in inner)
    symbols = product(plain(given)) or re.fullmatch("[A-Za-z]", plain(given))
    if not (found is not None or symbols or is_formula(given) or is_formula(whole)):
        return False
    # math-verify takes an inequality for an interval, but not the other way round.
    return equal(answer, given) if _UNLIKE[1].search(given) else equal(given, answer)


def same_spelling(given: str, answer: str) -> bool:
    """Whether two texts with signs of mathematics are one, whatever TeX's spaces and braces are."""
    return all(map(_TYPESET.search, (given, answer))) and _tight(given) == _tight(answer)


def _tight(text: str) -> str:
    return _SPACE.sub("", _ONE_RAISED.sub(r"\1\2", plain(text)))


_TYPESET = re.compile(r"\\[A-Za-z]|[=+^|→⇌]|[A-Za-z]'*\(")
_SPACE = re.compile(r"(?<![^\W_]) | (?![^\W_])")  # not between two words
_ONE_RAISED = re.compile(r"([\^_]) ?\{ ?([A-Za-z\d]) ?\}")


def _unbraced(text: str) -> str:
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


def _of_reals(text: str) -> str:
    """What holds of the numbers of a set, as `x > 2` of `\\{x \\mid x > 2\\}`; else the text."""
    held = _SET.fullmatch(plain(text))
    return held[2] if held and _UNLIKE[1].search(held[2]) else text


_SET = re.compile(
    r"\\?\{ ?([a-z])(?: ?(?:\\in|∈) ?(?:\\mathbb ?\{? ?R ?\}?|ℝ|R))?"
    r" ?(?:\||:|∣|\\(?:mid|vert|colon)(?![a-z])) ?((?=[^{|]*\1)[^{}|:;,]+?) ?\\?\}"
)
_MANY = 20  # items, each of which is compared with each


def _listed(text: str) -> list[str] | None:
    """The points, intervals or sets of a list, after the bracket that they stand in or ''."""
    text = as_list(plain(text))
    for bracket, pattern in (("{", r"\\?\{(.*?)\\?\}"), ("[", r"\[(.*)\]"), ("", "(.*)")):
        held = re.fullmatch(pattern, text)
        parts = [part.strip() for part in _parted(held[1]) or ()] if held else []
        if parts and all(map(_is_bracketed, parts)):
            return [bracket, *parts]
    return None


_PLUS_MINUS = re.compile(r"±|∓|\\(?:pm|mp)(?![A-Za-z])")
_OPPOSITE = ("∓", r"\mp")
_TURNED = {"+": "-", "-": "+"}
_SIGNS = 3  # of one item, each of which doubles it


def _signed(text: str) -> list[str] | None:
    """The items of a list, each ± of which is once a plus and once a minus; None of too many.

    Signs are apart from each other, unless ∓ says that they go together.
    """
    text = as_list(plain(text))
    if braced := re.fullmatch(r"\\?\{(.*?)\\?\}", text):
        text = braced[1]
    found: list[str] = []
    for item in _parted(text) or ():
        signs = _PLUS_MINUS.findall(item)
        if len(signs) > _SIGNS:
            return None
        together = any(sign in _OPPOSITE for sign in signs)
        for chosen in product_of("+-", repeat=min(len(signs), 1) if together else len(signs)):
            parts = _PLUS_MINUS.split(item)
            pluses = chosen * len(signs) if together else chosen
            turned = [
                _TURNED[p] if s in _OPPOSITE else p for s, p in zip(signs, pluses, strict=True)
            ]
            joined = "".join(map("".join, zip(parts, [*turned, ""], strict=True)))
            found.append(joined.strip(" +"))
    return found if len(found) <= _MANY else None


def same_quantities(given: str, answer: str) -> bool | None:
    """Whether two lists of quantities are equal, in any order where units or their lack say so.

    None where one is no such list. Between items with a space after the comma, commas without one
    are those of thousands.
    """
    mine, theirs = _quantities(given), _quantities(answer)
    if mine is None or theirs is None:
        return None
    if len({bool(each.unit) for each in (*mine, *theirs)}) == 1:
        return _same_in_any_order(mine, theirs)
    return len(mine) == len(theirs) and all(map(same, mine, theirs))


def _quantities(text: str) -> list[Quantity] | None:
    text = plain(text)
    if "=" in text or not re.search(r"\d", text) or quantity(text):
        return None
    items = _PARTING.split(text) if _PARTING.search(text) else text.split(",")
    read = [quantity(item) for item in items] if 1 < len(items) <= _MANY else []
    found = [each for each in read if each]
    if not found or len(found) < len(read):
        return None
    if found[-1].unit and not any(each.unit for each in found[:-1]):  # 5 and 7 cm
        found = [replace(each, unit=found[-1].unit) for each in found]
    return found


_PARTING = re.compile(r",?\s(?:and|or|&)\s|[,;]\s")


def _is_bracketed(text: str) -> bool:
    """Whether a text is in brackets as a whole, and holds several values."""
    match = re.fullmatch(r"(?:\(|\[|\\?\{)(.*?)(?:\)|\]|\\?\})", text)
    return match is not None and len(_parted(match[1]) or ()) > 1


def _both_listed(given: str, answer: str) -> tuple[list[str], list[str]] | None:
    """The items of two lists that have points, intervals or sets, of which one may be in braces.

    One point in braces is that point; two sets are left to math-verify, in which no item counts
    twice.
    """
    lists = [_listed(text) for text in (given, answer)]
    if lists[0] is None or lists[1] is None:
        return None
    (brace, *items), (right_brace, *right_items) = lists[0], lists[1]
    either, sizes = {brace, right_brace}, (len(items), len(right_items))
    if either not in ({""}, {"{", ""}, {"{", "["}) or max(sizes) > _MANY:
        return None
    if 1 in sizes and (either == {""} or not items[0][0] == right_items[0][0] == "("):
        return None
    return items, right_items


def _paired(given: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether two lists have equal items, in any order."""
    left = list(given) if len(given) == len(answer) else []
    for right in answer:
        found = next((item for item in left if same_formula(item, right)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _same_in_any_order(given: Sequence[Quantity], answer: Iterable[Quantity]) -> bool:
    left = list(given)
    for right in answer:
        found = next((q for q in left if same(q, right)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def same_name(given: str, answer: str) -> bool:
    """Whether two values may be called alike; where one has no name, or letters, that is so."""
    (name, _), (right_name, right) = named(plain(given)), named(plain(answer))
    return (
        not (name and right_name)
        or agree(name, right_name)
        or (quantity(right) is None and re.search(_VARIABLE, right) is not None)
    )


def _same_names(given: str, answer: str) -> bool:
    name, right_name = (named(plain(text))[0] for text in (given, answer))
    return bool(name and right_name and agree(name, right_name))


_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")


def _unsolved(text: str) -> bool:
    """Whether a text is an equation whose letter its other side does not have, as `x^2 = 3`."""
    left, equals, right = plain(text).rpartition("=")
    letters = set(_VARIABLE.findall(left))
    alone = equals and "=" not in left and not _RELATED.search(_BRACKETED.sub("", left))
    return bool(alone) and (
        len(letters) == 1 and not letters & set(_VARIABLE.findall(right)) and not asked_for(left)
    )


def _comes_to(text: str) -> str:
    """The other side of an equation, as in `Area = 24 + 6√2`; of several equations all."""
    left, _, right = as_list(plain(text)).rpartition("=")
    return text if _RELATED.search(_BRACKETED.sub("", left)) else right.strip()


_RELATED = re.compile(r"[,;<>≤≥]|!$|\\(?:[lg]e|ne|in)")
_BRACKETED = re.compile(r"\([^()]*\)")

# A congruence, or what is more or less than something, is no number; a set is no point.
_UNLIKE = (
    re.compile(r"\\equiv|\\p?mod(?![a-z])|≡"),
    re.compile(r"[<>≤≥≠]|\\(?:[lg](?:t|e|eq|eqq|eqslant)|neq?|not ?=)(?![a-z])"),
    re.compile(r"\s*(?:\\left)?\s*\\\{"),
)


def unlike(given: str, answer: str) -> bool:
    """Whether two formulas are of kinds that math-verify would mix up."""
    congruent, compared, braced = (
        [bool(pattern.match(text) if at == 2 else pattern.search(text)) for text in (given, answer)]
        for at, pattern in enumerate(_UNLIKE)
    )
    bracketed = [
        text.strip().startswith(("(", "[", r"\left(", r"\left[")) for text in (given, answer)
    ]
    interval = any(bracketed) or any(r"\in" in text for text in (given, answer))
    lists = [_in_order(text) for text in (given, answer)]
    parts = [len(each) for each in lists if each and not each[0]]
    return (
        any(congruent)
        or sum(_IN_BASE.fullmatch(plain(text)) is not None for text in (given, answer)) == 1
        or (compared[0] != compared[1] and not interval)
        or (braced[0] != braced[1] and any(bracketed))
        or (len(parts) == 2 and parts[0] != parts[1])
        or (len(parts) == 1 and (quantity(given) or quantity(answer)) is not None)
    )


def _in_order(text: str) -> list[str] | None:
    """The parts of a point or an interval between its brackets, which may be ''; None of others."""
    text = as_list(plain(text))
    match = re.fullmatch(r"([(\[])(.*)([)\]])", text)
    opened, inner, closed = match.groups() if match else ("", text, "")
    parts = _parted(inner)
    plainly = parts and len(parts) > 1 and not re.search(r"=|\\[{}]|\\in(?![a-z])", text)
    return [opened, *(parts or ()), closed] if plainly else None


def _parted(text: str) -> list[str] | None:
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
