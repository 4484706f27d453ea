"""One row of somebody's data: its problem, its steps and its answer; or why it cannot be used."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from srl_edge.data.cutting import MARK, cut_solution, stated
from srl_edge.method.answers import is_value

# GSM8K says `question`; s1K-1.1 has DeepSeek-R1's numbered solution in `deepseek_attempt` and the
# bare answer in `solution`; SVAMP's problem is a `Body` and a `Question`.
_PROBLEMS = ("problem", "question", "question_concat")
_SOLUTIONS = ("deepseek_attempt", "solution")
_ANSWERS = ("answer", "Answer", "target")
_IDS = ("id", "ID", "unique_id")
_LONE = re.compile("[\ud800-\udfff]")
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


class Unusable(Exception):
    """Why a row cannot be used, in a few words that are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says; `steps` may be none, and `answer` is None where it gives none."""

    id: str
    problem: str
    steps: tuple[str, ...]
    answer: str | None


def read(row: Mapping[str, Any], name: str, style: str = "auto") -> Row:
    """A row of any known shape; raises Unusable.

    name: its id where it has none. style: how a solution is cut.
    """
    problem = _problem(row)
    answer = next((row[key] for key in _ANSWERS if row.get(key) is not None), None)
    solutions = [row[key] for key in _SOLUTIONS if isinstance(row.get(key), str)]
    if not solutions and isinstance(answer, str) and (MARK in answer or "\n" in answer.strip()):
        solutions, answer = [answer], None
    if row.get("steps"):
        steps = _given_steps(row["steps"])
        said = stated(steps[-1]) if steps else None
    else:
        steps, said = _best(solutions, style)
        short = next((text for text in solutions if is_value(text.strip())), None)
        said = short if said is None and short is not None else said
    known = answer_of(answer)
    return Row(_id(row, name), problem, tuple(steps), said if known is None else known)


def answer_of(value: Any) -> str | None:
    """An answer of any JSON type as a text; None for none. Raises Unusable."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                return None  # NaN is how tables write that nothing is there
            return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
        case str():
            return _clean(value) or None
        case list() | dict() if len(value) == 1:
            return answer_of(value[0] if isinstance(value, list) else next(iter(value.values())))
        case list() | dict() if not value:
            return None
    raise Unusable("an answer that is a list or an object")


def _problem(row: Mapping[str, Any]) -> str:
    text = next((row[key] for key in _PROBLEMS if row.get(key)), None)
    if text is None and isinstance(row.get("Body"), str) and isinstance(row.get("Question"), str):
        body = row["Body"].strip()
        text = f"{body}{'' if body.endswith('.') else '.'} {row['Question'].strip()}"
    if not isinstance(text, str) or not text.strip():
        raise Unusable("no problem text")
    return _clean(text)


def _id(row: Mapping[str, Any], name: str) -> str:
    found = next((row[key] for key in _IDS if row.get(key) is not None), name)
    return str(found) if isinstance(found, str | int | float) else name


def _given_steps(steps: Any) -> list[str]:
    if not isinstance(steps, list) or not all(isinstance(s, str | int | float) for s in steps):
        raise Unusable("steps are no list of texts")
    texts = [step if isinstance(step, str) else answer_of(step) or "" for step in steps]
    return [step for text in texts if (step := without_thoughts(_clean(text)))]


def _best(solutions: list[str], style: str) -> tuple[list[str], str | None]:
    """The steps of the first solution that has two, else of the first; and what it states."""
    cut = [cut_solution(without_thoughts(_clean(text)), style) for text in solutions]
    empty: tuple[list[str], str | None] = ([], None)
    return next((each for each in cut if len(each[0]) > 1), next(iter(cut), empty))


def without_thoughts(text: str) -> str:
    """A solution without what its writer thought; raises Unusable where that has no end."""
    text = _THOUGHT.sub("", text).rpartition("</think>")[2]
    if "<think>" in text:
        raise Unusable("a thought without an end")
    return text.strip()


def _clean(text: str) -> str:
    """A text with line ends of one kind; raises Unusable for characters that no tokenizer takes."""
    if _LONE.search(text):
        raise Unusable("half of a character (a lone surrogate)")
    if "\0" in text:
        raise Unusable("a NUL character")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
