"""Speed, energy and accuracy of models on a device, each asked through a session of its own."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

from srl_edge.artifact import MANIFEST
from srl_edge.data.agents.worlds import entered
from srl_edge.devices.bench.connection import Connection, Device
from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.devices.runtimes.chat import Asked, Chat, text_of
from srl_edge.devices.runtimes.open import context_of
from srl_edge.errors import InputError
from srl_edge.files import contents_sha256, file_sha256
from srl_edge.method.answers.extraction import is_number
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory
from srl_edge.method.voting import majority
from srl_edge.models.tokenizer import stop_ids
from srl_edge.recipe import Bench
from srl_edge.report.rows import ModelRow, Sample
from srl_edge.report.statistics import summary
from srl_edge.terminal import progress

LEAST_TIMED = 16  # tokens of a prompt whose prefill is worth timing
LOSSES = 3  # runners that may be lost one after the other before the rest is left out
Facts = dict[str, Any]
Show = Callable[..., None]  # a model's name, and its newest figures as texts


class Model(NamedTuple):
    """What is measured: its name, its kind and path (`runtimes/open.py`), what runs it.

    asked: None is what the folder's manifest says. max_new_tokens: None is the settings'.
    tokenizer: the folder of its tokenizer and chat template, where that is not the path. stops: ids
    that end a reply beside those which that folder tells. told: what is known of it, by name.
    answers_only: it is there to be compared with, and how fast it is does not matter.
    """

    name: str
    kind: str
    path: Path
    backend: str = "torch"
    asked: Asked | None = None
    max_new_tokens: int | None = None
    tokenizer: Path | None = None
    stops: tuple[int, ...] = ()
    told: Mapping[str, str] = MappingProxyType({})
    answers_only: bool = False

    @property
    def chat(self) -> Chat:
        """Its tokenizer and chat template, asking as it is asked."""
        return Chat(self.tokenizer or self.path, self.asked)

    @property
    def stop_ids(self) -> list[int]:
        """Every token id that ends a reply."""
        try:
            found = stop_ids(self.tokenizer or self.path)
        except InputError:
            if not self.stops:
                raise
            found = []
        return list(dict.fromkeys((*found, *self.stops)))

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its reply; None where nothing bounds them but memory."""
        return context_of(self.kind, self.path)

    @property
    def bytes(self) -> int:
        """Its size on disk, the tokenizer and an adapter's base included."""
        files = [self.path] if self.path.is_file() else self.path.rglob("*")
        if self.tokenizer and not self.tokenizer.is_relative_to(self.path):
            # It lies in an adapter's base.
            files = [*files, *self.tokenizer.glob("*" if self.kind == "adapter" else "*.json*")]
        return sum(file.stat().st_size for file in files if file.is_file())

    @property
    def contents(self) -> str:
        """What changes with its files; of an artifact, the manifest has their hashes."""
        if self.kind == "artifact":
            return file_sha256(self.path / MANIFEST)
        files = [self.path] if self.path.is_file() else [*self.path.glob("[!.]*")]
        if self.tokenizer and self.tokenizer != self.path:
            files += [file for kind in ("*.json", "*.jinja") for file in self.tokenizer.glob(kind)]
        return contents_sha256(files)


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
    asked: Sequence[Model],
    problems: Sequence[Trajectory],
    settings: Bench,
    device: Device,
    advance: Callable[..., None],
    show: Show = lambda name, **figures: None,
) -> list[ModelRow]:
    """Loading, time to the first token, prefill and decode tokens/s, memory and size of models.

    All are loaded and take turns, so that what else the machine does falls on each of them; the
    first turn warms up and does not count. Nothing is known of a prompt before it is read. Of a
    model whose runner is lost `unmeasured` says why, and what is missing is None; raises RunnerLost
    where that is all of them.
    """
    length = _fitting(asked, settings)
    timed = [_Timed(m, prompt_of(m.chat, problems, length)) for m in asked]
    with ExitStack() as opened:
        for each in (each for each in timed if not each.model.answers_only):
            with _loss_noted(each):
                each.session = device.open_session(*each.model[:3], settings.threads)
                opened.callback(each.session.close)
                each.before = each.session.state
        for turn in range(settings.repeats + 1):
            for each in timed:
                with _loss_noted(each):
                    _take_turn(each, settings, counts=turn > 0)
                last = f"{each.rates[-1]:.1f}" if each.rates else ""
                show(each.model.name, **{"tokens/s, last turn": last})
                advance(each.model.name)
        lost = [each.lost for each in timed if not each.model.answers_only]
        if lost and all(lost):
            raise RunnerLost(lost[0])
        return [_row(each, settings) for each in timed]


def _fitting(asked: Sequence[Model], settings: Bench) -> int:
    """The length of the prompt that is timed: the settings', or what every model's context holds.

    Raises InputError where that is next to nothing.
    """
    contexts = [(context, model) for model in asked if (context := model.context) is not None]
    least, smallest = min(contexts, key=lambda pair: pair[0], default=(None, None))
    room = settings.prompt_tokens if least is None else least - settings.decode_tokens - 1
    if smallest is None or room >= settings.prompt_tokens:
        return settings.prompt_tokens
    said = f"{smallest.name} has a context of {least} tokens"
    if room < LEAST_TIMED:
        raise InputError(
            f"bench: {said}, too few for a prompt and {settings.decode_tokens} tokens after it; "
            "lower bench.decode_tokens, or export it with more (export.context_length)."
        )
    asked_for = f"not {settings.prompt_tokens}"
    progress.say(f"bench: {said}, so prompts of {room} tokens are timed, {asked_for}.")
    return room


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
        spent = max(reply.seconds - reply.first_seconds, 1e-9)
        timed.rates.append(settings.decode_tokens / spent)
        timed.joules.append(timed.session.energy_joules)


def _row(timed: _Timed, settings: Bench) -> ModelRow:
    session, model = timed.session, timed.model
    used = [joules for joules in timed.joules if joules is not None]
    return ModelRow(
        name=model.name,
        backend=model.backend,
        size_mb=model.bytes / 1e6,
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
    model: Model,
    problems: Sequence[Trajectory],
    settings: Bench,
    connection: Connection,
    alone: bool = False,
) -> Iterator[list[Sample]]:
    """A sample for every problem, in order: its attempts, and what each of them took.

    Those that were solved together come together.

    Several problems are solved at once where the runner takes them, unless `alone`. Where a runner
    crashes, or takes more than `settings.timeout` seconds to reply, another is started, and the
    problem is `lost`; those of a batch are tried one at a time first. After the third loss in a
    row, what is left is lost too.
    """
    chat, stops = model.chat, model.stop_ids
    left, losses = list(problems), 0
    single = len(left) if alone else 0  # problems that are to be solved one at a time
    while left:
        count = 1
        try:
            with connection.session(*model[:3]) as session:
                while left:
                    count = 1 if single else max(1, session.batch // settings.samples)
                    chunk = left[:count]
                    yield samples(session, chat, stops, chunk, settings)
                    left, single, losses = left[len(chunk) :], max(0, single - len(chunk)), 0
        except RunnerLost as error:
            losses += 1
            progress.say(f"bench: {error}")
            if losses < LOSSES and len(left[:count]) > 1:
                single = len(left[:count])
                continue
            gone = left if losses == LOSSES else left[:1]
            yield [Sample((), 0.0, 0.0, None, None, str(error)) for _ in gone]
            left, single = left[len(gone) :], max(0, single - len(gone))


def samples(
    session: Session,
    chat: Chat,
    stops: Sequence[int],
    problems: Sequence[Trajectory],
    settings: Bench,
) -> list[Sample]:
    """Samples of problems that are solved together; seconds and joules are those of an attempt."""
    form, count = chat.asked.form, settings.samples
    joules: list[float | None] = []
    together: set[bool] = set()
    tries = [replace(p, id=f"{p.id}/{number}") for p in problems for number in range(count)]
    # The same draws for an attempt whatever is solved beside it, so that a run can be resumed.
    seeds = {each.id: Random(each.id) for each in tries}

    def reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
        replied = session.generate(
            [chat.of_attempt(a) for a in asked],
            settings.max_new_tokens,
            stops,
            settings.timeout,
            settings.temperature,
            [seeds[a.id].getrandbits(32) for a in asked],
        )
        joules.append(session.energy_joules)
        together.update(each.first_seconds is None for each in replied)
        return [text_of(chat, each.ids, stops) for each in replied]

    start = time.perf_counter()
    steps = chat.asked.steps(settings.max_steps)
    found = solve(tries, reply, steps, lambda: None, form, entered)
    seconds = round((time.perf_counter() - start) / len(tries), 3)
    used = [each for each in joules if each is not None]
    listed = []
    for at, problem in enumerate(problems):
        attempts = found[at * count : (at + 1) * count]
        for attempt in attempts:
            attempt.id = problem.id
        listed.append(
            Sample(
                attempts,
                fmean(a.correct for a in attempts),
                fmean(a.marked for a in attempts),
                seconds,
                sum(used) / len(tries) if used else None,
                harness=chat.asked.whole and is_number(problem.answer or ""),
                majority=majority(attempts, form.verifier),
                batched=any(together),
            )
        )
    return listed


def prompt_of(chat: Chat, problems: Sequence[Trajectory], length: int) -> list[int]:
    """Token ids of a real text of a given length, whose prefill is timed.

    It is cut where the text has the same ids again, as some runners are asked in text.
    """
    text = "\n".join(problem.problem for problem in problems)
    ids = chat.encode(text * (1 + length * 8 // len(text)))
    cuts = (ids[start : start + length] for start in range(len(ids) - length + 1))
    return next((cut for cut in cuts if chat.encode(chat.decode(cut)) == cut), ids[:length])
