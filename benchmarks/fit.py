"""Predicted and measured peak memory over a grid of shapes; and what fits common machines.

`measure` runs every shape in a process of its own on the CPU, `table` only computes. What both
found: docs/lab/memory.md.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from srl_edge.devices.hosts.machine import peak_mib
from srl_edge.models.shape import ModelShape, from_config
from srl_edge.quantization.formats import Trainable
from srl_edge.trainers.memory.predict import MIB, Machine, Work, predict

MODELS = ("smollm2-135m-instruct", "gemma-3-270m")
# prompts, those that share a trunk, their tokens, rollouts of each, reply tokens, micro-batch
GRID = [
    Work(1, 1, 128, 4, 32, 1024),
    Work(2, 2, 256, 8, 64, 1024),
    Work(4, 1, 128, 8, 32, 1024),
    Work(4, 4, 256, 8, 32, 1024),
    Work(2, 1, 1000, 4, 24, 512),
    Work(2, 2, 500, 8, 48, 256),
    Work(1, 1, 64, 16, 96, 2048),
    Work(8, 8, 200, 4, 48, 2048),
    Work(8, 8, 200, 4, 48, 2048, checkpointed=True),
]
QUANTIZED = [  # one shape with other frozen weights
    (Work(2, 2, 256, 8, 64, 1024), how) for how in ("int8", "nf4", "8da4w", "int4-onnx")
]
# From the models' config.json: family, vocabulary, width, inner, layers, heads, kv heads, head
# dimension, tied, window.
COMMON = {
    "SmolLM2-135M": ModelShape("llama", 49152, 576, 1536, 30, 9, 3, 64, True),
    "SmolLM2-360M": ModelShape("llama", 49152, 960, 2560, 32, 15, 5, 64, True),
    "SmolLM2-1.7B": ModelShape("llama", 49152, 2048, 8192, 24, 32, 32, 64, True),
    "Gemma-3-270m": ModelShape("gemma3_text", 262144, 640, 2048, 18, 4, 1, 256, True, 512),
    "Gemma-3-1b": ModelShape("gemma3_text", 262144, 1152, 6912, 26, 4, 1, 256, True, 512),
    "Gemma-3-4b (text)": ModelShape("gemma3_text", 262208, 2560, 10240, 34, 8, 4, 256, True, 1024),
    "Qwen2.5-0.5B": ModelShape("qwen2", 151936, 896, 4864, 24, 14, 2, 64, True, qkv_biases=True),
    "Qwen2.5-1.5B": ModelShape("qwen2", 151936, 1536, 8960, 28, 12, 2, 128, True, qkv_biases=True),
    "Qwen2.5-3B": ModelShape("qwen2", 151936, 2048, 11008, 36, 16, 2, 128, True, qkv_biases=True),
    "Qwen2.5-7B": ModelShape("qwen2", 152064, 3584, 18944, 28, 28, 4, 128, False, qkv_biases=True),
    "Qwen3-0.6B": ModelShape("qwen3", 151936, 1024, 3072, 28, 16, 8, 128, True),
    "Qwen3-1.7B": ModelShape("qwen3", 151936, 2048, 6144, 28, 16, 8, 128, True),
    "Qwen3-4B": ModelShape("qwen3", 151936, 2560, 9728, 36, 32, 8, 128, True),
    "Qwen3-8B": ModelShape("qwen3", 151936, 4096, 12288, 36, 32, 8, 128, False),
    "Llama-3.2-1B": ModelShape("llama", 128256, 2048, 8192, 16, 32, 8, 64, True),
    "Llama-3.2-3B": ModelShape("llama", 128256, 3072, 8192, 28, 24, 8, 128, True),
}
MEMORIES = (8, 12, 16, 24)
STEP = Work(8, 8, 256, 8, 96, 1024)  # a recipe's defaults


def child(model: str, work: Work, quantization: Trainable = "none") -> dict[str, float]:
    """Peak MiB of sampling and of training, in this process, with full-length replies."""
    from srl_edge.method.types import Sample
    from srl_edge.models.catalog import resolve
    from srl_edge.recipe import Trainer
    from srl_edge.trainers.policy.contract import Loss
    from srl_edge.trainers.torch_backend.policy import TorchPolicy

    settings = Trainer(
        dtype="float32",
        threads=1,
        lora_rank=work.lora_rank,
        micro_batch_tokens=work.micro_batch_tokens,
        quantization=quantization,
        gradient_checkpointing=work.checkpointed,
    )
    policy = TorchPolicy(resolve(model), settings, 0)
    policy.stop_ids = [-1]  # no token has it
    policy.fit_rounding([tuple(range(8, 264))])
    rng, vocabulary = random.Random(0), len(policy.head)

    def step(trunks: list[list[tuple[int, ...]]], group: int, new: int) -> tuple[float, float]:
        _forget_peak()
        prompts = [prompt for trunk in trunks for prompt in trunk]
        sampled = iter(policy.sample(prompts, group, new, 1.0, 0))
        sampling = peak_mib()
        _forget_peak()
        batch = [
            [
                Sample(r.prompt_ids, r.completion_ids, r.logprobs, 0.5 - i % 2)
                for _ in trunk
                for i, r in enumerate(next(sampled))
            ]
            for trunk in trunks
        ]
        policy.forward_backward(batch, Loss("clipped"))
        policy.optim_step(1e-5, 1.0)
        return sampling, peak_mib()

    trunks = []
    for _ in range(work.prompts // work.sharing):
        longest = tuple(rng.randrange(vocabulary) for _ in range(work.prompt_tokens))
        shorter = work.prompt_tokens // 2 // work.sharing
        trunks.append([longest[: len(longest) - shorter * k] for k in range(work.sharing)])
    step([[trunks[0][0][:8]]], 2, 4)  # the optimizer's moments exist from here on
    sampling, training = step(trunks, work.group_size, work.new_tokens)
    return {"sampling": sampling, "training": training}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measure(model: str, work: Work, how: str, config: dict[str, Any]) -> dict[str, Any]:
    """What a new process measures, beside the prediction; MiB."""
    machine = Machine("cpu", 4, how, merged=how == "none", onnx=how == "none")
    prediction = predict(from_config(config, model), work, machine)
    command = [sys.executable, __file__, "child", model, json.dumps(asdict(work)), how]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{model}, {work}: the process failed.\n{done.stderr[-2000:]}")
    measured = json.loads(done.stdout.splitlines()[-1])
    predicted = {
        "sampling": sum(prediction.sampling.values()) / MIB,
        "training": sum(prediction.training.values()) / MIB,
    }
    for figures in (measured, predicted):
        figures["peak"] = max(figures["sampling"], figures["training"])
    errors = {k: predicted[k] / measured[k] - 1 for k in predicted}
    return {
        "model": model,
        "work": asdict(work),
        "frozen": how,
        "measured": measured,
        "predicted": predicted,
        "error": errors,
    }


def measured_table(rows: list[dict[str, Any]]) -> Table:
    """Predicted / measured MiB and the error of each phase, a row a shape."""
    out = Table(
        "model",
        "prompts",
        "of one trajectory",
        "tokens",
        "G",
        "reply",
        "micro-batch",
        "settings",
        "sampling",
        "training",
        "peak",
        box=MARKDOWN,
    )
    for row in sorted(rows, key=lambda row: MODELS.index(row["model"])):
        figures = [
            f"{row['predicted'][k]:,.0f} / {row['measured'][k]:,.0f} ({row['error'][k]:+.1%})"
            for k in ("sampling", "training", "peak")
        ]
        said = "layers computed again" if row["work"]["checkpointed"] else row["frozen"]
        shape = map(str, list(row["work"].values())[:6])
        out.add_row(row["model"], *shape, said if said != "none" else "", *figures)
    return out


def fitting_table(device: str, size: int) -> Table:
    """The first that fits of no quantization, int8 and nf4, if need be with small micro-batches."""
    what = f"{device}, {size} bytes a weight"
    out = Table(what, "parameters", *(f"{m} GB" for m in MEMORIES), box=MARKDOWN)
    for name, shape in COMMON.items():
        cells = [_fitting(shape, memory * 10**9, device, size) for memory in MEMORIES]
        out.add_row(name, f"{shape.parameters / 1e6:,.0f} M", *cells)
    return out


def _fitting(shape: ModelShape, memory: int, device: str, size: int) -> str:
    for quantization in ("none", "int8", "nf4"):
        for micro_batch in (STEP.micro_batch_tokens, 256):
            work = replace(STEP, micro_batch_tokens=micro_batch)
            whole = quantization == "none"
            onnx = whole and device == "cpu" and size == 4
            machine = Machine(device, size, quantization, merged=whole, onnx=onnx)
            peak = predict(shape, work, machine).peak
            if peak <= memory:
                how = {"none": "yes"}.get(quantization, quantization)
                small = "" if work == STEP else f", micro-batch {micro_batch}"
                return f"{how}{small} ({peak / 1e9:.1f})"
    return "no"


def main() -> None:
    """Measure the grid, or print the tables of common models."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure", help="every shape in a process of its own")
    measuring.add_argument("--json", action="store_true", help="one JSON object a shape")
    measuring.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    verbs.add_parser("table", help="common models on common machines")
    hidden = verbs.add_parser("child")
    hidden.add_argument("model")
    hidden.add_argument("work", type=json.loads)
    hidden.add_argument("quantization", nargs="?", default="none")
    options = parser.parse_args()
    if options.verb == "child":
        print(json.dumps(child(options.model, Work(**options.work), options.quantization)))
        return
    if options.verb == "table":
        for device, size in (("cuda", 2), ("cpu", 2), ("cpu", 4)):
            Console(width=200).print(fitting_table(device, size))
        return
    from srl_edge.models.catalog import resolve

    configs = {m: json.loads((resolve(m) / "config.json").read_text()) for m in options.models}
    rows = []
    for work, how in (*((work, "none") for work in GRID), *QUANTIZED):
        for model in options.models:
            rows.append(measure(model, work, how, configs[model]))
            if options.json:
                print(json.dumps(rows[-1]), flush=True)
    if not options.json:
        Console(width=200).print(measured_table(rows))


if __name__ == "__main__":
    main()
