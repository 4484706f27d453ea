r"""A right answer as a row of data has it, without what marks it: `#### 4`, \boxed{4}, `$4$`."""

import re
from functools import lru_cache

from srl_edge.method.answers.plain import closings, plain
from srl_edge.method.answers.reading import (
    LONGEST,
    final_answer,
    is_answer,
    marked_answer,
    unannounced,
)
from srl_edge.method.answers.running_text import in_lines

_MARKS = 4  # of one answer, each in another
_MAY_BE_MARKED = re.compile(r"[#$\\]|[^\W\d_]")
_AROUND = r"(?:\\[\[\]()]|[\s$.*])*+"
_BOX = re.compile(rf"{_AROUND}\\(?:boxed|fbox)\s*\{{(?P<held>.*)\}}{_AROUND}")
_HASHES = re.compile(r"#{4}(?!#)\s*(?P<held>.*)")
_TEX = (
    re.compile(r"\$(?P<held>[^$]*[^$\\])\$\.?"),
    re.compile(r"\$\$(?P<held>[^$]*[^$\\])\$\$\.?"),
    re.compile(r"\\\((?P<held>(?:(?!\\[()]).)*)\\\)\.?"),
    re.compile(r"\\\[(?P<held>(?:(?!\\[\[\]]).)*)\\\]\.?"),
)


@lru_cache(64)  # one comparison asks for the same answer again and again
def bare(answer: str) -> str:
    """A right answer without the marks around the whole of it and words that only announce it.

    Of a worked solution, such as GSM8K's `answer`, the value that it marks.
    """
    if not _MAY_BE_MARKED.search(answer):
        return answer
    said = in_lines(answer).strip()
    if "\n" in said:
        marked = marked_answer(said) or ""
        ends = _HASHES.fullmatch(said.rpartition("\n")[2])
        if not marked or not (ends or ("\\boxed" in said and is_answer(marked))):
            return answer
        answer = said = marked
    for _ in range(_MARKS):
        if len(said) > LONGEST or not (held := _held(said) or _announced(said)):
            break
        answer = said = held
    return answer


def _held(said: str) -> str:
    """What stands in a mark around the whole of a line; '' where none does."""
    box = _BOX.fullmatch(said)
    if box and closings(said).get(box.start("held")) == box.end("held"):
        return box["held"].strip()
    found = (form.fullmatch(said) for form in (_HASHES, *_TEX))
    return next((match["held"].strip() for match in found if match), "")


def _announced(said: str) -> str:
    """What a line only announces, as in "The answer is 4."; '' where it announces nothing."""
    if (held := unannounced(said)) == said:
        return ""
    held = held.removesuffix(".").rstrip()
    stated = None if "\\boxed" in held else final_answer(f"The answer is {held}", kind="stated")
    return held if stated is None or stated == plain(held) else stated
