"""What the bench harness adds to a runtime: its session against a bare onnxruntime-genai loop.

    python benchmarks/harness_overhead.py ARTIFACT [--repeats 9] [--threads 1] [--json]

ARTIFACT is an ONNX artifact. Both sides read 256 tokens and decode 64, greedily. The session is
timed from outside, pipe and JSON included; the loop is one that its runtime's users would write, in
a process of its own. They take turns; medians.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from srl_edge import artifact as artifacts
from srl_edge.devices.hosts import local

PROMPT, NEW = 256, 64
IDS = [1 + (at * 37) % 900 for at in range(PROMPT)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.artifact, options.threads)
        return
    artifacts.load(options.artifact)
    session = local.open_session("harness", "artifact", options.artifact, options.threads)
    loop = subprocess.Popen(
        [
            sys.executable,
            __file__,
            str(options.artifact),
            "--threads",
            str(options.threads),
            "--bare",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert loop.stdin is not None and loop.stdout is not None
    seconds: dict[str, list[float]] = {"session": [], "bare": []}
    for repeat in range(options.repeats + 1):
        start = time.perf_counter()
        (reply,) = session.generate([IDS], NEW + 1, reuse=False)
        taken = time.perf_counter() - start
        loop.stdin.write("go\n")
        loop.stdin.flush()
        answer = json.loads(loop.stdout.readline())
        assert answer["ids"] == reply.ids, "the two sides decode different tokens"
        if repeat:  # the first warms up
            seconds["session"].append(taken)
            seconds["bare"].append(answer["seconds"])
    session.close()
    loop.kill()
    apart = [a / b - 1 for a, b in zip(seconds["session"], seconds["bare"], strict=True)]
    figures = {
        "overhead": round(median(seconds["session"]) / median(seconds["bare"]) - 1, 4),
        "of_pairs": [round(min(apart), 4), round(max(apart), 4)],
        "session_seconds": round(median(seconds["session"]), 4),
        "bare_seconds": round(median(seconds["bare"]), 4),
        "threads": options.threads,
        "repeats": options.repeats,
    }
    if options.json:
        print(json.dumps(figures))
        return
    print(
        f"session {figures['session_seconds']} s, bare loop {figures['bare_seconds']} s: "
        f"{figures['overhead']:+.1%} ({min(apart):+.1%} .. {max(apart):+.1%} over "
        f"{options.repeats} pairs), {options.threads} threads"
    )


def bare(folder: Path, threads: int) -> None:
    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    decoder = {"session_options": {"intra_op_num_threads": threads}}
    config.overlay(json.dumps({"model": {"decoder": decoder}}))
    model = genai.Model(config)
    for _ in sys.stdin:
        start = time.perf_counter()
        parameters = genai.GeneratorParams(model)
        parameters.set_search_options(max_length=PROMPT + NEW + 1, do_sample=False)
        generator = genai.Generator(model, parameters)
        generator.append_tokens(IDS)
        ids = [int(generator.get_logits()[0, -1].argmax())]
        while len(ids) <= NEW:
            generator.append_tokens([ids[-1]])
            ids.append(int(generator.get_logits()[0, -1].argmax()))
        print(json.dumps({"ids": ids, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
