"""What a question needs beside its own text: its choices, and what it is asked about."""

import re
from collections.abc import Iterable, Mapping
from string import ascii_uppercase
from typing import Any

from srl_edge.data.values import Unusable, answer_of, as_list, is_nothing
from srl_edge.method.answers import choices
from srl_edge.method.answers.expected import bare
from srl_edge.method.verifiers import same_value

_CHOICES = ("options", "choices")
# What a question may be about; none of these has the answer worked out, as `facts` or `hint` may.
_ABOUT = (
    *("background", "situation", "scenario", "theory", "premise", "premises"),
    *("passage", "passages", "article", "paragraph", "paragraphs", "document", "documents"),
    *("story", "narrative", "context", "contexts", "body", "table"),
)
# `code` is what is asked about, or the solution: these words of a question tell them apart.
_OF_CODE = re.compile(
    r"\b(?:code|snippet|program|script|implementation)\b"
    r"|\b(?:it|this) (?:do|return|print|output|raise)s?\b"
    r"|\bfunction\b[^.?]{0,200}\b(?:return|print|output)"
    r"|\bwhat\b[^.?]{0,200}\b(?:printed|returned|output)\b",
    re.IGNORECASE,
)
_TO_WRITE = re.compile(
    r"\b(?:write|implement|create|develop|design|build|complete|generate|code up|solve)\b",
    re.IGNORECASE,
)
_SHORT = 20  # characters of a solution that may stand in a text without being given away
_AFTER = "input"  # Alpaca's, which its instruction is followed by
_COLUMN = re.compile(r"([A-Z])|(?:op|option|choice)_?([A-Za-z])")
_IN_ONE = re.compile(r"(?:^|[,\n])\s{0,40}\(?([A-Za-z])\s?[).:]\s*")
_IMAGE = re.compile(r"(?:decoded_)?images?(?:_\d+)?", re.IGNORECASE)
_MARK = re.compile(r"\s*\(?([A-Z])\s?[).:]\s*")
_NUMBER = re.compile(
    r"[(\[]?(?:(?:option|choice)[ _]?)?(-?\d{1,999})(?:\.0*)?[)\]]?", re.IGNORECASE
)
_PARTS = re.compile(r"[\s,;()\[\]{}'\"]+")  # between choices in one text that have no letters
_MARKED = re.compile(r"(?<!\w)[A-Z1-9][).:]")  # a choice in a question


def whole(
    question: str,
    row: Mapping[str, Any],
    named: Mapping[str, str] | None = None,
    asked: str = "",
    solutions: Iterable[Any] = (),
) -> tuple[str, list[str]]:
    """A question with what stands in other columns of its row, by their common names; and the names
    of those whose text was put beside it.

    A text that it is about comes before it, and choices after it as lettered lines, unless it
    holds them itself. named: columns that are something else. asked: the question's own.
    solutions: those of the row; a text that has one in it is none to ask about. Raises Unusable for
    what cannot be asked so.
    """
    left = {key: held for key, held in row.items() if key not in (named or {}).values()}
    require_no_image(left)
    if as_list(left.get("history")):
        raise Unusable("a question with turns before it")
    worked = [lines for each in solutions if len("".join(lines := _lines(each))) > _SHORT]
    texts: dict[str, str] = {}
    for column in _about(question, left, asked):
        parts = as_list(left[column]) or [left[column]]
        if not all(isinstance(text, str) for text in parts):
            raise Unusable("a question about what is no text")
        told = [text.strip() for text in parts if not is_nothing(text)]
        new = [text for text in told if _flat(text) not in _flat(question)]
        text = "\n\n".join(new)
        given_away = any(len(lines) > 1 and all(line in text for line in lines) for lines in worked)
        if new and not given_away:
            texts[column] = text
    before = [text for column, text in texts.items() if column.lower() != _AFTER]
    after = [text for column, text in texts.items() if column.lower() == _AFTER]
    asked_of = "\n\n".join([question, *after])
    return "\n\n".join([*before, _with(asked_of, _choices(left))]), list(texts)


def _about(question: str, row: Mapping[str, Any], asked: str) -> list[str]:
    """The columns with what a question is about."""
    by_name = {key.lower(): key for key, held in row.items() if _is_there(held) and key != asked}
    names = [name for name in _ABOUT if name in by_name]
    if _OF_CODE.search(question) and not _TO_WRITE.search(question):
        names += ["code"] * ("code" in by_name)
    names += [_AFTER] * (_AFTER in by_name and asked.lower() == "instruction")
    return [by_name[name] for name in names if not isinstance(row[by_name[name]], int | float)]


def _lines(solution: Any) -> list[str]:
    """The lines of a solution, or its steps."""
    lines = solution.split("\n") if isinstance(solution, str) else as_list(solution) or ()
    return [line.strip() for line in lines if isinstance(line, str) and line.strip()]


def _flat(text: str) -> str:
    return " ".join(text.split())


def require_no_image(row: Mapping[str, Any]) -> None:
    """Raise Unusable for a row with an image."""
    if any(_is_there(held) and _IMAGE.fullmatch(key) for key, held in row.items()):
        raise Unusable("a question about an image")


def is_place(
    answer: str, question: str, row: Mapping[str, Any], written: bool, stated: str | None
) -> bool:
    """Whether an answer is no more than the place of a lettered choice, as `2`, `2.0` or `(2)`.

    The number of a choice in the question itself is none, nor what is surely a choice's value.
    written: whether the row has it as a text, as it has choices. stated: what the solution ends in.
    """
    number = _NUMBER.fullmatch(answer)
    try:
        found = _choices(row) if number else []
    except Unusable:  # nothing that was asked
        return False
    if not number or all(letter.isdecimal() for letter, _ in found):
        return False
    texts = list(_lettered(found).values()) or [
        part for letter, text in found for part in ([text] if letter else _PARTS.split(text))
    ]
    if _has_numbers(question, texts):
        return False
    same = [text for text in texts if same_value(answer, text)]
    if not -1 <= int(number[1]) <= len(texts):  # of no choice; -1 is MedMCQA's for an unknown one
        return not (written or same)
    if same and stated is not None and same_value(stated, answer):
        return False
    return not (written and any(_NUMBER.fullmatch(bare(text)) for text in same))


def _has_numbers(question: str, texts: list[str]) -> bool:
    """Whether a question has its choices itself, by their numbers."""
    counted = (enumerate(texts, first) for first in (0, 1))
    return any(all(_asks(question, str(at), text) for at, text in each) for each in counted)


def as_choice(answer: str, question: str, row: Mapping[str, Any]) -> str:
    """An answer that is the letter or the text of one of its question's choices as both: `B. two`.

    Such an answer is right by each. Others, and those that could be two choices, stay as they are.
    """
    try:
        texts = _lettered(_choices(row))
    except Unusable:  # nothing that was asked
        return answer
    if not texts or not all(_asks(question, *choice) for choice in texts.items()):
        return answer
    both = {letter: f"{letter}. {text}" for letter, text in texts.items()}
    named = [letter for letter in both if choices.same_part(answer, both[letter])]
    named = named or [letter for letter, text in texts.items() if same_value(answer, text)]
    if len(named) != 1 or "\n" in (said := both[named[0]]):
        return answer
    right = (answer, named[0], texts[named[0]])
    return said if all(same_value(given, said) for given in right) else answer


def _lettered(found: list[tuple[str, str]]) -> dict[str, str]:
    """Choices by their capital letters, also MathQA's, which stand in one text."""
    if len(found) == 1 and not found[0][0]:
        marks = list(_IN_ONE.finditer(text := found[0][1]))
        if not marks:
            return {}
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        found = [
            (mark[1], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)
        ]
    texts = {letter.upper(): text for letter, text in found}
    return texts if "".join(texts) == ascii_uppercase[: len(found)] else {}


def _asks(question: str, letter: str, text: str) -> bool:
    """Whether a question has a choice with its letter, maybe in marks of TeX."""
    asked = rf"(?<![^\W_]){letter}[^\w\n]{{1,12}}\s*{re.escape(text)}"
    return re.search(asked, question, re.IGNORECASE) is not None


def _is_there(value: Any) -> bool:
    return bool(value) and value == value  # NaN is how tables write that nothing is there


def _choices(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The choices of a row with their letters, or numbers; raises Unusable for no values."""
    held = next((row[column] for column in _CHOICES if _is_there(row.get(column))), None)
    if held is None:
        held = _of_columns(row)
    if isinstance(held, str) and as_list(held) is None:  # MathQA's, in one text
        return [("", held.strip())]
    if isinstance(held, Mapping) and "text" in held:  # ARC's
        texts, letters = as_list(held["text"]) or [], as_list(held.get("label"))
    elif isinstance(held, Mapping):
        texts, letters = list(held.values()), list(held)
    else:
        texts, letters = as_list(held) or [], None
    pairs = zip(texts, letters or ascii_uppercase, strict=False)
    found = [_choice(each, letter) for each, letter in pairs if each is not None]
    marked = [(mark[1], text[mark.end() :]) for _, text in found if (mark := _MARK.match(text))]
    return marked if [m for m, _ in marked] == [letter for letter, _ in found] else found


def _of_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Choices in a column each, as C-Eval and MedMCQA have them; none where a letter is missing."""
    named = {key: _COLUMN.fullmatch(key) for key, held in row.items() if isinstance(held, str)}
    found = {(at[1] or at[2]).upper(): row[key] for key, at in named.items() if at}
    texts = {letter: found[letter] for letter in sorted(found)}
    return texts if len(texts) > 1 and "".join(texts) == ascii_uppercase[: len(texts)] else {}


def _choice(held: Any, letter: Any) -> tuple[str, str]:
    """A letter and its text, also where both stand in an object."""
    if isinstance(held, Mapping):
        letter = held.get("label", held.get("key", letter))
        held = held.get("text", held.get("value"))
    try:
        text = held.strip() if isinstance(held, str) else answer_of(held)
    except Unusable:
        text = None
    if text is None:
        raise Unusable("a choice that is no text")
    return str(letter), text


def _with(question: str, choices: list[tuple[str, str]]) -> str:
    marked = len(_MARKED.findall(question)) >= len(choices)
    if marked and all(text in question for _, text in choices):
        return question
    lines = (f"{letter}. {text}" if letter else text for letter, text in choices)
    return "\n".join([question.rstrip(), *lines])
