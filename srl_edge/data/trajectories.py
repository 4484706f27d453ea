"""Expert solutions, cut into steps: what is kept, what is dropped, and why."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import parsed
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.types import Trajectory

ANSWER_MARK = "####"
_HEADER = re.compile(r"^(\d+)[.)]\s+", re.MULTILINE)
_ANNOTATION = re.compile(r"<<[^<>]*>>")
_FINAL_ANSWER = re.compile(r"^\s*####\s*(.+?)\s*$", re.MULTILINE)
_LONE = re.compile("[\ud800-\udfff]")
# GSM8K says `question`; s1K keeps DeepSeek-R1's numbered solution in `deepseek_attempt`.
_PROBLEM_KEYS = ("problem", "question")
_SOLUTION_KEYS = ("solution", "deepseek_attempt")


@dataclass(slots=True)
class ParseReport:
    """How many rows were read, kept, and dropped for which reason."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"read": self.read, "kept": self.kept, "dropped": dict(self.dropped.most_common())}


def numbered_steps(solution: str) -> list[str]:
    """Cut at `1.`, `2.` … at column 0, numbered consecutively from 1; a preamble joins step 1.

    Returns [] where fewer than two such headers are found. Source: arXiv 2510.25992, section 5.1.
    """
    starts: list[int] = []
    for match in _HEADER.finditer(solution):
        if int(match[1]) == len(starts) + 1:
            starts.append(match.start())
    if len(starts) < 2:
        return []
    cuts = [0, *starts[1:], len(solution)]
    return [solution[a:b].strip() for a, b in pairwise(cuts)]


def line_steps(solution: str) -> list[str]:
    """Cut at line ends; blank lines separate nothing. Source: GSM8K."""
    return [line.strip() for line in solution.splitlines() if line.strip()]


def cut_solution(solution: str, style: str = "auto") -> tuple[list[str], str | None]:
    """Steps of a solution and the answer after its `####` mark, if any.

    style: numbered | lines | auto (numbered where the solution is). `<<48/2=24>>` is removed.
    """
    solution = _ANNOTATION.sub("", solution)
    marks = _FINAL_ANSWER.findall(solution)
    body = _FINAL_ANSWER.sub("", solution).strip()
    steps = numbered_steps(body) if style in ("auto", "numbered") else []
    if not steps and style in ("auto", "lines"):
        steps = line_steps(body)
    return steps, marks[-1] if marks else None


def with_answer(
    steps: Iterable[str], answer: str | None, form: PromptForm = DEFAULT
) -> tuple[str, ...]:
    """Steps whose last one states the final answer in a line of its own, where it is known.

    That line is how a model that solves a problem step by step says that it has finished.
    """
    steps = tuple(steps)
    line = "" if answer is None else form.stated(answer)
    if not line or not steps or form.states_answer(steps[-1]):
        return steps
    return (*steps[:-1], f"{steps[-1]}\n{line}")


def parse_rows(
    rows: Iterable[Mapping[str, Any]],
    report: ParseReport,
    style: str = "auto",
    max_step_characters: int | None = None,
    form: PromptForm | None = DEFAULT,
) -> Iterator[Trajectory]:
    """Turn rows (`problem`, `solution` or `steps`, `answer`) into trajectories.

    form: how the last step states the answer; None leaves the steps as they are. What is dropped is
    counted with its reason. GSM8K's own names are read too: `question`, and a
    solution in `answer` that ends in `#### n`.
    """
    for row in rows:
        report.read += 1
        row_id = str(row.get("id", report.read))
        parsed = _parse_row(row, row_id, style, max_step_characters, form)
        if isinstance(parsed, str):
            report.dropped[parsed] += 1
        else:
            report.kept += 1
            yield parsed


def _parse_row(
    row: Mapping[str, Any], row_id: str, style: str, max_step_characters: int | None,
    form: PromptForm | None,
) -> Trajectory | str:  # fmt: skip
    problem = next((row[k] for k in _PROBLEM_KEYS if row.get(k)), None)
    if not isinstance(problem, str) or not problem.strip():
        return "no problem text"
    if _LONE.search(json.dumps(row, ensure_ascii=False)):
        return "half of a character (a lone surrogate)"
    answer = row.get("answer")
    solution = next((row[k] for k in _SOLUTION_KEYS if row.get(k)), None)
    if isinstance(answer, str) and ANSWER_MARK in answer and solution is None:
        solution, answer = answer, None
    if row.get("steps"):
        if not isinstance(row["steps"], list) or not all(isinstance(s, str) for s in row["steps"]):
            return "steps are no list of texts"
        steps = [s.strip() for s in row["steps"] if s.strip()]
    elif isinstance(solution, str):
        steps, marked = cut_solution(solution, style)
        answer = marked if answer is None else answer
    else:
        return "no solution and no steps"
    if len(steps) < 2:
        return "fewer than two steps"
    if max_step_characters and max(map(len, steps)) > max_step_characters:
        return f"a step longer than {max_step_characters} characters"
    answer = None if answer is None else str(answer)
    stated = tuple(steps) if form is None else with_answer(steps, answer, form)
    return Trajectory(row_id, problem.strip(), stated, answer)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSONL file; raises InputError with the line number where one is not JSON."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a JSONL file of trajectories.")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = parsed(line, "Json")
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number}: {error}; each line must be one JSON object in UTF-8."
                ) from None
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: a JSON object is needed, with `problem`.")
            yield row


def write_jsonl(path: Path, trajectories: Iterable[Trajectory]) -> Path:
    """Write trajectories as rows that `parse_rows` reads back."""
    with path.open("w", encoding="utf-8") as out:
        for t in trajectories:
            row = {"id": t.id, "problem": t.problem, "steps": list(t.steps), "answer": t.answer}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def load(path: Path) -> list[Trajectory]:
    """Trajectories of a file written by `write_jsonl`."""
    return list(parse_rows(read_jsonl(path), ParseReport(), form=None))
