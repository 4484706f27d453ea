# ruff: noqa: RUF001 - other scripts' punctuation is what is read here
r"""What a solution gives as its answer: one reader for data, rewards, validation and benchmarks.

An answer is marked by the prompt's own pattern, in \boxed{}, or after `####`, which also opens
Markdown headings. Where nothing is marked, "the answer is" and then the last value are read.
"""

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import regex

from srl_edge.errors import InputError
from srl_edge.method import calls
from srl_edge.method.answers import choices, yes_no
from srl_edge.method.answers.announcements import ANNOUNCES, COPULA, HEADS, SENTENCE
from srl_edge.method.answers.formulas import is_formula
from srl_edge.method.answers.plain import closings, plain, seen
from srl_edge.method.answers.quantities import quantity, without_unit
from srl_edge.method.answers.running_text import (
    emphasized,
    first_value,
    in_lines,
    last_formula,
    last_value,
)
from srl_edge.method.answers.texts import items, unbulleted

Kind = Literal["number", "math", "exact", "choice", "call"]
SECONDS = 5.0  # for one search with a recipe's own pattern
LONGEST, MARKS = 1000, 64  # characters of an answer, and marks of a text, the last, that are read
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*((?:(?!(?<!#)####(?!#))[^\n])*)")
_NUMBERED = re.compile(r"^(?:(?:step|part|case)\s*\d+\b|\d+[.:)](?=\s+\S))", re.IGNORECASE)
_ANNOUNCES = re.compile(
    r"[*_]*(?:(?:(?:the|my|our|your)\s+)?(?:final\s+|correct\s+)?(?:answer|result|solution|total)s?"
    rf"[*_]*\s*(?:is\b\s*:?|[:=]|$)|{SENTENCE})[*_]*\s*(?P<said>.*)",
    re.IGNORECASE,
)
# What is said after one may say it again: "Final answer: the answer is 5".
_ANSWER_IS = re.compile(
    rf"(?:<(?:answer|choice|final)>|(?m:^[#*【\[ \t]{{1,8}}{HEADS}[】\]:：* \t]{{0,4}}\n)"
    rf"|(?:{ANNOUNCES})\**)\s*(?=[^\n])",
    re.IGNORECASE,
)
_CLOSING_TAG = re.compile(r"</(?:answer|choice|final)>")
# Of the lines below it, that they are not the answer but explain it.
_EXPLAINED = re.compile(
    r"\W*(?:(?:brief |short )?(?:explanation|justification|rationale|reason|note)|explication"
    r"|explicaci[óo]n|explicação|erklärung|解析|解説|해설|пояснение)\W*[:：]",
    re.IGNORECASE,
)
_READ = 50  # places of one text where an answer is announced
_INITIALS = re.compile(r"(?:(?:[A-Z]|Mrs?|Ms|Dr|St|Prof)\.\s*)*")
# A factorial goes on with a sign or in lower case.
_SENTENCE = re.compile(
    r"[.?](?=\s+\S|\s*$)|[。।]|．(?!\d)|!(?=\s+[A-Z#\"“]|\s*$)|(?<=[a-z]{2})!(?=\s)"
)
_ASIDE = re.compile(r",?\s+(?:and\s+not|not|because|since|rather)\b")
THAT_IS = re.compile(r",?\s+\(?(?:i\.e\b|that is(?=,)|in other words\b|or equivalently\b)")
_WIDE_BRACKETS = re.compile(r"^（([^（）]*)）$")
_NEGATED = re.compile(r"(?:not|never|neither|unknown)\b", re.IGNORECASE)
# What closes a solution without being its answer, where another answer is marked.
_CLOSES = re.compile(
    r"(?:q\.?e\.?d\.?|hence proved|done|conclusion|summary|explanation|end|note|solution|result)"
    r"|(?:step|part|case)\s*\d+\b.*",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|([^\s\\{}$]+))")
_MARKS = re.compile(rf"(?<!#)####(?!#)|{_BOX.pattern}")
_FINALLY = re.compile(
    r"\bfinal\s+answer\**\s*(?:(?:is|was|equals)\b\s*:?|:)\**\s*(?=[^\n])", re.IGNORECASE
)
_FENCED = re.compile(
    r"(?<![`~])(`{3,}+|~{3,}+)[^\n`]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE
)
_TEX = re.compile(r"\$\$?([^$\n]+)\$\$?(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_EMPHASIS = re.compile(r"(\*{1,3})([^*]+)\1|(_{1,3})([^_]+)\3")


def final_answer(
    solution: str,
    pattern: str = "",
    kind: Kind | Literal["stated"] = "number",
    like: str = "",
) -> str | None:
    """What a solution gives as its answer, marked or not; None where it gives none.

    pattern: a regular expression of the prompt's own, whose first group is the answer. kind: what
    is looked for where nothing is marked; of a number, the last; `stated`, nothing more. like: a
    text as which it is read, where that is looked for letter by letter: as many sentences, and a
    verdict where it is one.
    """
    solution = in_lines(seen(solution))
    marked = marked_answer(solution, pattern)
    if marked is not None:
        own = pattern and matches(pattern, solution)
        return marked if own else _said_after(solution, kind) or marked
    announces = False
    for said in announced(solution, kind, like):
        if said is not None:
            return said
        announces = True
    stands_out = None
    if kind in ("number", "math") and not announces and _whole(solution) is None:
        stands_out = emphasized(solution)
    return _last(solution, kind, like) if stands_out is None else stands_out


def announced(
    solution: str, kind: Kind | Literal["stated"], like: str = ""
) -> Iterator[str | None]:
    """What a solution says that the answer is, the last first; None for no such kind."""
    solution = in_lines(solution)
    for match in islice(reversed(list(_ANSWER_IS.finditer(solution))), _READ):
        code = _FENCED.match(solution, match.end())
        if code and (kind == "exact" or is_value(code[2].strip())):
            yield code[2].strip()
            continue
        said = _CLOSING_TAG.split(_said(match))[0]
        if quoted := re.match(r"""(["'])([^"']*)\1\s*[,}]""", said):  # {"answer": "C"}
            said = quoted[2]
        if _NEGATED.match(said):
            yield None
        elif kind == "choice":
            in_sentence = match[0].rstrip(" *")[-1:].isalpha()
            yield choices.announced(said.strip(" *:："), in_sentence)
        elif kind == "stated" and _is_alone(match) and (word := yes_no.written(said)):
            yield word
        else:
            yield _in_clause(said, kind, like)


def _is_alone(match: re.Match[str]) -> bool:
    """Whether an announced answer is in the first or the last line of a text."""
    before, below = match.string[: match.start()], match.string[match.end() :].rstrip()
    return "\n" not in below or not re.search(r"\w", before)


def marked_answer(solution: str, pattern: str = "") -> str | None:
    r"""The last answer that is marked as one: by the pattern, after `####`, or in \boxed{}.

    The last line of a text marks whatever stands after its `####`. Before, a `####` that opens a
    Markdown heading marks nothing, unless the heading announces the answer, and the line after it
    is one.
    """
    solution = seen(solution)
    if pattern and (own := matches(pattern, solution)):
        return str(own[-1]).strip()
    hashed = list(_after_hashes(solution))
    marked = [
        *_boxes(solution),
        *((at, said) for at, said in hashed if not _CLOSES.fullmatch(said)),
    ]
    return max(marked or hashed)[1] if marked or hashed else None


def _said(match: re.Match[str]) -> str:
    """What stands after what announces it: the rest of its line, or the list under it."""
    below = match.string[match.end() :] if "\n" in match[0] else ""
    listed = items(below) or _numbered(below)
    return _as_one(listed) if listed else _rest(match).lstrip("> \t" if below else None)


def _rest(match: re.Match[str]) -> str:
    """What stands behind a place in its line."""
    end = match.string.find("\n", match.end())
    return match.string[match.end() : end if end >= 0 else None]


def _numbered(text: str) -> list[str]:
    """The items of a numbered list that a text begins with; none of it may be a decimal."""
    found: list[str] = []
    for line in islice(filter(str.strip, text.split("\n")), MARKS):
        if (item := _ITEM.match(line)) is None or int(item[1]) != len(found) + 1:
            break
        found.append(line[item.end() :].strip())
    return found


_ITEM = re.compile(r"[ \t]*(\d{1,2})[.)][ \t]+(?=\S)")


def _as_one(listed: list[str]) -> str:
    """The items of a list as one answer, where each is a value; else the first."""
    bare = [item.strip(" *.,;") for item in listed]
    several = len(bare) <= MARKS and all(map(is_value, bare))
    return ", ".join(bare) if several else listed[0]


def _said_after(solution: str, kind: str) -> str | None:
    """The value of what is announced as the final answer after every mark; None without one."""
    match = next(iter(deque(_FINALLY.finditer(solution), 1)), None)
    if match is None or _NEGATED.match(_rest(match)) or _MARKS.search(solution, match.end()):
        return None
    said = _said(match)
    end = _SENTENCE.search(said)
    said = said[: end.start() if end else None].strip(" *:")
    if kind == "choice":
        return choices.chosen(said)
    return plain(said) if is_value(said) or is_formula(without_unit(plain(said))[0]) else None


def states_answer(text: str) -> bool:
    """Whether a text has an answer after `####`, and not a heading alone."""
    return any(True for _ in _after_hashes(seen(text)))


def is_value(text: str) -> bool:
    """Whether the whole of a text is a number, a formula, a choice or a call, and not prose."""
    return len(text) <= LONGEST and bool(
        quantity(text) or choices.alone(text) or calls.parsed(text) is not None or is_formula(text)
    )


def is_answer(said: str) -> bool:
    """Whether what stands after `####` is an answer, and no heading such as `2. Add`."""
    return is_value(said) and not _NUMBERED.match(said)


def unannounced(text: str) -> str:
    """An answer without words that only say that it is one, as in `Answer: 18`, however often."""
    while True:
        match = _ANNOUNCES.fullmatch(plain(text) if text.startswith("\\") else text.strip())
        if not match or not match["said"]:
            return text
        text = match["said"].strip()


def _ends(text: str) -> list[int]:
    """Where sentences of a text end, but for the points of initials that it begins with."""
    start = _INITIALS.match(text)
    found = _SENTENCE.finditer(text, start.end() if start else 0)
    return [match.start() for match in islice(found, MARKS)]


def _in_clause(said: str, kind: str, like: str) -> str | None:
    """The value of what follows "the answer is"."""
    said = THAT_IS.split(said)[0].lstrip(" *")
    # A name may have points of its own, as John F. Kennedy's and Mt. Everest's.
    inside = len(_ends(like.strip(" .*"))) if kind == "exact" else 0
    end = next(iter(_ends(said)[inside:]), len(said))
    said = COPULA.sub("", said[:end]).strip(" *:：")
    said = _WIDE_BRACKETS.sub(r"\1", said)
    if is_value(said) or is_formula(without_unit(plain(said))[0]):
        return plain(said)
    if tex := _TEX.match(said):
        formula = "".join(tex.groups(""))
        alone = re.match(r"\s*(?:,[^$\\\d]*)?$", said[tex.end() :])
        if alone if kind == "exact" else is_value(formula):
            return plain(formula)
    said = _ASIDE.split(said)[0].strip(" *:,")
    if kind == "exact" and said:
        return plain(said)
    return first_value(said) if kind in ("number", "math") else _last(said, kind, like)


def _whole(text: str) -> str | None:
    """A text that is a quantity, and nothing besides."""
    found = unbulleted(text) if len(text) <= LONGEST else ""
    return plain(found) if quantity(found) else None


def _last(text: str, kind: str, like: str) -> str | None:
    """The last value of a kind in running text; the whole of it, where that is a quantity."""
    if kind in ("number", "math") and (whole := _whole(text)) is not None:
        return whole
    match kind:
        case "choice":
            return choices.chosen(text)
        case "call":
            return calls.last(text)
        case "stated":
            return None
        case "exact":
            if fenced := list(_FENCED.finditer(text)):  # which a sentence may follow
                return plain(fenced[-1][2])
            lines = [plain(unbulleted(line)) for line in text.splitlines() if line.strip()]
            if yes_no.word(like) and (verdict := yes_no.last(lines)):
                return verdict
            explained = len(lines) > 1 and _EXPLAINED.match(lines[1])
            return lines[0 if explained else -1] if lines else None
        case "math":
            return last_formula(text)
    return last_value(text)


def _after_hashes(text: str) -> Iterator[tuple[int, str]]:
    """Where each `####` marks an answer, and which: a heading does not."""
    for match in deque(_HASHES.finditer(text), MARKS):
        said = _bare(match[1])
        announced = _ANNOUNCES.fullmatch(said)
        if announced and announced["said"]:
            said, announced = _bare(announced["said"]), None
        at = match.end() if announced else match.start(1)
        if code := _FENCED.match(text, at + len(text[at:]) - len(text[at:].lstrip())):
            yield match.start(), code[2].strip()
        elif not re.compile(r"\w").search(text, match.end()):
            if said:
                yield match.start(), said
        elif announced or not said:
            below = text[match.end() :].lstrip("\n \t")
            line, _, rest = below.partition("\n")
            line = _as_one(listed) if (listed := items(below)) else line
            if is_value(line := _bare(line)) or not (said or rest.strip()):
                yield match.start(), line
        elif is_answer(said):
            yield match.start(), said


def _bare(text: str) -> str:
    """A line without the emphasis around the whole of it."""
    text = text.strip()
    match = _EMPHASIS.fullmatch(text)
    if match and (match[1] or is_value(match[4])):  # __init__ is a name
        return (match[2] or match[4]).strip()
    return text


def _boxes(text: str) -> Iterator[tuple[int, str]]:
    r"""Where each \boxed{…} begins, and what it holds, braces matched; empty ones left out."""
    closed: dict[int, int] | None = None
    for match in _BOX.finditer(text):
        closed = closings(text) if closed is None else closed
        end = None if match[1] else closed.get(match.end())
        held = match[1] or ("" if end is None else text[match.end() : end].strip())
        if held and not _BOX.match(held):
            yield match.start(), held


def matches(pattern: str, text: str) -> list[Any]:
    """What the pattern of a recipe or an artifact finds; nothing where it takes over SECONDS.

    Raises InputError for what is no pattern.
    """
    try:
        return searched(pattern, text)
    except TimeoutError:  # one reply of a model's ends no training
        return []


def searched(pattern: str, text: str) -> list[Any]:
    """As `matches`; raises TimeoutError."""
    try:
        return list(regex.findall(pattern, text, timeout=SECONDS))
    except regex.error as error:
        raise InputError(f"prompt.answer: the pattern {pattern!r} is none ({error}).") from None
