"""Worked examples before a problem, and where they come from."""

from collections.abc import Sequence
from random import Random

from srl_edge.errors import InputError
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.types import Trajectory


def drawn(
    pool: Sequence[Trajectory], measured: Sequence[Trajectory], count: int, task: str
) -> list[Trajectory]:
    """Examples for all problems of a task: the same each time, and none that is measured.

    Raises InputError where the pool has too few.
    """
    known = {problem.problem for problem in measured}
    others = [each for each in pool if each.problem not in known and each.answer]
    if len(others) < count:
        raise InputError(
            f"{task}: {count} worked examples are asked for, and {len(others)} rows are not "
            "measured; measure fewer (--limit), or give others (--shots-data FILE)."
        )
    return Random(0).sample(others, count)


def worked(examples: Sequence[Trajectory], form: PromptForm) -> tuple[tuple[str, str], ...]:
    """Problems with their solutions, whose answer is marked as the form marks one."""
    found = []
    for each in examples:
        solution = "\n".join(each.steps)
        if not form.states_answer(solution):
            solution = f"{solution}\n{form.stated(each.answer or '')}".strip()
        found.append((each.problem, f"<think></think>\n{solution}" if form.think else solution))
    return tuple(found)
