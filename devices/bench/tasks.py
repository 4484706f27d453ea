"""The problems that models are measured on: public test sets by name, or a file of one's own."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from srl_edge.data.row import Unusable
from srl_edge.data.row import read as row_of
from srl_edge.data.trajectories import ParseReport, distinct, read_jsonl
from srl_edge.errors import InputError
from srl_edge.files import parsed
from srl_edge.method.types import Trajectory
from srl_edge.terminal import progress

# Hub dataset, its configuration, and the split that is measured on.
TASKS: dict[str, tuple[str, str | None, str]] = {
    "gsm8k": ("openai/gsm8k", "main", "test"),
    "gsm_symbolic": ("apple/GSM-Symbolic", "main", "test"),
    "svamp": ("ChilleD/SVAMP", None, "test"),
    "math500": ("HuggingFaceH4/MATH-500", None, "test"),
    "amc23": ("math-ai/amc23", None, "test"),
    "aime24": ("HuggingFaceH4/aime_2024", None, "train"),
    "aime25": ("math-ai/aime25", None, "test"),
}


def problems(task: str, file: Path | None = None, limit: int | None = None) -> list[Trajectory]:
    """The first problems of a task, with their answers, and the expert's steps where they have any.

    file: rows as JSON Lines or one JSON array, in place of the hub's. Raises InputError where the
    task is unknown, the hub cannot be reached, or rows hold no problem and answer.
    """
    if file is None and task not in TASKS:
        raise InputError(
            f"task {task!r} is not known; choose from {', '.join(TASKS)}, or give --data FILE."
        )
    report = ParseReport()
    rows = _from_file(file, report) if file else _from_hub(task)
    found: list[Trajectory] = []
    dropped: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    first = ""
    for number, row in enumerate(rows):
        if len(found) == limit:
            break
        try:
            read = row_of(row, f"{task}-{number}")
            if read.answer is None:
                raise Unusable("no answer")
        except Unusable as why:
            dropped[str(why)] += 1
            if not first:
                first = f"row {number + 1}: {why} in {sorted(row)}"
            continue
        found.append(Trajectory(distinct(read.id, ids), read.problem, read.steps, read.answer))
    where = file or TASKS[task][0]
    dropped.update(report.dropped)
    said = ", ".join(f"{count} for {why}" for why, count in dropped.most_common())
    if not found:
        said = f", {first}; name them `problem` and `answer`" if first else ": no problems"
        raise InputError(f"{where}{said}.")
    if dropped:
        progress.say(f"{task}: {dropped.total()} rows of {where} are left out: {said}.")
    return found


def _from_file(file: Path, report: ParseReport) -> Iterable[Mapping[str, Any]]:
    if file.is_file() and file.read_bytes().removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        try:
            rows: Iterable[Mapping[str, Any]] = parsed(file.read_bytes(), "Json")
        except ValueError as error:
            raise InputError(f"{file}: {error}.") from None
        if not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{file}: an array of objects is needed, with `problem` and `answer`.")
        return rows
    return read_jsonl(file, report)


def _from_hub(task: str) -> Iterable[Mapping[str, Any]]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"task {task}: reading it from the hub needs datasets: pip install datasets; or give "
            "--data FILE."
        ) from None
    name, configuration, split = TASKS[task]
    try:
        rows: Iterable[Mapping[str, Any]] = datasets.load_dataset(name, configuration, split=split)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"task {task}: {name} cannot be read from the hub ({reason}); give --data FILE."
        ) from None
    return rows
