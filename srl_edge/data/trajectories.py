"""Expert solutions, cut into steps: what is kept, what is dropped, and why."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from srl_edge.data.cutting import AUTO
from srl_edge.data.final_step import unmarked, with_answer, without_opening
from srl_edge.data.formats import rows_of
from srl_edge.data.row import Row, read
from srl_edge.data.thoughts import joined
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.files import writing
from srl_edge.method.answers.reading import searched
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.types import Trajectory

EXAMPLES = 3  # of the rows that are dropped for one reason
_SHOWN = 200  # characters of each


@dataclass(slots=True)
class ParseReport:
    """How many rows were read, kept, and dropped for which reason, with examples.

    shapes: kept rows by their shape; styles: by how their solutions were cut, `given` where they
    came in steps. openings, unmarked: those whose answer was said before the solution, or marked
    before the last step. ids: how often each was there, so that none is given twice.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    shapes: Counter[str] = field(default_factory=Counter)
    styles: Counter[str] = field(default_factory=Counter)
    openings: int = 0
    unmarked: int = 0
    ids: Counter[str] = field(default_factory=Counter)

    def drop(self, why: str, where: str, row: object = "") -> None:
        """Count a row that is left out; where, row: for the first examples of that reason."""
        self.dropped[why] += 1
        if len(shown := self.examples.setdefault(why, [])) < EXAMPLES:
            text = " ".join(f"{where}: {_as_text(row)}".removesuffix(": ").split())
            shown.append(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")

    def bad(self, why: str, where: str) -> None:
        """Count a row that could not be read at all."""
        self.read += 1
        self.drop(why, where)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(self.dropped.most_common()),
            "examples": {why: self.examples[why] for why, _ in self.dropped.most_common()},
        }

    @property
    def reasons(self) -> str:
        """Why rows were dropped, in words, with the first of those dropped for the first reason."""
        said = ", ".join(f"{count} for {why}" for why, count in self.dropped.most_common())
        first = next((self.examples[why] for why, _ in self.dropped.most_common(1)), [])
        return f"{said}; such as {first[0]}" if first else said or "none"


def parse_rows(
    rows: Iterable[Mapping[str, Any]],
    report: ParseReport,
    styles: Sequence[str] = AUTO,
    max_step_characters: int | None = None,
    form: PromptForm | None = DEFAULT,
    answer_step: bool = False,
    columns: Mapping[str, str] | None = None,
    where: str = "",
) -> Iterator[Trajectory]:
    """Turn rows of any known shape into trajectories, each with its id.

    styles: how solutions are cut. form: how the last step states the answer; None leaves the steps
    as they are. answer_step: the answer is a step of its own. columns: as for `shapes.fields`.
    where: what the rows are of, for the examples of what is dropped, which is counted with its
    reason.
    """
    for number, row in enumerate(rows, start=1):
        report.read += 1
        try:
            found = read(row, str(report.read), styles, form is None, columns)
            if form is not None and found.taught is not None and not found.observations:
                found = _without_opening(found, found.taught, report)
            if len(found.steps) < (1 if found.observations else 2):  # one action, and done
                nothing = not found.steps and not found.style and not row.get("steps")
                raise Unusable("no solution and no steps" if nothing else "fewer than two steps")
            if max_step_characters and max(map(len, found.steps)) > max_step_characters:
                raise Unusable(f"a step longer than {max_step_characters} characters")
            if found.answer is None and form is not None and form.pattern:
                try:
                    said = searched(form.pattern, "\n".join(found.steps))
                except TimeoutError:
                    raise Unusable("prompt.answer takes too long to look for") from None
                answer = str(said[-1]).strip() if said else None
                found = replace(found, answer=answer, taught=answer)
            steps = found.steps
            if form is not None:
                own = answer_step or bool(found.observations)
                steps = with_answer(steps, found.taught, form, own)
                if steps != (steps := unmarked(steps, form)):
                    report.unmarked += 1
        except Unusable as why:
            report.drop(str(why), f"{where}{', ' if where else ''}row {number}", row)
            continue
        report.kept += 1
        report.shapes[found.shape] += 1
        report.styles[found.style or "given"] += 1

        def fitting(texts: tuple[str, ...], to: int = len(steps)) -> tuple[str, ...]:
            if len(texts) > to:  # steps that said the answer made way
                return (*texts[: to - 1], joined(list(texts[to - 1 :])))
            return (*texts, *[""] * (to - len(texts))) if texts else ()

        name = distinct(found.id, report.ids)
        yield Trajectory(
            name,
            found.problem,
            steps,
            found.answer,
            fitting(found.thoughts),
            fitting(found.observations),
            found.tools,
            found.world,
        )


def _without_opening(found: Row, answer: str, report: ParseReport) -> Row:
    """A row whose solution does not begin with its answer, and the thoughts with its steps."""
    steps, thoughts = without_opening(found.steps, answer, found.answer or ""), found.thoughts
    if steps is None:
        return found
    report.openings += 1
    gone = len(found.steps) - len(steps)
    thoughts = (joined(list(thoughts[: gone + 1])), *thoughts[gone + 1 :]) if thoughts else ()
    return replace(found, steps=steps, thoughts=thoughts)


def _as_text(row: object) -> str:
    """A row as it stands; what no file can hold is shown as its number."""
    try:
        text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):  # beyond what JSON is written for
        text = "…"
    return text.encode("utf-8", "backslashreplace").decode()


def distinct(name: str, seen: Counter[str]) -> str:
    """An id that no row before has; what is recorded of a row is found again by it."""
    seen[name] += 1
    return name if seen[name] == 1 else distinct(f"{name}-{seen[name]}", seen)


def write_jsonl(path: Path, trajectories: Iterable[Trajectory]) -> Path:
    """Write trajectories as rows that `parse_rows` reads back."""
    with writing(path), path.open("w", encoding="utf-8") as out:
        for t in trajectories:
            row: dict[str, Any] = {
                "id": t.id,
                "problem": t.problem,
                "steps": list(t.steps),
                "answer": t.answer,
            }
            if t.thoughts:
                row["thoughts"] = list(t.thoughts)
            if t.observations:
                row["observations"] = list(t.observations)
            if t.tools:
                row["tools"] = list(t.tools)
            if t.world is not None:
                row["world"] = t.world
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def load(path: Path) -> list[Trajectory]:
    """Trajectories of a file written by `write_jsonl`, as they were; raises InputError."""
    return [_written(row, f"{path}, row {at}") for at, row in enumerate(rows_of(path), start=1)]


def _written(row: Mapping[str, Any], where: str) -> Trajectory:
    try:
        return Trajectory(
            row["id"],
            row["problem"],
            tuple(row["steps"]),
            row["answer"],
            tuple(row.get("thoughts", ())),
            tuple(row.get("observations", ())),
            tuple(row.get("tools", ())),
            row.get("world"),
        )
    except (KeyError, TypeError):
        why = "no row that `srl-edge data` wrote; run it again, or name the file as `data.source`"
        raise InputError(f"{where}: {why}.") from None
