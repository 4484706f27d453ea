"""A written solution, cut into the steps that it consists of."""

import re
from itertools import pairwise

from srl_edge.method.answers import final_answer, is_value

MARK = "####"
# `1. …` or `2) …`; after a Markdown heading or bold as well, and `Step 3: …`.
_HEADER = re.compile(
    r"^(?:(?:#{1,6}[ \t]+)?(?:\*\*)?step[ \t]+(\d+)[ \t]*(?:[.:)]|(?=\*\*|\n|$))|(\d+)[.)][ \t\n])",
    re.MULTILINE | re.IGNORECASE,
)
_ANNOTATION = re.compile(r"<<[^<>]*>>")
_MARKED = re.compile(r"\s*####\s*([^#].*)")


def numbered_steps(solution: str) -> list[str]:
    """Cut at `1.`, `2.` … at column 0, numbered consecutively from 1; a preamble joins step 1.

    `Step 1:` counts too. Returns [] where fewer than two such headers are found.
    Source: arXiv 2510.25992, section 5.1.
    """
    starts: list[int] = []
    for match in _HEADER.finditer(solution):
        if int((match[1] or match[2])[:9]) == len(starts) + 1:
            starts.append(match.start())
    if len(starts) < 2:
        return []
    cuts = [0, *starts[1:], len(solution)]
    return [solution[a:b].strip() for a, b in pairwise(cuts)]


def line_steps(solution: str) -> list[str]:
    """Cut at line ends; blank lines separate nothing. Source: GSM8K."""
    return [line.strip() for line in solution.split("\n") if line.strip()]


def cut_solution(solution: str, style: str = "auto") -> tuple[list[str], str | None]:
    """Steps of a solution, and the answer that it states, if any.

    style: numbered | lines | auto (numbered where the solution is). `<<48/2=24>>` is removed, and
    so is a line with the answer after `####`; Markdown headings stay.
    """
    solution = _ANNOTATION.sub("", solution)
    lines = solution.split("\n")
    kept = [line for line, last in zip(lines, _is_last(lines), strict=True)
            if not _is_answer(line, last)]  # fmt: skip
    body = "\n".join(kept).strip()
    steps = numbered_steps(body) if style in ("auto", "numbered") else []
    if not steps and style in ("auto", "lines"):
        steps = line_steps(body)
    return steps, stated(solution)


def stated(text: str) -> str | None:
    """The answer that a text states, marked or after "the answer is"; None where it states none."""
    return final_answer(text, kind="stated")


def _is_last(lines: list[str]) -> list[bool]:
    filled = [at for at, line in enumerate(lines) if line.strip()]
    return [bool(filled) and at == filled[-1] for at in range(len(lines))]


def _is_answer(line: str, last: bool) -> bool:
    """Whether a line holds nothing but the answer after its mark."""
    match = _MARKED.fullmatch(line)
    return match is not None and (last or is_value(match[1]))
