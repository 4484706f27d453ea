"""Expert solutions, cut into steps: what is kept, what is dropped, and why."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from srl_edge.data.announced import COPULA, ELSEWHERE, REASON
from srl_edge.data.cutting import AUTO, stated
from srl_edge.data.formats import rows_of
from srl_edge.data.row import read
from srl_edge.data.thoughts import joined
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.files import writing
from srl_edge.method.answers import is_value, marked_answer, searched
from srl_edge.method.prompt_form import DEFAULT, DONE, HASHES, PromptForm
from srl_edge.method.quantities import plain
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import same_value

EXAMPLES = 3  # of the rows that are dropped for one reason
_SHOWN = 200  # characters of each


@dataclass(slots=True)
class ParseReport:
    """How many rows were read, kept, and dropped for which reason, with examples.

    shapes: kept rows by their shape; styles: by how their solutions were cut, `given` where they
    came in steps. ids: how often each was there, so that none is given twice.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    shapes: Counter[str] = field(default_factory=Counter)
    styles: Counter[str] = field(default_factory=Counter)
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


def with_answer(
    steps: Iterable[str], answer: str | None, form: PromptForm = DEFAULT, own_step: bool = False
) -> tuple[str, ...]:
    """Steps whose last one states the final answer in a line of its own, where it is known.

    That line is how a model that solves a problem step by step says that it has finished. own_step:
    it is a step of its own. Raises Unusable for an answer that cannot be stated so.
    """
    steps = tuple(steps)
    if len(steps) > 1 and steps[-1] == DONE != form.answer:  # which is how another form ends
        steps = steps[:-1]
        line = "" if answer is None else _stated(answer, form)
        return (*steps, line) if line else steps
    if answer is None or not steps or _states(steps[-1], answer, form):
        return steps
    if not (line := _stated(answer, form)):
        return steps
    steps = _without_answer(steps, answer)
    return (*steps, line) if own_step else (*steps[:-1], f"{steps[-1]}\n{line}")


def _states(step: str, answer: str, form: PromptForm) -> bool:
    """Whether a step marks its answer; a heading that has a value or announces one does not."""
    if not form.states_answer(step) or form.answer != HASHES:
        return form.states_answer(step)
    announced = any(_announces(line) for line in step.split("\n") if HASHES in line)
    return not announced and same_value(marked_answer(step) or "", answer)


def _stated(answer: str, form: PromptForm) -> str:
    """What states an answer; of one whose lines count, such as code, they are kept in a fence."""
    if "\n" not in answer or is_value(answer) or form.answer == DONE:
        return form.stated(answer)
    if form.answer != HASHES:
        raise Unusable("an answer of several lines, which only `####` can mark")
    fence = "````" if "```" in answer else "```"
    return f"{HASHES}\n{fence}\n{answer}\n{fence}"


# What stands before an answer: marks of Markdown, and words that only say that it is one.
_BOLD = r"(?:\*|[\u2190-\u2bff\U0001f000-\U0001faff]\ufe0f?\s*)*"  # or after a picture
_BEFORE = re.compile(
    rf"\s*(?:(?:[-*•+]|\d{{1,2}}[.)]|#{{1,6}})[ \t]+)*(?P<words>{_BOLD}(?:"
    r"(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?"
    r"(?:(?:final\s+)?answer|final\s+(?:result|solution))\**"
    rf"(?:\s+is\b\s*:?|:|[ \t]*(?=\n))|{ELSEWHERE})\**\s*)?",
    re.IGNORECASE,
)
_AROUND = r"(?:\\[\[\](),;!]|[\s$*_.,])*"
_BOXED = re.compile(rf"{_AROUND}\\boxed\s*\{{(.*)\}}{_AROUND}", re.DOTALL)
_GOES_ON = re.compile(r"(?:[^\W\d_]|[,:=])\s*\Z")  # as in: the area is
# A value, maybe with a unit; what comes to it or is a reason for it is more than an answer.
_SHORT = re.compile(
    rf"(?={_AROUND}\\boxed|(?!.*\\boxed))(?!.*\b(?:since|because|which|where|and so)\b)"
    rf"(?!.*{REASON}).{{1,80}}"
)
_OPEN = re.compile(r"(?:\$\$|\\\[)\s*\Z")  # a formula on lines of its own
_LINES = 8  # of a step's end that may be its answer


def _without_answer(steps: tuple[str, ...], answer: str) -> tuple[str, ...]:
    """Steps without an end that says the answer in another form, and nothing else."""
    before, lines = steps[:-1], steps[-1].rstrip().split("\n")
    for at in range(max(0, len(lines) - _LINES), len(lines)):
        left = "\n".join(lines[:at]).rstrip()
        ahead = left or "".join(before[-1:])
        goes_on = bool(_GOES_ON.search(ahead)) and not _announces(ahead.rpartition("\n")[2])
        if not _OPEN.search(left) and _says_only("\n".join(lines[at:]), answer, goes_on):
            lines = lines[:at]
            break
    kept = [*before, "\n".join(lines)]
    while kept and (not kept[-1].strip() or _announces(kept[-1].rstrip().rpartition("\n")[2])):
        if left := kept.pop().rstrip().rpartition("\n")[0].rstrip():
            kept.append(left)
    return tuple(kept) or steps


def _announces(line: str) -> bool:
    """Whether a line only says that the answer comes next."""
    match = _BEFORE.fullmatch(f"{line}\n")
    return match is not None and match["words"] is not None


def _says_only(text: str, answer: str, goes_on: bool) -> bool:
    """Whether a text is the answer and what announces it; goes_on: it ends the sentence before."""
    begins = _BEFORE.match(text)
    said = COPULA.sub("", text[begins.end() :].strip()) if begins else ""
    announced = begins is not None and begins["words"] is not None
    if goes_on and not announced:
        return False
    if boxed := _BOXED.fullmatch(said):
        return same_value(boxed[1], answer)
    if announced and _SHORT.fullmatch(said) and ("=" not in said or "=" in answer):
        return same_value(stated(f"The answer is {said}") or said, answer)
    return plain(said) == plain(answer)


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
