"""Trajectories from a model behind an OpenAI-compatible endpoint: asked for, verified, written.

Problems are solved in numbered steps, and kept where the final answer is right; tasks in a world
are acted in, and kept where the goal is reached. What is written is a source of rows.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from srl_edge.data.adding import opened, rows_before
from srl_edge.data.agents import home_requests, shell_tasks
from srl_edge.data.agents.sandbox import kept
from srl_edge.data.agents.worlds import announce, enter, form_of, recorded
from srl_edge.data.endpoint import Endpoint, Unanswered
from srl_edge.data.row import read
from srl_edge.data.sources import files_of, open_source
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError, StageError
from srl_edge.files import text_sha256, writing
from srl_edge.method.prompt_form import DONE, PRESETS, PromptForm
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import is_marked_correct
from srl_edge.run_lock import held
from srl_edge.terminal import progress

NUMBERED = PRESETS["math"].whole.replace(
    "Please reason step by step, and",
    "Solve it in numbered steps, each on a line of its own: `1. **Title**: what is done`. Then",
)
UNANSWERED = 5  # requests in a row, after which nothing more is asked
_WORLDS = {"agent-home": home_requests.problems, "agent-shell": shell_tasks.problems}
_MOST_STEPS = 12


@dataclass(slots=True)
class Counts:
    """What came of all that was asked."""

    kept: int = 0
    read: int = 0
    written: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def problems_of(source: str, count: int | None, seed: int) -> list[Trajectory]:
    """Problems with answers, or tasks in worlds; raises InputError where there are none."""
    if source in _WORLDS:
        if source == "agent-shell":
            progress.say(f"data: {kept()}")
        return _WORLDS[source]("train", count or 100, seed)
    found = list(islice(_answered(source), count))
    if not found:
        raise InputError(f"{source}: no row has a problem and an answer to verify a solution by.")
    announce("data", (t.world for t in found))
    return found


def _answered(source: str) -> Iterator[Trajectory]:
    seen = set[str]()
    for table in open_source(source).chosen(("train",)):
        for number, row in enumerate(table.rows(None), start=1):
            try:
                found = read(row, str(number))
            except Unusable:
                continue
            task = _task(found.problem, found.world)
            if found.answer is not None and task not in seen:
                seen.add(task)
                yield Trajectory(found.id, found.problem, (), found.answer, world=found.world)


def require_apart(source: str, out: Path) -> None:
    """Raise InputError where rows would be written into a file that they are made from."""
    beside = out.with_name(f"{out.name}.failed")
    for file in () if source in _WORLDS else files_of(source):
        for written in (out, beside):
            if written.exists() and file.samefile(written):
                raise InputError(
                    f"--out {out}: {written} is read as the source; name another file."
                )


def generate(
    problems: Sequence[Trajectory], endpoint: Endpoint, out: Path, samples: int, workers: int
) -> Counts:
    """Ask for `samples` solutions of each problem; rows that hold are added to `out` one by one.

    What `out` and its `.failed` have already is not asked for again, unless no reply came. Raises
    StageError where the endpoint stops answering; InputError, before anything is asked, where one
    of the two holds other rows, or another process adds to them.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with held(out.parent, out.name):
        return _added(problems, endpoint, out, samples, workers)


def _added(
    problems: Sequence[Trajectory], endpoint: Endpoint, out: Path, samples: int, workers: int
) -> Counts:
    failures = out.with_name(f"{out.name}.failed")
    rows = rows_before(out, "GeneratedRow")
    vain = [row for row in rows_before(failures, "Ungenerated") if not row.get("again")]
    named = (row["model"] for row in (*rows, *vain) if "model" in row)
    if other := next((name for name in named if name != endpoint.model), None):
        raise InputError(
            f"{out}: was made with the model {other}, and {endpoint.model} would not be asked for "
            "what is there; name another file (--out)."
        )
    done = {(row["id"], _task(row["problem"], row.get("world"))) for row in rows}
    done |= {(row["id"], row.get("task", "")) for row in vain}
    known = {_solution(row) for row in rows}
    left = [
        replace(t, id=name)
        for t in problems
        for number in range(samples)
        if ((name := f"{t.id}#{number}"), _task(t.problem, t.world)) not in done
    ]
    counts, lock, silent, unanswered = Counts(), Lock(), 0, 0

    def counted(chat: Sequence[Mapping[str, str]]) -> str:
        text, read_, written = endpoint.ask(chat)
        with lock:
            counts.read += read_
            counts.written += written
        return text

    total = len(problems) * samples
    with (
        progress.bar("data: generate", total, total - len(left)) as advance,
        writing(out),
        opened(out, "GeneratedRow") as kept,
        opened(failures, "Ungenerated") as failed,
        ThreadPoolExecutor(workers) as pool,
    ):
        waiting: dict[Future[dict[str, Any]], Trajectory] = {
            pool.submit(_solved, t, counted): t for t in left
        }
        try:
            for future in as_completed(waiting):
                t, why, again = waiting[future], "", False
                try:
                    row = future.result() | {"model": endpoint.model}
                except Unusable as error:
                    why = str(error)
                except Unanswered as error:
                    why, again = str(error), True
                silent, unanswered = silent + 1 if again else 0, unanswered + again
                if not why and _solution(row) in known:
                    why = "the same solution again"
                if why:
                    counts.failed[why] += 1
                    said: dict[str, Any] = {"id": t.id, "task": _task(t.problem, t.world)}
                    said |= {"model": endpoint.model, "why": why}
                    said |= {"again": True} if again else {}
                    failed.write(json.dumps(said) + "\n")
                    failed.flush()
                else:
                    known.add(_solution(row))
                    counts.kept += 1
                    kept.write(json.dumps(row, ensure_ascii=False) + "\n")
                    kept.flush()
                advance(f"{counts.kept} kept")
                if silent >= UNANSWERED:
                    raise StageError(
                        f"{endpoint.url}: {silent} requests in a row had no reply ({why}); "
                        f"{counts.kept} trajectories were kept, and the same command goes on."
                    )
        except BaseException:  # nothing more is asked, since that may cost
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if left and unanswered == len(left):
        why = ", ".join(counts.failed)
        raise StageError(
            f"{endpoint.url}: none of {unanswered} requests had a reply ({why}); the same command "
            "asks again."
        )
    return counts


def _task(problem: str, world: Mapping[str, Any] | None) -> str:
    """What tells tasks of one id apart: other sources number theirs alike."""
    return text_sha256(json.dumps([problem, world], sort_keys=True))[:12]


def _solution(row: Mapping[str, Any]) -> str:
    return json.dumps([row["problem"], row["steps"], row.get("world")], sort_keys=True)


def _solved(t: Trajectory, ask: Callable[[Sequence[Mapping[str, str]]], str]) -> dict[str, Any]:
    """A trajectory as a row; raises Unusable where it does not hold, and Unanswered."""
    if t.world is None:
        asked = NUMBERED.replace("{problem}", t.problem)
        return _in_steps(t, ask([{"role": "user", "content": asked}]))
    return _by_acting(t, ask)


def _in_steps(t: Trajectory, reply: str) -> dict[str, Any]:
    """A worked solution whose marked answer is the right one."""
    found = read({"problem": t.problem, "solution": reply, "answer": t.answer}, t.id)
    solution = "\n".join(found.steps)
    if len(found.steps) < 2:
        raise Unusable("fewer than two steps")
    if not is_marked_correct(solution, t.answer or "", PRESETS["math"], t.problem):
        raise Unusable("no final answer, or another than the right one")
    row = {"id": t.id, "problem": t.problem, "steps": list(found.steps), "answer": t.answer}
    return row | ({"thoughts": list(found.thoughts)} if found.thoughts else {})


def _by_acting(t: Trajectory, ask: Callable[[Sequence[Mapping[str, str]]], str]) -> dict[str, Any]:
    """Actions that reach the goal of the task's world."""
    form = form_of(t.world or {})
    thoughts: list[str] = []

    def reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
        texts = []
        for attempt in asked:
            chat = form.messages(attempt.problem, attempt.steps, observations=attempt.observations)
            text = ask(chat)
            thoughts.append(_thought(text, form))
            texts.append((text, True))
        return texts

    (attempt,) = solve([t], reply, _MOST_STEPS, lambda: None, form, enter)
    if attempt.fault:
        raise Unusable(attempt.fault)
    if not attempt.correct:
        raise Unusable("the goal is not reached")
    steps = attempt.steps
    if steps[-1] != DONE:  # actions, and at once that they are all
        steps = [*steps[:-1], steps[-1].rpartition("\n")[0].rstrip(), DONE]
        thoughts.append("")
    recorded(t.world or {}, steps)  # as it will be when the row is read
    row = {"id": t.id, "problem": t.problem, "steps": steps, "world": t.world}
    return row | ({"thoughts": thoughts} if any(thoughts) else {})


def _thought(text: str, form: PromptForm) -> str:
    thinking = replace(form, think=True).read(text)
    return "" if thinking.fault else thinking.thought
