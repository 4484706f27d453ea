"""Expert solutions, cut into steps: what is kept, what is dropped, and why."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srl_edge.data.row import Unusable, read
from srl_edge.errors import InputError
from srl_edge.files import parsed
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.types import Trajectory

# What a JSON reader says of values that it gives up on, and what is counted then.
_TOO_MUCH = {
    "nested too deeply": "nested too deeply",
    "integer string conversion": "a number of thousands of digits",
}


@dataclass(slots=True)
class ParseReport:
    """How many rows were read, kept, and dropped for which reason."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"read": self.read, "kept": self.kept, "dropped": dict(self.dropped.most_common())}


def with_answer(
    steps: Iterable[str], answer: str | None, form: PromptForm = DEFAULT, own_step: bool = False
) -> tuple[str, ...]:
    """Steps whose last one states the final answer in a line of its own, where it is known.

    That line is how a model that solves a problem step by step says that it has finished. own_step:
    it is a step of its own.
    """
    steps = tuple(steps)
    line = "" if answer is None else form.stated(answer)
    if not line or not steps or form.states_answer(steps[-1]):
        return steps
    return (*steps, line) if own_step else (*steps[:-1], f"{steps[-1]}\n{line}")


def parse_rows(
    rows: Iterable[Mapping[str, Any]],
    report: ParseReport,
    style: str = "auto",
    max_step_characters: int | None = None,
    form: PromptForm | None = DEFAULT,
    answer_step: bool = False,
) -> Iterator[Trajectory]:
    """Turn rows (`problem`, `solution` or `steps`, `answer`) into trajectories, each with its id.

    form: how the last step states the answer; None leaves the steps as they are. answer_step: the
    answer is a step of its own. What is dropped is counted with its reason.
    """
    ids: Counter[str] = Counter()
    for row in rows:
        report.read += 1
        try:
            found = read(row, str(report.read), style, ours=form is None)
            if len(found.steps) < 2:
                nothing = not found.steps and not row.get("steps")
                raise Unusable("no solution and no steps" if nothing else "fewer than two steps")
            if max_step_characters and max(map(len, found.steps)) > max_step_characters:
                raise Unusable(f"a step longer than {max_step_characters} characters")
        except Unusable as why:
            report.dropped[str(why)] += 1
            continue
        report.kept += 1
        steps = found.steps
        if form is not None:
            steps = with_answer(steps, found.answer, form, answer_step)
        yield Trajectory(distinct(found.id, ids), found.problem, steps, found.answer)


def distinct(name: str, seen: Counter[str]) -> str:
    """An id that no row before has; what is recorded of a row is found again by it."""
    seen[name] += 1
    return name if seen[name] == 1 else distinct(f"{name}-{seen[name]}", seen)


def read_jsonl(path: Path, report: ParseReport | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a JSONL file; raises InputError with the line number where one is not JSON.

    report: counts rows that are JSON, and more of it than can be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a JSONL file of trajectories.")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = parsed(line, "Json")
            except ValueError as error:
                why = next((words for said, words in _TOO_MUCH.items() if said in str(error)), "")
                if report and why:
                    report.read += 1
                    report.dropped[why] += 1
                    continue
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
