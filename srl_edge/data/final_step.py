# ruff: noqa: RUF001 - other scripts' punctuation is what is read
"""How a solution says its answer once, and last: in a line of the form's own.

What says it in other words, at the end or before the solution, makes way; a mark in a step before
the last is taken from what it marks, since with it an attempt would end there.
"""

import re
from collections.abc import Iterable, Sequence

from srl_edge.data.cutting import stated
from srl_edge.data.values import Unusable
from srl_edge.method.answers import choices
from srl_edge.method.answers.announcements import COPULA, EXPLAINS, HEADS, REASON, SENTENCE
from srl_edge.method.answers.plain import closings, plain
from srl_edge.method.answers.reading import is_value, marked_answer
from srl_edge.method.answers.texts import same_text
from srl_edge.method.prompt_form import BOXED, DEFAULT, DONE, HASHES, PromptForm
from srl_edge.method.verifiers import same_value


def with_answer(
    steps: Iterable[str], answer: str | None, form: PromptForm = DEFAULT, own_step: bool = False
) -> tuple[str, ...]:
    """Steps whose last one states the final answer in a line of its own, where it is known.

    That line is how a model that solves a problem step by step says that it has finished. own_step:
    it is a step of its own. Raises Unusable for an answer that cannot be stated so.
    """
    steps = tuple(steps)
    if len(steps) > 1 and steps[-1] == DONE != form.answer:  # which is how another form ends
        steps = steps[:-1]
        line = "" if answer is None else _stated(answer, form)
        return (*steps, line) if line else steps
    if answer is None or not steps or _states(steps[-1], answer, form):
        return steps
    if not (line := _stated(answer, form)):
        return steps
    steps = _without_answer(steps, answer)
    return (*steps, line) if own_step else (*steps[:-1], f"{steps[-1]}\n{line}")


def _states(step: str, answer: str, form: PromptForm) -> bool:
    """Whether a step marks its answer; a heading that has a value or announces one does not."""
    if not form.states_answer(step) or form.answer != HASHES:
        return form.states_answer(step)
    announced = any(_announces(line) for line in step.split("\n") if HASHES in line)
    return not announced and same_value(marked_answer(step) or "", answer)


def _stated(answer: str, form: PromptForm) -> str:
    """What states an answer; of one whose lines count, such as code, they are kept in a fence."""
    if "\n" not in answer or is_value(answer) or form.answer == DONE:
        return form.stated(_without_boxes(answer) if form.answer == BOXED else answer)
    if form.answer != HASHES:
        raise Unusable("an answer of several lines, which only `####` can mark")
    fence = "````" if "```" in answer else "```"
    return f"{HASHES}\n{fence}\n{answer}\n{fence}"


# What stands before an answer: marks of Markdown, and words that only say that it is one.
_BOLD = r"(?:\*|[\u2190-\u2bff\U0001f000-\U0001faff]\ufe0f?\s*)*"  # or after a picture
_BEFORE = re.compile(
    rf"\s*(?:(?:[-*•+]|\d{{1,2}}[.)]|#{{1,6}})[ \t]+)*(?P<words>{_BOLD}(?:"
    rf"{SENTENCE}|[【\[]?{HEADS}[】\]]?\**[ \t]*(?=\n))\**\s*)?"
    r"(?:(?:option|choice|letter)\s+(?=[$\\(]))?",
    re.IGNORECASE,
)
_AROUND = r"(?:\\[\[\](),;!]|[\s$*_.,])*"
_BOXED = re.compile(rf"{_AROUND}\\boxed\s*\{{(.*)\}}{_AROUND}", re.DOTALL)
_GOES_ON = re.compile(r"(?:[^\W\d_]|[,:=])\s*\Z")  # as in: the area is
# A value, maybe with a unit; what comes to it or is a reason for it is more than an answer.
_SHORT = re.compile(
    rf"(?={_AROUND}\\boxed|(?!.*\\boxed))(?!.*\b(?:since|because|which|where|and so)\b)"
    rf"(?!.*{REASON}).{{1,80}}"
)
_OPEN = re.compile(r"(?:\$\$|\\\[)\s*\Z")  # a formula on lines of its own
_LINES = 8  # of a step's end that may be its answer


def _without_answer(steps: tuple[str, ...], answer: str) -> tuple[str, ...]:
    """Steps without an end that says the answer in another form, and nothing else."""
    before, lines = steps[:-1], steps[-1].rstrip().split("\n")
    for at in range(max(0, len(lines) - _LINES), len(lines)):
        left = "\n".join(lines[:at]).rstrip()
        ahead = left or "".join(before[-1:])
        goes_on = bool(_GOES_ON.search(ahead)) and not _announces(ahead.rpartition("\n")[2])
        if not _OPEN.search(left) and _says_only("\n".join(lines[at:]), answer, goes_on):
            lines = lines[:at]
            break
    kept = [*before, "\n".join(lines)]
    while kept and (not kept[-1].strip() or _announces(kept[-1].rstrip().rpartition("\n")[2])):
        if left := kept.pop().rstrip().rpartition("\n")[0].rstrip():
            kept.append(left)
    return tuple(kept) or steps


def _announces(line: str) -> bool:
    """Whether a line only says that the answer comes next."""
    match = _BEFORE.fullmatch(f"{line}\n")
    return match is not None and match["words"] is not None


def _says_only(text: str, answer: str, goes_on: bool) -> bool:
    """Whether a text is the answer and what announces it; goes_on: it ends the sentence before."""
    begins = _BEFORE.match(text)
    said = COPULA.sub("", text[begins.end() :].strip()) if begins else ""
    announced = begins is not None and begins["words"] is not None
    if goes_on and not announced:
        return False
    if boxed := _BOXED.fullmatch(said):
        return same_value(boxed[1], answer)
    if announced and _SHORT.fullmatch(said) and ("=" not in said or "=" in answer):
        return same_value(stated(f"The answer is {said}") or said, answer)
    return plain(said) == plain(answer)


_FIRST_SENTENCE = re.compile(r"[^\n]{1,120}?(?:[.!]\**(?=[ \t])|[。．])")
_HASHED = re.compile(r"\s*#{4}[ \t]*(.+)\s*")
_TITLE = re.compile(
    rf"\s*[#*【\[ \t]*{EXPLAINS}(?:[】\]*]*[ \t]*[:：][*]*|[】\]*]+)\s*", re.IGNORECASE
)
_BOX = re.compile(r"\\boxed\s*\{")
_HOLLOW = re.compile(r"\s*(?:\\[hv]?phantom\s*\{[^{}]*\}|\\q?quad|~|\\[ ,;:!])*\s*")
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*")


def without_opening(steps: Sequence[str], answer: str, choice: str = "") -> tuple[str, ...] | None:
    """Steps without a beginning that says the answer; None where none does, or nothing follows.

    Steps that say nothing besides are left out. choice: the answer with the text of its choice,
    where it is one.
    """
    if len(steps) > 2 and _announces(steps[0]):
        steps = (f"{steps[0]}\n{steps[1]}", *steps[2:])
    if not steps or (left := _after_opening(steps[0], answer, choice)) is None:
        return None
    kept = [left, *steps[1:]][not left.strip() :]
    kept[:1] = [_TITLE.sub("", step, count=1) if _TITLE.match(step) else step for step in kept[:1]]
    return tuple(kept) if kept and kept[0].strip() else None


def _after_opening(step: str, answer: str, choice: str) -> str | None:
    """What a step has behind a beginning that says the answer; None where it has none."""
    text = step.lstrip()
    lines = text.split("\n")
    sentence = _FIRST_SENTENCE.match(text)
    if sentence and sentence.end() < len(lines[0].rstrip()) and _opens(sentence[0], answer):
        left, line = text[sentence.end() :].lstrip(" \t"), lines[0][sentence.end() :].strip()
        if line and _is_choices(line, answer, choice):
            left = left[len(left.partition("\n")[0]) :]
        return left.lstrip("\n")
    for at in range(1, min(len(lines), _LINES) + 1):
        if _opens("\n".join(lines[:at]), answer):
            return "\n".join(lines[at:]).lstrip("\n")
    return None


def _opens(text: str, answer: str) -> bool:
    hashed = _HASHED.fullmatch(text)
    said = hashed is not None and same_value(hashed[1], answer)
    if said or not (begins := _BEFORE.match(text)):
        return said
    value = text[begins.end() :].strip().strip("*.。． \n")
    alone = _BOX.search(value) or is_value(value) or plain(value) == plain(answer)
    marked = begins["words"] is not None or _BOX.search(value) is not None
    return bool(alone) and marked and _says_only(text, answer, False)


def _is_choices(line: str, answer: str, choice: str) -> bool:
    """Whether what stands behind a letter in its line is the text of its choice."""
    if held := choices.labelled(choice):
        return same_text(line, held)
    return choices.alone(answer) and len(line.split()) <= 4 and line[-1] not in ".!。．"


def unmarked(steps: Sequence[str], form: PromptForm) -> tuple[str, ...]:
    """Steps of which none before the last marks an answer as the form does: the value stays.

    A regular expression's own marks stay, too.
    """
    if form.answer not in (BOXED, HASHES):
        return tuple(steps)
    away = _without_boxes if form.answer == BOXED else _without_hashes
    before = (away(step) if form.states_answer(step) else step for step in steps[:-1])
    return (*before, *steps[-1:])


def _without_hashes(text: str) -> str:
    """A text without the mark in its last line; over other lines it is a heading's, and stays."""
    before, line_end, last = text.rstrip().rpartition("\n")
    return f"{before}{line_end}{_HASHES.sub('', last).strip()}"


def _without_boxes(text: str) -> str:
    """A text with what its boxes hold in their place; an empty one is a square to be filled in."""
    closed = closings(text)
    parts: list[str] = []
    ends: set[int] = set()
    at = 0
    for match in re.finditer(r"\\boxed\{|\}", text):
        if match[0] == "}":
            if match.start() not in ends:
                continue
            parts.append(text[at : match.start()])
            at = match.end()
        else:
            end = closed.get(match.end())
            hollow = end is not None and _HOLLOW.fullmatch(text[match.end() : end])
            parts.append(text[at : match.start()] + (r"\square" if hollow else ""))
            ends |= set() if end is None else {end}
            at = end if end is not None and hollow else match.end()
    return "".join(parts) + text[at:]
