"""Worked texts for a model that has no run: those of a file, or the general ones shipped here."""

from collections.abc import Sequence
from pathlib import Path

from srl_edge.data.reading import read_source
from srl_edge.data.trajectories import ParseReport
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Data

GENERAL = Path(__file__).with_name("general.jsonl")  # many kinds of problems, in four languages


def worked_texts(file: Path | None, form: PromptForm) -> list[Trajectory]:
    """Trajectories of a file of rows of any kind that recipes take; without one, general texts.

    form: how the last step states the answer. Raises InputError where no row can be used.
    """
    source, report = file or GENERAL, ParseReport()
    found = read_source(str(source), Data(answer_step=False), report, form)
    if not found:
        raise InputError(
            f"{source}: none of {report.read} rows can be used; dropped: {report.reasons}."
        )
    return list({t.problem: t for t in found}.values())


def halves(texts: Sequence[Trajectory]) -> tuple[Sequence[Trajectory], Sequence[Trajectory]]:
    """What weights are fitted to, and what the gate asks: every second one; a single one is both.

    Rows that are sorted by kind are so split evenly, and the same again in another process.
    """
    return texts[::2], texts[1::2] or texts
