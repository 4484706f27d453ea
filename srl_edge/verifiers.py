"""Exact answers: is the final answer of a solution the right one?"""

import logging
import re

from srl_edge.trajectories import ANSWER_MARK

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def final_answer(solution: str) -> str | None:
    r"""What a solution gives as its answer: after `####`, in \boxed{}, else its last number."""
    marked = [part.strip() for part in solution.split(ANSWER_MARK)[1:] if part.strip()]
    if marked:
        return marked[-1].splitlines()[0].strip()
    boxed = re.findall(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", solution)
    if boxed:
        return str(boxed[-1])
    found = _NUMBER.findall(solution)
    return found[-1] if found else None


def is_correct(solution: str, answer: str) -> bool:
    """Whether the final answer of `solution` equals `answer`, by math-verify."""
    given = final_answer(solution)
    return given is not None and same_value(given, answer)


def same_value(given: str, answer: str) -> bool:
    """Whether two answers are mathematically equal, by math-verify."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    # No timeouts: math-verify's use signals, which only work in the main thread.
    gold = parse(f"${_plain(answer)}$", parsing_timeout=None)
    guess = parse(f"${_plain(given)}$", parsing_timeout=None)
    return bool(verify(gold, guess, timeout_seconds=None))


def _plain(answer: str) -> str:
    """Without currency, percent signs, thousands separators and the name of what is counted."""
    bare = re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip(" $€£%.")
    return re.sub(r"(?<=\d)\s+(?!pi\b)[A-Za-z]{2,}[A-Za-z .]*$", "", bare)
