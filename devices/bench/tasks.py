"""The problems that models are measured on: public test sets by name, or rows of one's own."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from srl_edge.data.agents import home_requests, shell_tasks
from srl_edge.data.agents.sandbox import kept
from srl_edge.data.agents.worlds import announce
from srl_edge.data.hub import INSTEAD
from srl_edge.data.reading import columns_for
from srl_edge.data.row import read as row_of
from srl_edge.data.sources import open_source
from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport, distinct
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory
from srl_edge.terminal import progress

# Each with the configuration and the split of the hub that is measured on.
TASKS: dict[str, str] = {
    "gsm8k": "hf:openai/gsm8k:main:test",
    "gsm_symbolic": "hf:apple/GSM-Symbolic:main:test",
    "svamp": "hf:ChilleD/SVAMP::test",
    "math500": "hf:HuggingFaceH4/MATH-500::test",
    "amc23": "hf:math-ai/amc23::test",
    "aime24": "hf:HuggingFaceH4/aime_2024::train",
    "aime25": "hf:math-ai/aime25::test",
}
# What agents do in a world, which then says whether it is done; made up, on held-out words.
AGENTS = {"agent-home": home_requests.problems, "agent-shell": shell_tasks.problems}
_ACTED = 100  # tasks in worlds, without a limit


def _acted(task: str, limit: int | None) -> list[Trajectory]:
    if task == "agent-shell":
        progress.say(f"{task}: {kept()}")
    return AGENTS[task]("test", _ACTED if limit is None else limit, 0)


def problems(
    task: str,
    source: str | Path | None = None,
    limit: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[Trajectory]:
    """The first problems of a task, with their answers, and the expert's steps where they have any.

    source: rows in place of the hub's, as `data.source` names them; of several splits, `test`.
    columns: as `data.columns`. Raises InputError where the task is unknown, the source cannot be
    read, or rows hold no problem and answer.
    """
    if source is None and task not in (*TASKS, *AGENTS):
        known = ", ".join((*TASKS, *AGENTS))
        raise InputError(f"task {task!r} is not known; choose from {known}, or give --data FILE.")
    if source is None and task in AGENTS:
        return _acted(task, limit)
    name = TASKS[task] if source is None else str(source)
    try:
        tables = open_source(name).chosen(("test", "train"))
    except InputError as error:
        if source is not None:
            raise
        message = str(error).replace(INSTEAD, "give --data FILE")
        raise InputError(f"task {task}: {message}") from None
    columns = columns_for(tables, columns, "--columns")
    styles = choose("auto", chain.from_iterable(t.rows(None) for t in tables), columns).styles
    report = ParseReport()
    found: list[Trajectory] = []
    for number, row in enumerate(chain.from_iterable(t.rows(report.bad) for t in tables)):
        if len(found) == limit:
            break
        try:
            read = row_of(row, f"{task}-{number}", styles, columns=columns)
            if read.answer is None:
                raise Unusable("no answer")
        except Unusable as why:
            report.drop(str(why), f"row {number + 1}", row)
            continue
        found.append(
            Trajectory(
                distinct(read.id, report.ids),
                read.problem,
                read.steps,
                read.answer,
                observations=read.observations,
                tools=read.tools,
                world=read.world,
            )
        )
    if not found:
        raise InputError(f"{name}: no problems; left out: {report.reasons}.")
    if report.dropped:
        left_out = f"{report.dropped.total()} rows of {name} are left out"
        progress.say(f"{task}: {left_out}: {report.reasons}.")
    announce(task, (t.world for t in found))
    return found
