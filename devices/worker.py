"""One model measured in a process of its own, so that memory and crashes are its own.

Called as `python -m srl_edge.devices.worker SPEC.json RESULT.json`; prints a line for each piece
of work done.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import models, trajectories
from srl_edge.devices.chat import Chat, replies
from srl_edge.devices.memory import peak_mib
from srl_edge.devices.runtimes import Runtime, open_runtime
from srl_edge.devices.statistics import summary
from srl_edge.devices.torch_runtime import TorchRuntime
from srl_edge.solving import solve


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Load time, speed, memory and accuracy of the model that `spec` names.

    Seconds, tokens a second, MiB. Speed is measured before accuracy, and peak memory between them.
    """
    folder = Path(spec["path"])
    start = time.perf_counter()
    runtime: Runtime
    if spec["runtime"] == "torch":
        runtime = TorchRuntime(folder, spec["threads"])
    else:
        runtime = open_runtime(artifacts.load(folder), spec["threads"])
    load_seconds = time.perf_counter() - start
    chat = Chat(folder)
    problems = trajectories.load(Path(spec["problems"]))[: spec["limit"]]
    speed = _speed(runtime, chat, problems, spec)
    peak = peak_mib()
    start = time.perf_counter()
    attempts = solve(
        problems, replies(runtime, chat, models.stop_ids(folder), spec["max_new_tokens"]),
        spec["max_steps"],
        lambda: print("solved", flush=True),
    )  # fmt: skip
    return {
        "load_seconds": load_seconds,
        **speed,
        "peak_memory_mib": peak,
        "seconds_per_problem": (time.perf_counter() - start) / len(problems),
        "accuracy": sum(a.correct for a in attempts) / len(attempts),
        "load_average": os.getloadavg()[0],
        "attempts": [
            {"id": a.id, "problem": a.problem, "answer": a.answer, "steps": a.steps,
             "given": a.given, "correct": a.correct}
            for a in attempts
        ],
    }  # fmt: skip


def _speed(
    runtime: Runtime, chat: Chat, problems: Sequence[Any], spec: dict[str, Any]
) -> dict[str, Any]:
    """Cold prefill of a real text, then greedy decoding; one warm-up, then `repeats`."""
    text = "\n".join(p.problem for p in problems)
    ids = chat.encode(text * (1 + spec["prompt_tokens"] * 8 // len(text)))[: spec["prompt_tokens"]]
    prefill, decode, first = [], [], []
    for repeat in range(spec["repeats"] + 1):
        start = time.perf_counter()
        token = int(runtime.prefill(ids, reuse=False).argmax())
        prefilled = time.perf_counter()
        for _ in range(spec["decode_tokens"]):
            token = int(runtime.decode(token).argmax())
        end = time.perf_counter()
        if repeat:
            first.append(prefilled - start)
            prefill.append(len(ids) / (prefilled - start))
            decode.append(spec["decode_tokens"] / (end - prefilled))
        print("timed", flush=True)
    return {
        "time_to_first_token": summary(first),
        "prefill_tokens_per_second": summary(prefill),
        "decode_tokens_per_second": summary(decode),
        "prompt_tokens": len(ids),
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(json.loads(Path(sys.argv[1]).read_text()))))
