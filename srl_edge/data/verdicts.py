"""What a row itself says of its solutions: whether one is right, and of several, which."""

import re
from collections.abc import Mapping
from typing import Any

from srl_edge.data.agents.declared import items
from srl_edge.data.values import Unusable, as_list

Row = Mapping[str, Any]

_INVALID = ("no", "incomplete", "invalid", "problem not solved")
# Columns as they are published, what each judges, and what it then says of a bad one.
_VERDICTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "deepseek_grade": (("deepseek_attempt", "deepseek_thinking_trajectory"), ("no",)),  # s1K-1.1
    "gemini_grade": (("gemini_attempt", "gemini_thinking_trajectory"), ("no",)),
    "problem_is_valid": ((), _INVALID),  # NuminaMath-1.5
    "solution_is_valid": (("solution",), _INVALID),
    "is_correct": (("generated_solution",), ("false",)),  # OpenMathInstruct-1
    "correct": (("messages", "conversations"), ("false",)),  # OpenThoughts-114k-math
    "judgement": (("r1_generation", "solution"), ("wrong",)),  # OpenCodeReasoning-2
    "final_answer_correct": (("steps",), ("false",)),  # ProcessBench
}
# Lists with an item for each solution of OpenR1-Math; one judge is enough to call it right.
_JUDGES = ("correctness_math_verify", "correctness_llama")
_ENDED, _FINISHED = "is_reasoning_complete", "finish_reasons"

# Where the record of an attempt says how it ended, and how it says that it failed.
_HOLDERS = (
    *("info", "metadata", "evaluation", "eval", "reward_info", "result", "extra_info"),
    *("verifier_result", "test_result"),
)
_SUCCESSES = (
    *("resolved", "is_resolved", "success", "is_success", "successful", "solved", "is_solved"),
    *("passed", "is_passed", "tests_passed", "correct", "verified", "completed", "target"),
)
_REWARDS = ("reward", "rewards", "final_reward", "total_reward")
_ENDS = ("outcome", "status", "result", "exit_status")
# Words of recorders, SWE-agent's exits, and the name of what was raised, as Harbor and
# mini-swe-agent write it.
_FAILED = re.compile(
    r"(?i:fail(?:ed|ure)?|unsuccessful|unresolved|error|early_exit|exit_\w+|limits?_?exceeded"
    r"|max_(?:iterations|steps|turns)|time(?:d[_ ]?)?out|aborted|cancell?ed)"
    r"|[A-Z]\w*(?:Error|Exception|Expired|Exceeded|Timeout|Interrupt)"
)
_CUT_OFF = re.compile(r"submitted \(exit_\w+\)", re.IGNORECASE)  # what there was at a limit


def require_success(row: Row) -> None:
    """Raise Unusable for the record of an attempt that says that it failed, or earned nothing.

    A number that is no verdict, as the status of a program, says nothing; and what was submitted
    when a limit was reached is no success but where the record says so.
    """
    inside = [held for column in _HOLDERS for held in items(row.get(column))]
    records = [row, *(each for each in inside if isinstance(each, Mapping))]
    said = [str(held.get(name)).strip().lower() for held in records for name in _SUCCESSES]
    ends = [str(held.get(name)).strip() for held in records for name in _ENDS]
    if (
        any(each in ("false", "0", "0.0", "no") for each in said)
        or any(map(_FAILED.fullmatch, ends))
        or (any(map(_CUT_OFF.fullmatch, ends)) and "true" not in said)
        or any(_earned_nothing(held.get(name)) for held in records for name in _REWARDS)
        or re.fullmatch(r"0\.0+|-\d+\.\d+", str(row.get("result")).strip())  # Harbor's reward
    ):
        raise Unusable("an attempt that did not succeed")


def _earned_nothing(reward: Any) -> bool:
    """Of several rewards, of steps or by name, none has to be above zero."""
    if isinstance(reward, Mapping):
        reward = list(reward.values())
    if (listed := as_list(reward)) is not None:
        return bool(listed) and all(map(_earned_nothing, listed))
    try:
        return float(reward) <= 0
    except (TypeError, ValueError, OverflowError):
        return False


def require_right(row: Row, column: str) -> None:
    """Raise Unusable for a row that calls its problem or its solution wrong.

    column: of the solution that is read; what judges another one that is there says nothing of it.
    What a column holds beside its published values is no verdict.
    """
    for name, (judged, bad) in _VERDICTS.items():
        about = not any(row.get(each) for each in judged) or column in judged
        if about and str(row.get(name)).strip().lower() in bad:
            what = "problem" if name.startswith("problem") else "solution"
            raise Unusable(f"a {what} that its own row calls wrong ({name})")


def right_of(row: Row, solutions: Any) -> Any:
    """Of several solutions that a row judges one by one, the first that is right and whole; others
    as they are. Raises Unusable where none is.
    """
    texts = as_list(solutions) or []
    lists = {name: as_list(row.get(name)) for name in (*_JUDGES, _ENDED, _FINISHED)}
    said = {name: held for name, held in lists.items() if held and len(held) == len(texts)}
    judges = [said[name] for name in _JUDGES if name in said]
    ended, finished = (said.get(name) or [None] * len(texts) for name in (_ENDED, _FINISHED))
    if not said:
        return solutions
    for at, text in enumerate(texts):
        right = not judges or any(verdicts[at] is True for verdicts in judges)
        if right and ended[at] is not False and finished[at] != "length":
            return text
    raise Unusable("solutions that its own row calls wrong, or cut off")
