"""Replies to several prompts at once beside the same ones made one at a time: time, and tokens.

    python benchmarks/batches.py WHAT --source gsm8k/train.jsonl [--problems 24] [--tokens 128]

WHAT is what `srl-edge bench-tasks` takes, if it is one that replies to several at once: a model on
PyTorch, an ONNX folder, a GGUF file on PyTorch. The problems are the first of the file, asked for
one whole reply, greedily.
"""

import argparse
import json
import os
import time
from pathlib import Path

from srl_edge.devices.bench.tasks import problems
from srl_edge.devices.bench.what import models_of
from srl_edge.devices.runtimes.contract import Batched, greedy, likeliest
from srl_edge.devices.runtimes.open import open_model
from srl_edge.recipe import Bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what")
    parser.add_argument("--source", type=Path, required=True, help="rows with problem and answer")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    (model,) = models_of([options.what], True, Bench())
    runtime, chat, stops = open_model(*model[1:3], options.threads), model.chat, model.stop_ids
    if not isinstance(runtime, Batched) or not runtime.takes_several():
        parser.error(f"{model.name} is asked one prompt at a time.")
    asked = problems("theirs", options.source, options.problems)
    prompts = sorted((chat.prompt_ids(each.problem, ()) for each in asked), key=len)
    count = len(prompts)
    runtime.complete(prompts[:2], [2, 2], stops, [likeliest] * 2)  # loads what it needs
    start = time.perf_counter()
    together = runtime.complete(prompts, [options.tokens] * count, stops, [likeliest] * count)
    middle = time.perf_counter()
    alone = [greedy(runtime, prompt, options.tokens, stops) for prompt in prompts]
    end = time.perf_counter()
    pairs = list(zip(together, alone, strict=True))
    same = sum(a == b for x, y in pairs for a, b in zip(x, y, strict=False))
    print(
        json.dumps(
            {
                "model": model.name,
                "problems": count,
                "threads": options.threads,
                "seconds a problem": {
                    "together": round((middle - start) / count, 2),
                    "alone": round((end - middle) / count, 2),
                },
                "replies equal token by token": sum(x == y for x, y in pairs),
                "tokens at the same place equal": f"{same} of {sum(map(len, alone))}",
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
