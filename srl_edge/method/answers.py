r"""What a solution gives as its answer: one reader for data, rewards, validation and benchmarks.

An answer is marked by the prompt's own pattern, in \boxed{}, or after `####`, which also opens
Markdown headings. Where nothing is marked, "the answer is" and then the last value are read.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import regex

from srl_edge.errors import InputError
from srl_edge.method import calls, choices
from srl_edge.method.formulas import is_formula
from srl_edge.method.quantities import closing, in_text, plain, quantity

Kind = Literal["number", "math", "exact", "choice", "call"]
SECONDS = 5.0  # for one search with a recipe's own pattern
_HASHES = re.compile(r"####[ \t]*([^#\s][^\n]*|(?=\n))")
_NUMBERED = re.compile(r"^(?:(?:step|part|case)\s*\d+\b|\d+[.:)](?=\s+\S))", re.IGNORECASE)
_ANNOUNCES = re.compile(
    r"(?:(?:the|my|our|your)\s+)?(?:final\s+|correct\s+)?(?:answer|result|solution|total)s?"
    r"\s*(?:is\b|[:=]|$)\s*(?P<said>.*)",
    re.IGNORECASE,
)
_ANSWER_IS = re.compile(
    r"\b(?:answer|(?:correct|right|best)\s+(?:option|choice))"
    r"(?:\*\*|\s+to [^.\n]{1,80}?|\s+here)?(?:\s*(?:is|was|are|will be|would be|equals)\b"
    r"(?:\s*:|\s+(?:therefore|thus|then|simply))?|\s*[:=])\**\s*([^\n]+)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?](?=\s+\S|\s*$)")
_ASIDE = re.compile(r",?\s+(?:and\s+not|not|because|since|rather)\b")
_EMPTY_WORDS = re.compile(
    r"(?:q\.?e\.?d\.?|hence proved|done|conclusion|summary|explanation|end|note|solution|result)",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|([^\s\\{}$]+))")
_WORDS = re.compile(r"[^\d\s:]+(?: [^\d\s:]+){0,2}")


def final_answer(
    solution: str, pattern: str = "", kind: Kind | Literal["stated"] = "number"
) -> str | None:
    """What a solution gives as its answer, marked or not; None where it gives none.

    pattern: a regular expression of the prompt's own, whose first group is the answer. kind: what
    is looked for where nothing is marked; of a number, the last; `stated`, nothing more.
    """
    marked = marked_answer(solution, pattern)
    if marked is not None:
        return marked
    for match in reversed(list(_ANSWER_IS.finditer(solution))):
        said = match[1]
        end = next((m.start() for m in _SENTENCE.finditer(said)), len(said))
        if (found := _in_clause(said[:end], kind)) is not None:
            return found
    return _last(solution, kind)


def marked_answer(solution: str, pattern: str = "") -> str | None:
    r"""The last answer that is marked as one: by the pattern, after `####`, or in \boxed{}.

    A `####` that opens a Markdown heading marks nothing, unless the heading announces the answer
    and the line after it is one.
    """
    if pattern and (own := _matches(pattern, solution)):
        return str(own[-1]).strip()
    hashes = list(_after_hashes(solution))
    values = [(at, text) for at, text, _ in hashes if is_value(text)]
    if marked := [*_boxes(solution), *values]:
        return max(marked)[1]
    # What is no value counts at the end alone: words, or a sentence with a figure.
    at_the_end = [text for _, text, last in hashes if last and _is_said(text)]
    return at_the_end[-1] if at_the_end else None


def _is_said(text: str) -> bool:
    """Whether a text could be an answer in words, or with a figure in them; a heading is not."""
    if _EMPTY_WORDS.fullmatch(text):
        return False
    return any(map(str.isdigit, text)) or _WORDS.fullmatch(text) is not None


def states_answer(text: str) -> bool:
    """Whether a text has an answer after `####`, and not a heading alone."""
    found = _after_hashes(text)
    return any(is_value(said) or (last and _is_said(said)) for _, said, last in found)


def is_value(text: str) -> bool:
    """Whether the whole of a text is a number, a formula, a choice or a call, and not prose."""
    return bool(
        quantity(text) or choices.letter(text) or calls.parsed(text) is not None or is_formula(text)
    )


def _in_clause(said: str, kind: str) -> str | None:
    """The value of what follows "the answer is"."""
    said = said.strip(" *:")
    if kind == "choice":
        return choices.letter(said) or choices.found(said)
    if is_value(said):
        return plain(said)
    said = _ASIDE.split(said)[0].strip(" *:,")
    return plain(said) if kind == "exact" and said else _last(said, kind)


def _last(text: str, kind: str) -> str | None:
    """The last value of a kind in running text."""
    match kind:
        case "choice":
            return choices.found(text)
        case "call":
            return calls.last(text)
        case "stated":
            return None
        case "exact":
            lines = [line for line in text.splitlines() if line.strip()]
            return plain(lines[-1]) if lines else None
    numbers = list(in_text(text))
    return numbers[-1] if numbers else None


def _after_hashes(text: str) -> Iterator[tuple[int, str, bool]]:
    """What stands after each `####`, an answer or a heading; and whether nothing follows."""
    for match in _HASHES.finditer(text):
        line = match[1].strip(" *_")
        if (announced := _ANNOUNCES.fullmatch(line)) and announced["said"]:
            line, announced = announced["said"].strip(" *_"), None
        if not line or announced:
            rest = text[match.end() :].lstrip("\n \t").split("\n", 1)[0].strip(" *_")
            if is_value(rest):
                yield match.start(), rest, False
        elif not _NUMBERED.match(line):
            yield match.start(), line, not text[match.end() :].strip()


def _boxes(text: str) -> Iterator[tuple[int, str]]:
    r"""Where each \boxed{…} begins, and what it holds, braces matched; empty ones left out."""
    for match in _BOX.finditer(text):
        end = None if match[1] else closing(text, match.end())
        held = match[1] or ("" if end is None else text[match.end() : end].strip())
        while held.startswith("{") and held[1:2] != '"' and closing(held, 1) == len(held) - 1:
            held = held[1:-1].strip()
        if held and not _BOX.match(held):
            yield match.start(), held


def _matches(pattern: str, text: str) -> list[Any]:
    """What a pattern of a recipe or an artifact finds; raises InputError where it takes long."""
    try:
        return list(regex.findall(pattern, text, timeout=SECONDS))
    except (TimeoutError, regex.error) as error:
        why = "takes too long" if isinstance(error, TimeoutError) else f"is none ({error})"
        raise InputError(f"prompt.answer: the pattern {pattern!r} {why}.") from None
