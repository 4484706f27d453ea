"""One row of somebody's data: its problem, its steps and its answer; or why it cannot be used."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from srl_edge.data.cutting import MARK, cut_solution, stated
from srl_edge.method.answers import is_value
from srl_edge.method.verifiers import same_value

# GSM8K says `question`; s1K-1.1 has DeepSeek-R1's numbered solution in `deepseek_attempt` and the
# bare answer in `solution`; SVAMP's problem is a `Body` and a `Question`.
_PROBLEMS = ("problem", "question", "question_concat")
_SOLUTIONS = ("deepseek_attempt", "solution")
_ANSWERS = ("answer", "Answer", "target")
_IDS = ("id", "ID", "unique_id")
_LONE = re.compile("[\ud800-\udfff]")
_OPENED = r"<(?:think|thinking|thought|reasoning)>|<\|begin_of_thought\|>"
_CLOSED = r"</(?:think|thinking|thought|reasoning)>|<\|end_of_thought\|>"
_THOUGHT = re.compile(rf"(?:{_OPENED}).*?(?:{_CLOSED})", re.DOTALL | re.IGNORECASE)


class Unusable(Exception):
    """Why a row cannot be used, in a few words that are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says; `steps` may be none, and `answer` is None where it gives none."""

    id: str
    problem: str
    steps: tuple[str, ...]
    answer: str | None


def read(row: Mapping[str, Any], name: str, style: str = "auto", ours: bool = False) -> Row:
    """A row of any known shape; raises Unusable.

    name: its id where it has none. style: how a solution is cut. ours: it was read before, so that
    its answer is known to be the one that its steps end in.
    """
    problem = _problem(row)
    answer = next((row[key] for key in _ANSWERS if row.get(key) is not None), None)
    if type(answer) is int and isinstance(row.get("choices") or row.get("options"), list):
        raise Unusable("an answer that is the place of a choice")
    solutions = [row[key] for key in _SOLUTIONS if isinstance(row.get(key), str)]
    if not solutions and not row.get("steps") and _is_solution(answer):
        solutions, answer = [answer], None
    reference: str | None = None
    if row.get("steps"):
        steps = _given_steps(row["steps"])
        said = stated(steps[-1]) if steps else None
    else:
        steps, said, reference = _best(solutions, style)
    known = answer_of(answer)
    known = reference if known is None else known
    if not ours and known and said is not None and not same_value(said, known):
        raise Unusable("a solution that ends in another answer than the row's")
    return Row(_id(row, name), problem, tuple(steps), said if known is None else known)


def _is_solution(answer: Any) -> bool:
    """Whether what is called an answer is a worked solution."""
    if not isinstance(answer, str) or is_value(answer):
        return False
    return MARK in answer or len(cut_solution(answer)[0]) > 1


def answer_of(value: Any) -> str | None:
    """An answer of any JSON type as a text; None for none. Raises Unusable."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case int():
            if abs(value) >= 10**1000:
                raise Unusable("a number of thousands of digits")
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
    try:
        return _clean(str(found)) if isinstance(found, str | int | float) else name
    except (Unusable, ValueError):  # a character of no tokenizer, or thousands of digits
        return name


def _given_steps(steps: Any) -> list[str]:
    if not isinstance(steps, list) or not all(isinstance(s, str | int | float) for s in steps):
        raise Unusable("steps are no list of texts")
    texts = [step if isinstance(step, str) else answer_of(step) or "" for step in steps]
    return [step for text in texts if (step := without_thoughts(_clean(text)))]


def _best(
    solutions: list[str], style: str
) -> tuple[list[str], str | None, str | None]:  # fmt: skip
    """The steps of the first solution that has two, else of the first; what it states, and what
    another solution states or is.
    """
    cut = [cut_solution(without_thoughts(_clean(text)), style) for text in solutions]
    chosen = next((at for at, (steps, _) in enumerate(cut) if len(steps) > 1), 0)
    others = [at for at in range(len(cut)) if at != chosen]
    short = (solutions[at].strip() if is_value(solutions[at]) else cut[at][1] for at in others)
    steps, said = cut[chosen] if cut else ([], None)
    return steps, said, next((value for value in short if value), None)


def without_thoughts(text: str) -> str:
    """A solution without what its writer thought; raises Unusable where that has no end."""
    text = re.split(_CLOSED, _THOUGHT.sub("", text), flags=re.IGNORECASE)[-1]
    if re.search(_OPENED, text, re.IGNORECASE):
        raise Unusable("a thought without an end")
    return text.strip()


def _clean(text: str) -> str:
    """A text with line ends of one kind; raises Unusable for characters that no tokenizer takes."""
    if _LONE.search(text):
        raise Unusable("half of a character (a lone surrogate)")
    if "\0" in text:
        raise Unusable("a NUL character")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
