"""A model in a process of its own: a line of JSON in, a line of JSON out.

Called as a module with KIND FOLDER THREADS; KIND is `torch` for a model's folder and `artifact` for
an exported one. Its first line says how long loading took, and on what machine. A question holds
`prompts` of token ids, the answer a reply to each, the process's peak memory so far, the state of
the machine and the energy that it used for the answer. Times are taken here, so that the way of the
lines does not count.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge import artifact as artifacts
from srl_edge import processes
from srl_edge.devices.hosts.energy import open_meter
from srl_edge.devices.hosts.machine import describe, peak_mib, state
from srl_edge.devices.runtimes.contract import Logits, Runtime
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime

BATCH = 16  # prompts that torch replies to at once, greedily; other runtimes take one at a time


def main() -> None:
    kind, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    # Libraries print what they like: the conversation gets a channel of its own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    start = time.perf_counter()
    runtime: Runtime
    if kind == "torch":
        runtime = TorchRuntime(folder, threads)
    else:
        runtime = open_runtime(artifacts.load(folder), threads)
    loaded = {
        "load_seconds": time.perf_counter() - start,
        "batch": BATCH if kind == "torch" else 1,
        "machine": describe(threads),
        "state": state(),
    }
    print(json.dumps(loaded), file=answers, flush=True)
    meter = open_meter()
    for line in processes.lines(sys.stdin):
        before = meter()
        answered = answer(runtime, json.loads(line))
        after = meter()
        answered["energy_joules"] = None if before is None or after is None else after - before
        print(json.dumps(answered), file=answers, flush=True)


def answer(runtime: Runtime, question: dict[str, Any]) -> dict[str, Any]:
    """Replies to a question's prompts, seconds to the first token and in all, and MiB of memory.

    `temperature` 0 is greedy. With `reuse` what prompts share with what was read before is not
    computed again.
    """
    prompts, limit, stops = question["prompts"], question["max_new_tokens"], question["stops"]
    temperature = question["temperature"]
    replies = []
    if isinstance(runtime, TorchRuntime) and len(prompts) > 1 and temperature == 0:
        start = time.perf_counter()
        found = runtime.greedy_batch(prompts, limit, stops)
        share = (time.perf_counter() - start) / len(prompts)
        replies = [{"ids": ids, "first_seconds": None, "seconds": share} for ids in found]
    else:
        for at, ids in enumerate(prompts):
            choose = chooser(temperature, question["seed"] + at)
            replies.append(_reply(runtime, ids, limit, stops, choose, question["reuse"]))
    return {"replies": replies, "peak_memory_mib": peak_mib(), "state": state()}


def chooser(temperature: float, seed: int) -> Callable[[Logits], int]:
    """How the next token is taken from logits: the likeliest, or drawn."""
    if temperature == 0:
        return lambda logits: int(logits.argmax())
    generator = np.random.default_rng(seed)

    def draw(logits: Logits) -> int:
        weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
        return int(np.searchsorted(np.cumsum(weights), generator.random() * weights.sum()))

    return draw


def _reply(
    runtime: Runtime, prompt: Sequence[int], limit: int, stops: Sequence[int],
    choose: Callable[[Logits], int], reuse: bool,
) -> dict[str, Any]:  # fmt: skip
    start = time.perf_counter()
    ids = [choose(runtime.prefill(prompt, reuse))]
    first = time.perf_counter()
    while ids[-1] not in stops and len(ids) < limit:
        ids.append(choose(runtime.decode(ids[-1])))
    end = time.perf_counter()
    return {"ids": ids, "first_seconds": first - start, "seconds": end - start}


if __name__ == "__main__":
    main()
