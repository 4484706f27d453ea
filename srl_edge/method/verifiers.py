"""Exact answers: is the final answer of a solution the right one? By the answer's own kind."""

import re
from typing import get_args

from srl_edge.method import calls, choices, mathematics, own_code
from srl_edge.method.answers import Kind, final_answer, is_formula, marked_answer
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.quantities import (
    in_text,
    plain,
    quantity,
    same,
    same_unit,
    without_unit,
)

KINDS: tuple[Kind, ...] = get_args(Kind)


def kind_of(answer: str) -> Kind:
    """How an answer is compared: as a number, a formula, a choice, a call, or letter by letter."""
    if quantity(answer):
        return "number"
    if choices.letter(answer):
        return "choice"
    if calls.parsed(answer) is not None:
        return "call"
    return "math" if is_formula(without_unit(answer)[0]) else "exact"


def is_correct(solution: str, answer: str, form: PromptForm = DEFAULT) -> bool:
    """Whether the final answer of `solution`, marked or not, is `answer`."""
    given = given_answer(solution, answer, form)
    return given is not None and same_value(given, answer, form.verifier)


def given_answer(solution: str, answer: str, form: PromptForm = DEFAULT) -> str | None:
    """What a solution gives in place of `answer`, marked or not."""
    kinds = [kind for kind in KINDS if kind == form.verifier] or [kind_of(answer)]
    return final_answer(solution, form.pattern, kinds[0])


def is_marked_correct(solution: str, answer: str, form: PromptForm = DEFAULT) -> bool:
    """The same, strictly: the answer must be marked as one."""
    given = marked_answer(solution, form.pattern)
    return given is not None and same_value(given, answer, form.verifier)


def same_value(given: str, answer: str, verifier: str = "auto") -> bool:
    """Whether a given answer is the right one.

    verifier: a kind; `auto`, the right answer's own; or "file.py:function", which gets both texts.
    """
    if ":" in verifier:
        return bool(own_code.called(verifier, "verifier", given, answer))
    match kind_of(answer) if verifier == "auto" else verifier:
        case "number":
            return _same_number(given, answer)
        case "math":
            return _same_formula(given, answer)
        case "choice":
            right = choices.letter(answer)
            return choices.letter(given) == right if right else _same_text(given, answer)
        case "call":
            return calls.same(given, answer)
    return _same_text(given, answer)


def _same_number(given: str, answer: str) -> bool:
    right = quantity(answer)
    if right is None:
        return _same_formula(given, answer)
    found = quantity(given)
    worked, _, result = given.rpartition("=")
    if found is None and not re.search(r"\b[A-Za-z]\b|\d[A-Za-z]", worked):
        found = quantity(result)  # 3 + 4 = 7, and no equation
    if found is None and not is_formula(given) and not re.search(r"[π√θ∞\\^]", given):
        # In a sentence, the only number of it.
        numbers = list(in_text(given))
        words = re.findall(r"[^\W\d_]{2,}", given)
        found = quantity(numbers[0]) if len(numbers) == 1 and len(words) >= 2 else None
    elif found is None and right.places and re.fullmatch(r"-?\d+,\d+", given):
        found = quantity(given.replace(",", "."))
    if found is not None:
        return same(found, right)
    if _unlike(given, answer):
        return False
    equation = re.search(r"(?<![\\A-Za-z])[A-Za-z]", worked)
    return not equation and is_formula(given) and mathematics.equal(given, answer)


def _same_formula(given: str, answer: str) -> bool:
    if _same_text(given, answer):
        return True
    found, right = quantity(given), quantity(answer)
    if found and right:
        return same(found, right)
    (given, unit), (answer, right_unit) = without_unit(given), without_unit(answer)
    if unit and right_unit and not same_unit(unit, right_unit):
        return False
    if _unlike(given, answer):
        return plain(given).replace(" ", "") == plain(answer).replace(" ", "")
    based = [_IN_BASE.fullmatch(plain(text)) for text in (given, answer)]
    if based[0] and based[1]:
        return based[0].groups() == based[1].groups()
    parts, right_parts = _in_order(given), _in_order(answer)
    if parts and right_parts and (parts[0] or right_parts[0]):
        ends, right_ends = (parts[0] + parts[-1], right_parts[0] + right_parts[-1])
        alike = ends == right_ends or not ends or not right_ends
        inner = zip(parts[1:-1], right_parts[1:-1], strict=False)
        return (
            alike and len(parts) == len(right_parts) and all(same_value(*p, "math") for p in inner)
        )
    return (found is not None or is_formula(given)) and mathematics.equal(given, answer)


# A congruence, or what is more or less than something, is no number; a set is no point.
_UNLIKE = (
    re.compile(r"\\equiv|\\p?mod(?![a-z])|≡"),
    re.compile(r"[<>≤≥]|\\(?:le|ge|lt|gt|leq|geq|ne|neq)(?![a-z])"),
    re.compile(r"\s*(?:\\left)?\s*\\\{"),
)


def _unlike(given: str, answer: str) -> bool:
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
        or (compared[0] != compared[1] and not interval)
        or (braced[0] != braced[1] and any(bracketed))
        or (len(parts) == 2 and parts[0] != parts[1])
    )


def _in_order(text: str) -> list[str] | None:
    """The parts of a point or an interval between its brackets, which may be ''; None of others."""
    text = plain(text)
    match = re.fullmatch(r"([(\[])(.*)([)\]])", text)
    opened, inner, closed = match.groups() if match else ("", text, "")
    parts, depth = [""], 0
    for character in inner:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return None
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    plainly = len(parts) > 1 and not re.search(r"=|\\[{}]|\\in(?![a-z])", text)
    return [opened, *parts, closed] if plainly else None


_IN_BASE = re.compile(r"([0-9A-Z]+)_\{?(\d+)\}?")
_QUOTED = re.compile("^['\"\u2018\u201c](.*)['\"\u2019\u201d]$", re.DOTALL)
_TIME = re.compile(r"(\d) ?(?i:([ap])\.? ?m\b\.?)")


def _time(match: re.Match[str]) -> str:
    return f"{match[1]} {match[2].lower()}m"


def _same_text(given: str, answer: str) -> bool:
    """Letter by letter, apart from spaces, quotes and a full stop; case counts in code alone."""
    pair = [_QUOTED.sub(r"\1", plain(text)).strip() for text in (given, answer)]
    pair = [_TIME.sub(_time, re.sub(r"(?<=\d) ?: ?(?=\d)", ":", text)) for text in pair]
    words = re.fullmatch(r"[^\W\d_]+", pair[1])
    if words and re.match(rf"{re.escape(pair[1])}[,;.:] ", pair[0], re.IGNORECASE):
        return True  # Yes, it is
    if all(re.fullmatch(r"[^\W\d_]+(?:[ -][^\W\d_]+)*", text) for text in pair):
        pair = [text.casefold() for text in pair]
    return pair[0] == pair[1]
