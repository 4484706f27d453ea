"""Exact answers: is the final answer of a solution the right one? By the answer's own kind."""

import re
from typing import Any, get_args

from srl_edge.errors import StageError
from srl_edge.method import calls, own_code
from srl_edge.method.answers import choices, mathematics, yes_no
from srl_edge.method.answers.expected import bare
from srl_edge.method.answers.formulas import (
    is_formula,
    same_formula,
    same_name,
    same_quantities,
    same_set,
    same_spelling,
    unlike,
)
from srl_edge.method.answers.names import asked_for, named
from srl_edge.method.answers.plain import WORDS, plain, seen, tightened, ungrouped
from srl_edge.method.answers.quantities import quantity, same, without_unit
from srl_edge.method.answers.reading import (
    LONGEST,
    THAT_IS,
    Kind,
    announced,
    final_answer,
    marked_answer,
    unannounced,
)
from srl_edge.method.answers.running_text import TIMES, values
from srl_edge.method.answers.texts import same_text
from srl_edge.method.answers.units import same_unit
from srl_edge.method.answers.worked_out import is_worked_out
from srl_edge.method.prompt_form import DEFAULT, PromptForm

KINDS: tuple[Kind, ...] = get_args(Kind)


def kind_of(answer: str) -> Kind:
    """How an answer is compared: as a number, a formula, a choice, a call, or letter by letter."""
    if len(answer := bare(answer)) > LONGEST:
        return "exact"
    name, value = named(plain(answer))
    if quantity(answer):
        return "number"
    if choices.is_right_answer(answer):
        return "choice"
    if calls.parsed(answer) is not None:
        return "call"
    formulas = [value, answer] if name else [answer]
    written = {text for each in formulas for text in (each, without_unit(each)[0])}
    return "math" if any(map(is_formula, written)) else "exact"


def is_correct(solution: str, answer: str, form: PromptForm = DEFAULT, problem: str = "") -> bool:
    """Whether the final answer of `solution`, marked or not, is `answer`.

    problem: the question, of which a copy is no answer.
    """
    given = given_answer(solution, answer, form)
    return given is not None and _is_right(given, answer, form.verifier, problem)


def given_answer(solution: str, answer: str, form: PromptForm = DEFAULT) -> str | None:
    """What a solution gives in place of `answer`, marked or not."""
    answer = bare(answer)
    kinds = [kind for kind in KINDS if kind == form.verifier] or [kind_of(answer)]
    if kinds[0] == "choice" and (value := _value_of_choice(answer)):
        return _value_or_letter(solution, value, form.pattern)
    said = final_answer(solution, form.pattern, "exact") if choices.letters(answer) else None
    if said is not None and choices.same_letters(said, answer):
        return said
    return final_answer(solution, form.pattern, kinds[0], answer)


def _value_of_choice(answer: str) -> str:
    """What a choice is besides its letter: the text behind it, or a letter that is a value."""
    return answer if choices.is_symbol(answer) else choices.labelled(answer)


def _value_or_letter(solution: str, value: str, pattern: str) -> str | None:
    """What a solution gives where a choice or its value may be said; the value where it is that."""
    kind: Kind = "math" if choices.is_symbol(value) else kind_of(value)
    if marked_answer(solution, pattern) is None:
        both = zip(*(announced(seen(solution), each) for each in ("choice", kind)), strict=True)
        for letter, said in both:
            if letter or (said and same_value(said, value)):
                found: str | None = letter or said
                return found  # the letter first: in `A. 34` the number is A's
    given = final_answer(solution, pattern, "choice")
    if given is None and kind == "math":
        given = choices.last_symbol(seen(solution)) if choices.is_symbol(value) else None
    return final_answer(solution, pattern, kind) if given is None else given


def is_marked_correct(
    solution: str, answer: str, form: PromptForm = DEFAULT, problem: str = ""
) -> bool:
    """The same, strictly: the answer must be marked as one."""
    given = marked_answer(solution, form.pattern)
    return given is not None and _is_right(given, answer, form.verifier, problem)


def _is_right(given: str, answer: str, verifier: str, problem: str) -> bool:
    """Whether a given answer is the right one, worked out where it is a number or a formula."""
    if not same_value(given, answer, verifier):
        return False
    kind = kind_of(answer) if verifier == "auto" else verifier
    return kind not in ("number", "math") or is_worked_out(given, bare(answer), problem)


def same_value(given: str, answer: str, verifier: str = "auto") -> bool:
    """Whether a given answer is the right one.

    verifier: a kind; `auto`, the right answer's own; or "file.py:function", which gets both texts.
    """
    if ":" in verifier:
        return _verdict(verifier, own_code.called(verifier, "verifier", given, answer))
    given, answer = seen(given), seen(answer)
    if given != answer:
        answer = bare(answer)
    if (held := _LIST_OF_ONE.fullmatch(answer)) and plain(given)[:1] != "[":
        answer = held[1]
    if max(len(given), len(answer)) > LONGEST:  # no answer, and minutes to take apart
        return given.split() == answer.split()
    given, answer = unannounced(given), unannounced(answer)
    kind = kind_of(answer) if verifier == "auto" else verifier
    if kind in ("math", "exact") and same_set(given, answer):
        return True
    if kind != "call" and (choices.same_part(given, answer) or choices.same_letters(given, answer)):
        return True
    if choices.letters(answer) and choices.letters(given):
        return False  # in another order
    if kind in ("number", "math"):  # of which a letter in front is the choice's
        given, answer = choices.labelled(given) or given, choices.labelled(answer) or answer
    if kind in ("number", "math") and not same_name(given, answer):
        return False
    match kind:
        case "number":
            return _same_number(THAT_IS.split(given)[0], answer)
        case "math":
            return same_formula(THAT_IS.split(given)[0], answer)
        case "choice":
            return _same_choice(given, answer)
        case "call":
            return calls.same(given, answer)
    if same_text(given, answer) or _same_letters(given, answer):
        return True
    if right := yes_no.word(answer):
        return yes_no.verdict(given) == right
    return same_spelling(given, answer) or bool(same_quantities(given, answer))


# What code gives, or how a table writes a single answer: both are right.
_LIST_OF_ONE = re.compile(r"\[ ?(-?(?:\d+(?:\.\d*)?|\.\d+)) ?\]")


def _same_choice(given: str, answer: str) -> bool:
    """Whether a letter, a text or both are a choice; a small letter may be a value, as e is."""
    if choices.same_choice(given, answer, same_value):
        return True
    if choices.option(given) or choices.labelled(given):
        return False
    if choices.is_symbol(answer):
        return same_formula(given, answer)
    held = choices.labelled(answer)
    return bool(held and same_value(given, held))


def _verdict(verifier: str, said: Any) -> bool:
    """What a function of the user's own says; raises StageError for what is not true or false."""
    try:
        if said == said:  # NaN is not itself
            return bool(said)
    except ValueError:  # an array of several
        pass
    raise StageError(f"verifier {verifier}: it gave {said!r}; true or false is needed.")


def _same_letters(given: str, answer: str) -> bool:
    """Whether two products of letters alone are the same one, as `xy` and `yx`.

    Other letters, as `kn`, may be a word in code: their order counts where no sign is between them.
    """
    texts = [plain(text) for text in (given, answer)]
    pair = [re.sub("[ *]", "", text) for text in texts]
    if not all(map(_LETTERS.fullmatch, pair)) or sorted(pair[0]) != sorted(pair[1]):
        return False
    return pair[0] == pair[1] or "*" in "".join(texts) or all(map(_NAMES.fullmatch, pair))


# No two words of these have the same letters.
_LETTERS = re.compile("-?(?:[a-cx-z]{2,3}|[b-df-hj-np-tv-z]{2,3})")
_NAMES = re.compile("-?(?:[a-c]{2,3}|[x-z]{2,3})")


def _same_number(given: str, answer: str) -> bool:
    right = quantity(answer)
    if right is None:
        return same_formula(given, answer)
    given, answer = tightened(given), ungrouped(answer)
    if "=" in given:
        given = TIMES.sub(" * ", given)
    found = quantity(given)
    glued = re.search(r"\d([A-Za-z]|mg)$", answer.strip())
    if found and not found.unit and glued and glued[1] == right.unit:
        return False  # 3s and 3mg, which are products as well
    if found is None and (twice := _TWICE.fullmatch(plain(given))):
        first, again = filter(None, twice.groups())
        if twice[4] and "(or " not in twice[0] and _is_aside(again):  # 18 (9 boys and 9 girls)
            return _same_number(first, answer)
        return _same_twice(first, again, answer)
    worked, _, result = given.rpartition("=")
    if found is None and asked_for(worked):
        found = quantity(result)
    said = plain(_WORDS_IN_TEX.sub(r" \1 ", given))
    if found is None and not is_formula(said) and not re.search(r"[π√θ∞\\^]", said):
        # In a sentence, the only number of it.
        numbers = list(values(said))
        words = re.findall(r"[^\W\d_]{2,}", said)
        alone = len(numbers) == 1 and len(words) >= 2 and not _BOUNDED.search(said)
        found = quantity(numbers[0]) if alone else None
    elif found is None and right.places and re.fullmatch(r"-?\d+,\d+", given):
        found = quantity(given.replace(",", "."))
    if found is not None:
        return same(found, right)
    if unlike(given, answer):
        return False
    equation = worked and not asked_for(worked)
    bare, unit = without_unit(given)
    if equation or (unit and right.unit and not same_unit(unit, right.unit)):
        return False
    bare = bare.rpartition("=")[2]  # 20 = 5 * 4
    return is_formula(bare) and mathematics.equal(bare, answer)


def _same_twice(first: str, again: str, answer: str) -> bool:
    """Whether a number and what is said of it again are the right answer."""
    one, other = quantity(first), quantity(again)
    if one and other and one.unit and other.unit:  # 90 minutes (1.5 hours)
        return same(one, other) and any(_same_number(text, answer) for text in (first, again))
    return _same_number(first, answer) and _same_number(again, answer)


def _is_aside(text: str) -> bool:
    """Whether a text in brackets after a number says where it comes from, and no other one."""
    words = re.search(r"[^\W\d_]{2}", text) and not is_formula(text)
    return bool(words and quantity(text) is None and not _BOUNDED.search(text))


_WORDS_IN_TEX = re.compile(rf"{WORDS}\{{([^{{}}]*)\}}")
# One number, said in two ways: `1/2 or 0.5`, `1/2 (0.5)`.
_TWICE = re.compile(
    r"([^()]*\d[^()]*?),? or ([^()]*\d[^()]*)|([^()]*\d[^()]*?) \((?:or )?([^()]*\d[^()]*)\)"
)
# What is said of a number is then not that it is the answer.
_BOUNDED = re.compile(
    r"\b(?:less|fewer|more|greater|smaller|larger|under|over|above|below|least|most|up to|not|never"
    r"|no|without|except|between|or|isn't|negative|minus)\b[^.!?]{0,60}\d"
    r"|\d[^.!?]{0,60}\bor (?:more|less|fewer)\b",
    re.IGNORECASE,
)
