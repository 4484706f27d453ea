"""Speed and accuracy of a loaded model, asked through its session."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from srl_edge.devices.chat import Chat, replies
from srl_edge.devices.session import Session
from srl_edge.devices.statistics import summary
from srl_edge.recipe import Bench
from srl_edge.solving import Attempt, solve
from srl_edge.types import Trajectory

Facts = dict[str, Any]


def speed(
    sessions: Sequence[Session], prompts: Sequence[Sequence[int]], settings: Bench,
    advance: Callable[..., None],
) -> list[Facts]:  # fmt: skip
    """Seconds to the first token, and prefill and decode tokens/s, of each session's prompt.

    Nothing is known of a prompt before it is read. Sessions take turns, so that what else the
    machine does falls on all of them; the first turn warms up and does not count.
    """
    first: list[list[float]] = [[] for _ in sessions]
    decoded: list[list[float]] = [[] for _ in sessions]
    for turn in range(settings.repeats + 1):
        for at, session in enumerate(sessions):
            (reply,) = session.generate([prompts[at]], settings.decode_tokens + 1, reuse=False)
            if turn and reply.first_seconds is not None:
                first[at].append(reply.first_seconds)
                decoded[at].append(settings.decode_tokens / (reply.seconds - reply.first_seconds))
            advance(session.name)
    return [
        {
            "time_to_first_token": summary(first[at]),
            "prefill_tokens_per_second": summary([len(prompts[at]) / s for s in first[at]]),
            "decode_tokens_per_second": summary(decoded[at]),
            "prompt_tokens": len(prompts[at]),
        }
        for at in range(len(sessions))
    ]


def solved(
    session: Session, chat: Chat, stops: Sequence[int], problems: Sequence[Trajectory],
    settings: Bench,
) -> Iterator[tuple[Attempt, float]]:  # fmt: skip
    """Every attempt as it ends, with its seconds; a session that batches solves some together.

    Raises RunnerLost where a reply takes more than `settings.timeout` seconds.
    """

    def complete(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        found = session.generate(prompts, settings.max_new_tokens, stops, settings.timeout)
        return [reply.ids for reply in found]

    for at in range(0, len(problems), session.batch):
        chunk = problems[at : at + session.batch]
        start = time.perf_counter()
        done = solve(chunk, replies(complete, chat, stops), settings.max_steps, lambda: None)
        share = (time.perf_counter() - start) / len(chunk)
        yield from ((attempt, share) for attempt in done)
