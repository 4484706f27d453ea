"""Decoding for minutes on end: how fast a device still is once it is warm."""

import time
from collections.abc import Sequence
from typing import Any

from srl_edge.devices.bench.connection import Device
from srl_edge.devices.bench.measure import Model, Show, prompt_of
from srl_edge.devices.bench.work import OF_MINUTE
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Bench
from srl_edge.terminal.progress import Advance

Facts = dict[str, Any]


def soak(
    model: Model,
    problems: Sequence[Trajectory],
    settings: Bench,
    device: Device,
    minutes: float,
    advance: Advance,
    show: Show,
) -> list[Facts]:
    """Decode without a pause; a point for each reply of `decode_tokens`.

    A point has the minutes since the start, tokens/s, and the warmest sensor's degrees and the
    battery's percent where the device tells them. Advances once a minute. Raises RunnerLost.
    """
    prompt = prompt_of(model.chat, problems, settings.prompt_tokens)
    session = device.open_session(*model[:3], settings.threads)
    points: list[Facts] = []
    try:
        start = time.monotonic()
        while (elapsed := (time.monotonic() - start) / 60) < minutes:
            (reply,) = session.generate(
                [prompt], settings.decode_tokens + 1, timeout=settings.timeout
            )
            if reply.first_seconds is None:
                break
            rate = settings.decode_tokens / (reply.seconds - reply.first_seconds)
            kept = {key: session.state.get(key) for key in ("celsius", "battery")}
            if points and int(elapsed) > int(points[-1]["minutes"]):
                advance(model.name, work=OF_MINUTE)
            points.append({"minutes": elapsed, "tokens_per_second": rate, **kept})
            show(model.name, soak=f"{rate:.1f}")
    finally:
        session.close()
    return points
