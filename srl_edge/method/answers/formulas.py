# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Formulas: what is one, and whether two are equal; points and intervals in order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from srl_edge.method.answers.conditions import INTEGERS, conditioned, has_letter, renamed
from srl_edge.method.answers.items_of_lists import (
    MANY,
    PLUS_MINUS,
    as_point,
    as_roots,
    in_order,
    is_point,
    listed,
    signed,
    unbraced,
)
from srl_edge.method.answers.mathematics import as_list, equal
from srl_edge.method.answers.names import agree, asked_for, named
from srl_edge.method.answers.plain import plain, ungrouped
from srl_edge.method.answers.products import apart, product
from srl_edge.method.answers.quantities import Quantity, quantity, same, without_unit
from srl_edge.method.answers.stacked import as_matrix, in_a_line, rows
from srl_edge.method.answers.texts import same_text
from srl_edge.method.answers.typed import as_tex
from srl_edge.method.answers.units import same_unit

# What makes a text mathematics, beside a number.
_MATH = re.compile(
    r"\\[A-Za-z]+|[\^√π∞∪∩≤≥≠±∈∅°]|[([{][^()\[\]]*,[^()\[\]]*[)\]}]"
    r"|(?<![A-Za-z])(?:sqrt|pi|sin|cos|tan|log|ln|theta|inf|infinity)(?![A-Za-z])"
)
_FORMULA = re.compile(r"[A-Za-z\d\s.,()\[\]{}+*/^_=<>!|-]+")
_IN_BASE = re.compile(r"\(?(-?[0-9A-Z]+)\)?_\{?(\d+)\}?")


def is_formula(text: str) -> bool:
    """Whether a text is mathematics: no word of it but names of functions and LaTeX's commands."""
    if stacked := rows(text):
        return all(_is_value(value) for value, _ in stacked)
    value, _, condition = conditioned(plain(text))
    if condition and _is_value(value):
        return True
    text = _PRIMES.sub("", as_list(as_tex(plain(text))))
    if not text or _NO_FORMULA.fullmatch(text) or _COMPOUND.fullmatch(text):
        return False
    text = apart(text)
    bare = _NAMES.sub("", text)
    if re.search(r"[\d+=*^\\]", text):
        bare, text = (
            _LETTERS.sub(lambda run: "x" if product(run[0]) else run[0], each)
            for each in (bare, text)
        )
    if re.search(r"[^\W\d_]{2}", re.sub(r"\b[A-Z]{2,3}\b(?=\s*[=)])", "", bare)):
        return False
    if _MATH.search(text) or _SET.fullmatch(unbraced(text)):
        return True
    signs = re.search(r"[-+*/=<>!,_]|\d\s?[A-Za-z]\b|\d (?:or|and) -?\d", text)
    text = text.replace("%", "") if "," in text else text
    return bool(signs and _FORMULA.fullmatch(text) and re.search(r"[A-Za-z\d]", text))


def _is_value(text: str) -> bool:
    return is_formula(text) or quantity(text) is not None or bool(re.fullmatch("[A-Za-z]", text))


_PRIMES = re.compile(r"(?<=(?<![A-Za-z])[A-Za-z])'{1,4}(?![A-Za-z'])")
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
    if (held := _same_held(given, answer)) is not None:
        return held
    given, answer = (_of_reals(unbraced(text)) for text in (given, answer))
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
    if any(PLUS_MINUS.search(plain(text)) for text in (given, answer)):
        mine, theirs = signed(given), signed(answer)
        if mine and theirs and _paired(mine, theirs):
            return True
    if ("_" in given) != ("_" in answer):
        given, answer = map(as_roots, (given, answer))
    if is_point(given) != is_point(answer):
        given, answer = (text if is_point(text) else as_point(text) for text in (given, answer))
    if unlike(given, answer):
        return plain(given).replace(" ", "") == plain(answer).replace(" ", "")
    based = [_IN_BASE.fullmatch(plain(text)) for text in (given, answer)]
    if based[0] and based[1]:
        return based[0].groups() == based[1].groups()
    parts, right_parts = in_order(given), in_order(answer)
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


def _same_held(given: str, answer: str) -> bool | None:
    """Whether values in rows, or under a condition, are equal; None where both are neither.

    A condition that a letter is an integer may be left out.
    """
    if any(r"\begin" in text for text in (given, answer)):
        mine, theirs = rows(given), rows(answer)
        if mine and theirs and any(condition for _, condition in (*mine, *theirs)):
            return _same_cases(mine, theirs)
        if not (mine or theirs):
            lined = as_matrix(given), as_matrix(answer)
        else:
            lined = in_a_line(given), in_a_line(answer)
        return None if lined == (given, answer) else same_formula(*lined)
    (value, letter, said), (right, right_letter, right_said) = (
        conditioned(plain(text)) for text in (given, answer)
    )
    if not (said or right_said):
        return None
    if letter and right_letter:
        if letter != right_letter:
            if has_letter(value, right_letter):
                return False
            value = renamed(value, letter, right_letter)
        return said == right_said and same_name(value, right) and same_formula(value, right)
    if said and right_said:
        alike = not (letter or right_letter) and _same_condition(said, right_said)
    else:
        known = letter or right_letter
        alike = bool({said, right_said} & INTEGERS) and all(
            has_letter(each, known) for each in (value, right)
        )
    return True if alike and same_name(value, right) and same_formula(value, right) else None


def _same_cases(mine: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> bool:
    """Whether the values of cases are equal, in any order, each under its condition."""
    left = list(mine) if len(mine) == len(theirs) <= MANY else []
    for value, condition in theirs:
        for at, (other, said) in enumerate(left):
            if (
                _same_condition(said, condition)
                and same_name(other, value)
                and same_formula(other, value)
            ):
                del left[at]
                break
        else:
            return False
    return True


def _same_condition(given: str, answer: str) -> bool:
    return same_name(given, answer) and same_formula(given, answer)


def same_set(given: str, answer: str) -> bool:
    """Whether one of two texts says in words which set the other is."""
    pair = [plain(text) for text in (given, answer)]
    return any(
        words.fullmatch(one) is not None and other.replace(" ", "") in signs
        for words, signs in _IN_WORDS
        for one, other in (pair, pair[::-1])
    )


_IN_WORDS = (
    (
        re.compile(r"(?:there (?:is|are) )?no solutions?|(?:the )?empty set", re.IGNORECASE),
        {r"\emptyset", r"\varnothing", "∅", r"\{\}"},
    ),
    (
        re.compile(r"all (?:real numbers|reals)(?: x)?", re.IGNORECASE),
        {r"(-\infty,\infty)", r"(-\infty,+\infty)", "(-∞,∞)", "(-∞,+∞)", r"\mathbb{R}"},
    ),
)


def same_spelling(given: str, answer: str) -> bool:
    """Whether two texts with signs of mathematics are one, whatever TeX's spaces and braces are."""
    return all(map(_TYPESET.search, (given, answer))) and _tight(given) == _tight(answer)


def _tight(text: str) -> str:
    return _SPACE.sub("", _ONE_RAISED.sub(r"\1\2", plain(text)))


_TYPESET = re.compile(r"\\[A-Za-z]|[=+^|→⇌]|[A-Za-z]'*\(")
_SPACE = re.compile(r"(?<![^\W_]) | (?![^\W_])")  # not between two words
_ONE_RAISED = re.compile(r"([\^_]) ?\{ ?([A-Za-z\d]) ?\}")


def _of_reals(text: str) -> str:
    """What holds of the numbers of a set, as `x > 2` of `\\{x \\mid x > 2\\}`; else the text."""
    held = _SET.fullmatch(plain(text))
    return held[2] if held and _UNLIKE[1].search(held[2]) else text


_SET = re.compile(
    r"\\?\{ ?([a-z])(?: ?(?:\\in|∈) ?(?:\\mathbb ?\{? ?R ?\}?|ℝ|R))?"
    r" ?(?:\||:|∣|\\(?:mid|vert|colon)(?![a-z])) ?((?=[^{|]*\1)[^{}|:;,]+?) ?\\?\}"
)


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
    read = [quantity(item) for item in items] if 1 < len(items) <= MANY else []
    found = [each for each in read if each]
    if not found or len(found) < len(read):
        return None
    if found[-1].unit and not any(each.unit for each in found[:-1]):  # 5 and 7 cm
        found = [replace(each, unit=found[-1].unit) for each in found]
    return found


_PARTING = re.compile(r",?\s(?:and|or|&)\s|[,;]\s|\s?[或和、]\s?")


def _both_listed(given: str, answer: str) -> tuple[list[str], list[str]] | None:
    """The items of two lists that have points, intervals or sets, of which one may be in braces.

    One point in braces is that point; two sets are left to math-verify, in which no item counts
    twice.
    """
    lists = [listed(text) for text in (given, answer)]
    if lists[0] is None or lists[1] is None:
        return None
    (brace, *items), (right_brace, *right_items) = lists[0], lists[1]
    either, sizes = {brace, right_brace}, (len(items), len(right_items))
    if either not in ({""}, {"{", ""}, {"{", "["}) or max(sizes) > MANY:
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
    lists = [in_order(text) for text in (given, answer)]
    parts = [len(each) for each in lists if each and not each[0]]
    return (
        any(congruent)
        or sum(_IN_BASE.fullmatch(plain(text)) is not None for text in (given, answer)) == 1
        or (compared[0] != compared[1] and not interval)
        or (braced[0] != braced[1] and any(bracketed))
        or (len(parts) == 2 and parts[0] != parts[1])
        or (len(parts) == 1 and (quantity(given) or quantity(answer)) is not None)
    )
