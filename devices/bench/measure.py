"""Speed, energy and accuracy of models on a device, each asked through a session of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, NamedTuple, Protocol

from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.devices.runtimes.chat import Asked, Chat, replies
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory
from srl_edge.models.tokenizer import stop_ids
from srl_edge.recipe import Bench
from srl_edge.report.rows import Answers, ModelRow, Sample, Score, StepSimilarity
from srl_edge.report.statistics import bootstrap_interval, summary
from srl_edge.terminal import progress

LOSSES = 3  # runners that may be lost one after the other before the rest is left out
Facts = dict[str, Any]
Show = Callable[..., None]  # a model's name, and its newest figures as texts


class Model(NamedTuple):
    """What is measured: its name, `torch` or `artifact`, its folder, what runs it, how it is asked.

    asked: None is what the folder's manifest says.
    """

    name: str
    kind: str
    path: Path
    backend: str = "torch"
    asked: Asked | None = None


class Device(Protocol):
    """Where models run, such as the module `local`."""

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Load a model there."""


@dataclass(slots=True)
class _Timed:
    model: Model
    prompt: list[int]
    session: Session | None = None
    before: Facts = field(default_factory=dict)
    first: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    joules: list[float | None] = field(default_factory=list)
    lost: str = ""


def speeds(
    asked: Sequence[Model], problems: Sequence[Trajectory], settings: Bench, device: Device,
    advance: Callable[..., None], show: Show = lambda name, **figures: None,
) -> list[ModelRow]:  # fmt: skip
    """Loading, time to the first token, prefill and decode tokens/s, memory and size of models.

    All are loaded and take turns, so that what else the machine does falls on each of them; the
    first turn warms up and does not count. Nothing is known of a prompt before it is read. Of a
    model whose runner is lost `unmeasured` says why, and what is missing is None; raises RunnerLost
    where that is all of them.
    """
    timed = [_Timed(m, prompt_of(Chat(m.path), problems, settings.prompt_tokens)) for m in asked]
    with ExitStack() as opened:
        for each in timed:
            with _loss_noted(each):
                each.session = device.open_session(*each.model[:3], settings.threads)
                opened.callback(each.session.close)
                each.before = each.session.state
        for turn in range(settings.repeats + 1):
            for each in timed:
                with _loss_noted(each):
                    _take_turn(each, settings, counts=turn > 0)
                show(each.model.name, decode=f"{each.rates[-1]:.1f}" if each.rates else "")
                advance(each.model.name)
        if all(each.lost for each in timed):
            raise RunnerLost(timed[0].lost)
        return [_row(each, settings) for each in timed]


@contextmanager
def _loss_noted(timed: _Timed) -> Iterator[None]:
    try:
        yield
    except RunnerLost as error:
        progress.say(f"bench: {error}")
        timed.lost = str(error)


def _take_turn(timed: _Timed, settings: Bench, counts: bool) -> None:
    if timed.session is None or timed.lost:
        return
    limit = settings.decode_tokens + 1
    (reply,) = timed.session.generate([timed.prompt], limit, timeout=settings.timeout, reuse=False)
    if counts and reply.first_seconds is not None:
        timed.first.append(reply.first_seconds)
        timed.rates.append(settings.decode_tokens / (reply.seconds - reply.first_seconds))
        timed.joules.append(timed.session.energy_joules)


def _row(timed: _Timed, settings: Bench) -> ModelRow:
    session, folder = timed.session, timed.model.path
    used = [joules for joules in timed.joules if joules is not None]
    return ModelRow(
        name=timed.model.name,
        backend=timed.model.backend,
        size_mb=sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6,
        load_seconds=session.load_seconds if session else None,
        time_to_first_token=summary(timed.first),
        prefill_tokens_per_second=summary([len(timed.prompt) / s for s in timed.first]),
        decode_tokens_per_second=summary(timed.rates),
        joules_per_token=fmean(used) / settings.decode_tokens if used else None,
        prompt_tokens=len(timed.prompt),
        peak_memory_mib=session.peak_memory_mib if session else None,
        load_average=session.state["load"] if session else None,
        machine=session.machine if session else None,
        state={"before": timed.before, "after": session and session.state},
        unmeasured=timed.lost,
    )


def solved(
    model: Model, problems: Sequence[Trajectory], settings: Bench, device: Device
) -> Iterator[Sample]:
    """A sample for every problem, in order, as it ends: its attempts, and what each of them took.

    Where a runner crashes, or takes more than `settings.timeout` seconds to reply, the problem is
    `lost` and another runner is started; after the third in a row, what is left is lost too.
    """
    chat, stops = Chat(model.path, model.asked), stop_ids(model.path)
    left, losses = list(problems), 0
    while left:
        batch, session = 1, None
        try:
            session = device.open_session(*model[:3], settings.threads)
            batch = session.batch
            while left:
                chunk = left[:batch]
                yield from samples(session, chat, stops, chunk, settings)
                left, losses = left[len(chunk) :], 0
        except RunnerLost as error:
            losses += 1
            progress.say(f"bench: {error}")
            gone = left if losses == LOSSES else left[:batch]
            for _ in gone:
                yield Sample((), 0.0, 0.0, None, None, str(error))
            left = left[len(gone) :]
        finally:
            if session:
                session.close()


def samples(
    session: Session, chat: Chat, stops: Sequence[int], problems: Sequence[Trajectory],
    settings: Bench,
) -> list[Sample]:  # fmt: skip
    """Samples of problems that are solved together; seconds and joules are those of an attempt."""
    found: list[list[Attempt]] = []
    joules: list[float | None] = []
    start = time.perf_counter()
    for number in range(settings.samples):
        # The same draws for a problem whatever was solved before it, so that a run can be resumed.
        seeds = Random(f"{problems[0].id}/{number}")

        def complete(prompts: Sequence[Sequence[int]], seeds: Random = seeds) -> list[list[int]]:
            replied = session.generate(
                prompts, settings.max_new_tokens, stops, settings.timeout, settings.temperature,
                seeds.getrandbits(32),
            )  # fmt: skip
            joules.append(session.energy_joules)
            return [reply.ids for reply in replied]

        steps = chat.asked.steps(settings.max_steps)
        reply = replies(complete, chat, stops)
        found.append(solve(problems, reply, steps, lambda: None, chat.asked.form))
    count = len(problems) * settings.samples
    seconds = round((time.perf_counter() - start) / count, 3)
    used = [each for each in joules if each is not None]
    return [
        Sample(
            attempts,
            fmean(a.correct for a in attempts),
            fmean(a.marked for a in attempts),
            seconds,
            sum(used) / count if used else None,
        )
        for attempts in zip(*found, strict=True)
    ]


def answers(scores: Sequence[Score], steps: StepSimilarity | None = None) -> Answers:
    """Share of correct attempts with its 95% interval over problems, lost ones counted as wrong."""
    correct = [score.correct for score in scores]
    kept = [score for score in scores if not score.lost]
    seconds = [score.seconds for score in kept if score.seconds is not None]
    joules = [score.joules for score in kept if score.joules is not None]
    known = bool(joules) and len(joules) == len(kept) and sum(correct) > 0
    replies = sum(score.replies for score in kept)
    return Answers(
        problems=len(scores),
        lost=len(scores) - len(kept),
        accuracy=fmean(correct),
        accuracy_interval=bootstrap_interval(correct),
        marked=fmean(score.marked for score in scores),
        seconds_per_problem=fmean(seconds) if seconds else None,
        joules_per_correct=sum(joules) / sum(correct) if known else None,
        reply_characters=sum(s.characters for s in kept) / replies if replies else None,
        step_similarity=steps,
    )


def so_far(scores: Sequence[Score]) -> str:
    """How many problems are solved of those that were tried."""
    return f"{sum(score.correct for score in scores):g} of {len(scores)}"


def machine_of(rows: Sequence[ModelRow]) -> Facts:
    """The machine that models were measured on, as the first that ran describes it."""
    return next(row.machine for row in rows if row.machine)


def prompt_of(chat: Chat, problems: Sequence[Trajectory], length: int) -> list[int]:
    """Token ids of a real text of a given length, whose prefill is timed.

    It is cut where the text has the same ids again, as some runners are asked in text.
    """
    text = "\n".join(problem.problem for problem in problems)
    ids = chat.encode(text * (1 + length * 8 // len(text)))
    cuts = (ids[start : start + length] for start in range(len(ids) - length + 1))
    return next((cut for cut in cuts if chat.encode(chat.decode(cut)) == cut), ids[:length])
