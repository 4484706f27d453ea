"""Speed and accuracy of models on a device, each asked through a session of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from srl_edge import models, progress
from srl_edge.devices.chat import Chat, replies
from srl_edge.devices.session import RunnerLost, Session
from srl_edge.devices.statistics import bootstrap_interval, summary
from srl_edge.recipe import Bench
from srl_edge.solving import Attempt, solve
from srl_edge.types import Trajectory

LOSSES = 3  # runners that may be lost one after the other before the rest is left out
Facts = dict[str, Any]


class Model(NamedTuple):
    """What is measured: its name, `torch` or `artifact`, and its folder."""

    name: str
    kind: str
    path: Path


class Device(Protocol):
    """Where models run, such as the module `local`."""

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Load a model there."""


def speeds(
    asked: Sequence[Model], problems: Sequence[Trajectory], settings: Bench, device: Device,
    advance: Callable[..., None],
) -> list[Facts]:  # fmt: skip
    """Loading, time to the first token, prefill and decode tokens/s, memory and size of models.

    All are loaded and take turns, so that what else the machine does falls on each of them; the
    first turn warms up and does not count. Nothing is known of a prompt before it is read.
    """
    prompts = [_text(Chat(model.path), problems, settings.prompt_tokens) for model in asked]
    first: list[list[float]] = [[] for _ in asked]
    decoded: list[list[float]] = [[] for _ in asked]
    with ExitStack() as opened:
        sessions = []
        for model in asked:
            sessions.append(device.open_session(*model, settings.threads))
            opened.callback(sessions[-1].close)
        before = [session.state for session in sessions]
        for turn in range(settings.repeats + 1):
            for at, session in enumerate(sessions):
                (reply,) = session.generate([prompts[at]], settings.decode_tokens + 1, reuse=False)
                if turn and reply.first_seconds is not None:
                    first[at].append(reply.first_seconds)
                    rest = reply.seconds - reply.first_seconds
                    decoded[at].append(settings.decode_tokens / rest)
                advance(session.name)
        return [
            {
                "name": model.name,
                "size_mb": sum(f.stat().st_size for f in model.path.rglob("*") if f.is_file())
                / 1e6,
                "load_seconds": session.load_seconds,
                "time_to_first_token": summary(first[at]),
                "prefill_tokens_per_second": summary([len(prompts[at]) / s for s in first[at]]),
                "decode_tokens_per_second": summary(decoded[at]),
                "prompt_tokens": len(prompts[at]),
                "peak_memory_mib": session.peak_memory_mib,
                "load_average": session.state["load"],
                "machine": session.machine,
                "state": {"before": before[at], "after": session.state},
            }
            for at, (model, session) in enumerate(zip(asked, sessions, strict=True))
        ]


def solved(
    model: Model, problems: Sequence[Trajectory], settings: Bench, device: Device
) -> Iterator[Facts]:
    """A sample for every problem, in order, as it ends.

    Where a runner crashes, or takes more than `settings.timeout` seconds to reply, the problem is
    `lost` and another runner is started; after the third in a row, what is left is lost too.
    """
    chat, stops = Chat(model.path), models.stop_ids(model.path)
    left, losses = list(problems), 0
    while left:
        session = device.open_session(*model, settings.threads)
        try:
            while left:
                chunk = left[: session.batch]
                for attempt, seconds in attempts(session, chat, stops, chunk, settings):
                    yield asdict(attempt) | {"seconds": round(seconds, 3), "lost": ""}
                left, losses = left[len(chunk) :], 0
        except RunnerLost as error:
            losses += 1
            progress.say(f"bench: {error}")
            gone = left if losses == LOSSES else left[: session.batch]
            for problem in gone:
                attempt = Attempt(problem.id, problem.problem, problem.answer or "")
                yield asdict(attempt) | {"seconds": None, "lost": str(error)}
            left = left[len(gone) :]
        finally:
            session.close()


def attempts(
    session: Session, chat: Chat, stops: Sequence[int], problems: Sequence[Trajectory],
    settings: Bench,
) -> list[tuple[Attempt, float]]:  # fmt: skip
    """Greedy attempts at problems that are solved together, and the seconds of each."""

    def complete(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        found = session.generate(prompts, settings.max_new_tokens, stops, settings.timeout)
        return [reply.ids for reply in found]

    start = time.perf_counter()
    done = solve(problems, replies(complete, chat, stops), settings.max_steps, lambda: None)
    seconds = (time.perf_counter() - start) / len(problems)
    return [(attempt, seconds) for attempt in done]


def accuracy(samples: Sequence[Facts]) -> Facts:
    """Share of correct samples with its 95% interval, lost ones counted as wrong."""
    correct = [float(sample["correct"]) for sample in samples]
    seconds = [sample["seconds"] for sample in samples if not sample["lost"]]
    return {
        "problems": len(samples),
        "lost": len(samples) - len(seconds),
        "accuracy": sum(correct) / len(correct),
        "accuracy_interval": bootstrap_interval(correct),
        "seconds_per_problem": sum(seconds) / len(seconds) if seconds else None,
    }


def _text(chat: Chat, problems: Sequence[Trajectory], length: int) -> list[int]:
    """Token ids of a real text of a given length."""
    text = "\n".join(problem.problem for problem in problems)
    return chat.encode(text * (1 + length * 8 // len(text)))[:length]
