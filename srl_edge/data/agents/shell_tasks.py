"""Tasks in a repository, with the scripted expert that does them by commands."""

from collections.abc import Callable
from itertools import islice

from srl_edge.data.agents.shell_families import tasks
from srl_edge.data.agents.worlds import recorded
from srl_edge.data.values import Unusable
from srl_edge.errors import StageError
from srl_edge.method.prompt_form import DONE
from srl_edge.method.types import Trajectory


def problems(
    split: str, count: int, seed: int, advance: Callable[[], None] = lambda: None
) -> list[Trajectory]:
    """`count` tasks of a split's families, each recorded in a repository of its own."""
    found: dict[tuple[str, str], Trajectory] = {}
    for family, task in islice(tasks(split, seed), 20 * count):
        if len(found) == count:
            break
        key = (task.asked, str(task.commits))
        if key in found:
            continue
        steps = (*task.commands, DONE)
        try:
            observations, world = recorded(task.record(split, seed), steps)
        except Unusable as why:  # our own expert does it, where commands run at all
            raise StageError(f"agent-shell: {family}: {why}; is this computer very busy?") from None
        found[key] = Trajectory(
            f"{family}/{len(found)}",
            task.asked,
            steps,
            "\n".join(task.commands),
            observations=observations,
            world=world,
        )
        advance()
    return list(found.values())
