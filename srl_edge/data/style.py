"""Which style cuts most solutions of a source into sensible steps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from srl_edge.data.cutting import AUTO, cut_solution, sensible
from srl_edge.data.row import solutions_of
from srl_edge.data.shapes import fields
from srl_edge.data.thoughts import of_solution, unwrapped
from srl_edge.data.values import Unusable, clean
from srl_edge.method.answers.reading import is_value

LOOKED_AT = 1000  # rows from a source's beginning, on which the styles are tried
LONGEST, MOST = 2000, 64  # characters of a step, and steps, where the recipe sets no limit
# In this order, and a finer one only where it keeps clearly more: lines are as somebody wrote them.
_TRIED = ("lines", "paragraphs", "sentences")
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Choice:
    """The styles to try on each row, and of the rows looked at, how many each would keep."""

    styles: tuple[str, ...]
    looked_at: int = 0
    keeps: Mapping[str, int] = field(default_factory=dict)


def choose(
    style: str,
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, str] | None = None,
    longest: int | None = None,
    most: int | None = None,
) -> Choice:
    """The styles by which rows are cut: the one asked for, or of `auto` what keeps most rows.

    With `auto` a solution that is numbered is cut at its numbers; the others all in one style.
    longest, most: limits of the recipe, in characters of a step and in steps.
    """
    if style != "auto":
        return Choice((style,))
    keeps = dict.fromkeys(("numbered", *_TRIED), 0)
    looked_at = 0
    for row in islice(rows, LOOKED_AT):
        text = _solution(row, columns)
        if not text:
            continue
        looked_at += 1
        if cut_solution(text, AUTO)[1] == "numbered":
            keeps["numbered"] += 1
            continue
        for tried in _TRIED:
            steps = cut_solution(text, (tried,))[0]
            keeps[tried] += sensible(steps, longest or LONGEST, most or MOST)
    best = max(keeps[tried] for tried in _TRIED)
    found = next(tried for tried in _TRIED if keeps[tried] >= _NEARLY * best)
    return Choice(("numbered", found), looked_at, keeps)


def _solution(row: Mapping[str, Any], columns: Mapping[str, str] | None) -> str:
    """The text that would be cut; '' where there is none."""
    try:
        found = fields(row, columns)
        if found.steps:
            return ""
        texts = solutions_of(found) or [found.answer if isinstance(found.answer, str) else ""]
        text = unwrapped(of_solution(clean(texts[0]))[0])[0]
    except Unusable:
        return ""
    return "" if is_value(text) else text
