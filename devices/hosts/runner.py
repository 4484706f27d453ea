"""A model in a process of its own: a line of JSON in, a line of JSON out.

Called as a module with KIND PATH THREADS, where KIND is one that `runtimes/open.py` knows. Its
first line says how long loading took, how many prompts to ask at once, and on what machine. A
question holds `prompts` of token ids, the answer a reply to each, the process's peak memory so far,
the state of the machine and the energy that it used for the answer. Times are taken here, so that
the way of the lines does not count.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge import processes
from srl_edge.devices.hosts.energy import open_meter
from srl_edge.devices.hosts.machine import describe, peak_mib, state
from srl_edge.devices.runtimes.contract import Batched, Choose, Logits, Runtime, likeliest
from srl_edge.devices.runtimes.open import context_of, open_model
from srl_edge.devices.runtimes.rows import BATCH
from srl_edge.errors import InputError


def main() -> None:
    kind, path, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    # Libraries print what they like: the conversation gets a channel of its own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    questions = processes.lines(sys.stdin)  # from here on: loading may take long
    start = time.perf_counter()
    try:
        runtime = open_model(kind, path, threads)
    except InputError as error:
        sys.exit(str(error))
    room = context_of(kind, path)
    loaded = {
        "load_seconds": time.perf_counter() - start,
        "batch": BATCH if isinstance(runtime, Batched) else 1,
        "machine": describe(threads),
        "state": state(),
    }
    print(json.dumps(loaded), file=answers, flush=True)
    meter = open_meter()
    for line in questions:
        before = meter()
        try:
            answered = answer(runtime, json.loads(line), room)
        except InputError as error:
            sys.exit(str(error))
        after = meter()
        answered["energy_joules"] = None if before is None or after is None else after - before
        print(json.dumps(answered), file=answers, flush=True)


def answer(runtime: Runtime, question: dict[str, Any], room: int | None = None) -> dict[str, Any]:
    """Replies to a question's prompts, seconds to the first token and in all, and MiB of memory.

    `temperature` 0 is greedy; else a prompt's seed says what is drawn. With `reuse` what a prompt
    shares with what was read before is not computed again; together they always share it. room:
    most tokens of a prompt and its reply.
    """
    prompts, stops, most = question["prompts"], question["stops"], question["max_new_tokens"]
    limits = [most if room is None else max(1, min(most, room - len(ids))) for ids in prompts]
    choices = [chooser(question["temperature"], seed) for seed in question["seeds"]]
    if isinstance(runtime, Batched) and len(prompts) > 1 and runtime.takes_several():
        start = time.perf_counter()
        found = runtime.complete(prompts, limits, stops, choices)
        share = (time.perf_counter() - start) / len(prompts)
        replies = [{"ids": ids, "first_seconds": None, "seconds": share} for ids in found]
    else:
        replies = [
            _reply(runtime, ids, limit, stops, choose, question["reuse"])
            for ids, limit, choose in zip(prompts, limits, choices, strict=True)
        ]
    return {"replies": replies, "peak_memory_mib": peak_mib(), "state": state()}


def chooser(temperature: float, seed: int) -> Choose:
    """How the next token is taken from logits: the likeliest, or drawn."""
    if temperature == 0:
        return likeliest
    generator = np.random.default_rng(seed)

    def draw(logits: Logits) -> int:
        weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
        return int(np.searchsorted(np.cumsum(weights), generator.random() * weights.sum()))

    return draw


def _reply(
    runtime: Runtime,
    prompt: Sequence[int],
    limit: int,
    stops: Sequence[int],
    choose: Choose,
    reuse: bool,
) -> dict[str, Any]:
    start = time.perf_counter()
    ids = [choose(runtime.prefill(prompt, reuse))]
    first = time.perf_counter()
    while ids[-1] not in stops and len(ids) < limit:
        ids.append(choose(runtime.decode(ids[-1])))
    end = time.perf_counter()
    return {"ids": ids, "first_seconds": first - start, "seconds": end - start}


if __name__ == "__main__":
    main()
