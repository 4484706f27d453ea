"""The problems that models are measured on: public test sets by name, or a file of one's own."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from srl_edge.data.trajectories import ANSWER_MARK, cut_solution, read_jsonl
from srl_edge.errors import InputError
from srl_edge.files import parsed
from srl_edge.method.types import Trajectory

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
_IDS = ("id", "ID", "unique_id")
_PROBLEMS = ("problem", "question", "question_concat")
_ANSWERS = ("answer", "Answer", "target")


def problems(task: str, file: Path | None = None, limit: int | None = None) -> list[Trajectory]:
    """The first problems of a task, with their answers, and the expert's steps where they have any.

    file: rows as JSON Lines or one JSON array, in place of the hub's. Raises InputError where the
    task is unknown, the hub cannot be reached, or rows hold no problem and answer.
    """
    if file is None and task not in TASKS:
        raise InputError(
            f"task {task!r} is not known; choose from {', '.join(TASKS)}, or give --data FILE."
        )
    rows = _from_file(file) if file else _from_hub(task)
    found = []
    for number, row in enumerate(islice(rows, limit)):
        problem = _problem(row, f"{task}-{number}")
        if problem is None:
            where = file or TASKS[task][0]
            raise InputError(
                f"{where}, row {number + 1}: no problem and answer in {sorted(row)}; name them "
                "`problem` and `answer`."
            )
        found.append(problem)
    if not found:
        raise InputError(f"{file or task}: no problems.")
    return found


def _from_file(file: Path) -> Iterable[Mapping[str, Any]]:
    if file.is_file() and file.read_bytes().lstrip().startswith(b"["):
        try:
            rows: Iterable[Mapping[str, Any]] = parsed(file.read_bytes(), "Json")
        except ValueError as error:
            raise InputError(f"{file}: {error}.") from None
        if not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{file}: an array of objects is needed, with `problem` and `answer`.")
        return rows
    return read_jsonl(file)


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


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _problem(row: Mapping[str, Any], name: str) -> Trajectory | None:
    text = next((row[key] for key in _PROBLEMS if row.get(key)), None)
    if text is None and _is_text(row.get("Body")) and _is_text(row.get("Question")):
        body = row["Body"].strip()
        text = f"{body}{'' if body.endswith('.') else '.'} {row['Question'].strip()}"
    answer = next((row[key] for key in _ANSWERS if row.get(key) is not None), None)
    solution = row.get("solution") or (answer if ANSWER_MARK in str(answer) else "")
    cut, marked = cut_solution(str(solution)) if _is_text(solution) else ([], None)
    answer = answer if marked is None else marked
    if not _is_text(text) or answer is None:
        return None
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)  # SVAMP's 145.0
    given = row.get("steps")
    steps = given if isinstance(given, list) and all(map(_is_text, given)) else cut
    number = next((str(row[key]) for key in _IDS if row.get(key) is not None), name)
    return Trajectory(number, str(text).strip(), tuple(steps), str(answer).strip())
