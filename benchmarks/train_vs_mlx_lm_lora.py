"""One GRPO optimizer step on MLX, from sampling to update: srl_edge against mlx-lm-lora.

    python benchmarks/train_vs_mlx_lm_lora.py [--repeats 3] [--prompts 8] [--json]

Each measurement is a process of its own, the sides alternate: srl_edge; mlx-lm-lora with its own
batch size (`defaults`: one), and with the widest there is (`batched`: all prompts). It decodes as
many rows at a time as its batch size, and takes as many in a backward pass. The model, the
prompts, G, the lengths, the reward and the sampling distribution are the same on all sides; so is
the linear algebra, OpenBLAS by --blas, since the Linux wheel of MLX comes with a reference BLAS.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from train_vs_trl import LEARNING_RATE, LORA_ALPHA, LORA_RANK, Clock
from workload import GROUP_SIZE, Shape, step_prompts_of

from srl_edge.method.algorithm import group_relative
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.rewards import similarity
from srl_edge.method.types import Sample
from srl_edge.models.catalog import resolve

SIDES = ("srl_edge", "batched", "defaults")
DEFAULT_BATCH = 1  # of mlx-lm-lora's command
BLAS = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0"  # Debian's libopenblas0


def shape_of(options: argparse.Namespace) -> Shape:
    """One optimizer step: so many prompts of about 200 tokens, G completions of each."""
    return Shape(options.prompts, 1, sentences=3, new_tokens=64, warm_up=0, timed_steps=1)


def run_srl_edge(options: argparse.Namespace) -> dict[str, Any]:
    """The training loop's own pieces, with the recipe's default settings."""
    from srl_edge.recipe import Trainer
    from srl_edge.trainers.mlx_backend.policy import MlxPolicy
    from srl_edge.trainers.policy.contract import Loss

    shape = shape_of(options)
    settings = Trainer(backend="mlx", dtype="float32", lora_rank=LORA_RANK, lora_alpha=LORA_ALPHA)
    policy = MlxPolicy(Path(options.model), settings, seed=0)
    policy.stop_ids = [-1]  # no token has it, so every completion takes its full length
    prompts = [p for group in step_prompts_of(shape) for p in group]
    ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
    clock = Clock()
    clock.mark()
    groups = []
    sampled = policy.sample(ids, GROUP_SIZE, shape.new_tokens, 1.0, seed=0)
    for prompt, rollouts in zip(prompts, sampled, strict=True):
        advantages = group_relative([similarity(r.text, prompt.expert_action) for r in rollouts])
        groups.append(
            [
                Sample(r.prompt_ids, r.completion_ids, r.logprobs, a)
                for r, a in zip(rollouts, advantages, strict=True)
            ]
        )
    metrics = policy.forward_backward(groups, Loss("clipped"))
    policy.optim_step(LEARNING_RATE, max_grad_norm=1.0)
    clock.mark()
    return clock.figures(metrics["num_tokens"]) | {"prompt_tokens": list(map(len, ids))}


def run_mlx_lm_lora(options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Its trainer's step, from its own functions; `batch` rows at a time."""
    import mlx.core as mx
    import mlx.optimizers
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load
    from mlx_lm_lora.trainer.grpo_trainer import GRPOTrainingArgs, train_grpo
    from transformers import AutoConfig

    from srl_edge.models.flat_rope import flat
    from srl_edge.models.tokenizer import load_tokenizer

    shape = shape_of(options)
    folder = Path(options.model)
    settings = flat(AutoConfig.from_pretrained(folder).to_dict(), folder, "mlx", "")
    model, tokenizer = load(options.model, model_config=settings)
    model.set_dtype(mx.float32)
    model.freeze()
    lora = {"rank": LORA_RANK, "scale": LORA_ALPHA / LORA_RANK, "dropout": 0.0}
    linear_to_lora_layers(model, len(model.layers), lora)
    tokenizer.eos_token_ids = {-1}
    ours = load_tokenizer(Path(options.model))
    prompts = [p for group in step_prompts_of(shape) for p in group]
    ids = [list(prompt_ids(ours, p)) for p in prompts]
    rows = [(i, [0], "", p.expert_action, None) for i, p in zip(ids, prompts, strict=True)]
    clock = Clock()

    def step_similarity(
        prompts: list[str], completions: list[str], answer: list[str], types: Any
    ) -> list[float]:
        return [similarity(c, e) for c, e in zip(completions, answer, strict=True)]

    def batches(dataset: Any, batch_size: int, **_: Any) -> Any:
        clock.mark()  # all is loaded now
        while True:
            for at in range(0, len(dataset), batch_size):
                yield tuple(list(x) for x in zip(*dataset[at : at + batch_size], strict=True))

    steps = len(rows) // batch
    with tempfile.TemporaryDirectory() as scratch:
        arguments = GRPOTrainingArgs(
            batch_size=batch,
            iters=steps,
            gradient_accumulation_steps=steps,
            group_size=GROUP_SIZE,
            beta=0.0,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            max_completion_length=shape.new_tokens,
            adapter_file=f"{scratch}/adapters.safetensors",
        )
        train_grpo(
            model,
            None,
            tokenizer,
            mlx.optimizers.AdamW(LEARNING_RATE),
            rows,
            None,
            [step_similarity],
            arguments,
            iterate_batches=batches,
            end_answer_token="",
        )
        clock.mark()
    tokens = sum(len(i) + shape.new_tokens for i in ids) * GROUP_SIZE
    return clock.figures(tokens) | {"prompt_tokens": list(map(len, ids))}


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a new process measures of one side; exits with its last words if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch, "result.json")
        threads = str(options.threads)
        environment = {
            "LD_PRELOAD": options.blas,
            "OMP_NUM_THREADS": threads,
            "MLX_DISABLE_COMPILE": "1",
            "OPENBLAS_NUM_THREADS": threads,
        }
        done = subprocess.run(
            [
                sys.executable,
                __file__,
                f"--child={side}",
                f"--result={result}",
                f"--model={options.model}",
                f"--prompts={options.prompts}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
            check=False,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-15:])
            sys.exit(f"{side}: the process failed with exit status {done.returncode}.\n{tail}")
        return dict(json.loads(result.read_text(encoding="utf-8")), side=side)


def summarize(runs: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Ratios of medians, the other side's over ours, and the least and greatest of a repeat."""
    out: dict[str, Any] = {}
    for side in SIDES[1:]:
        for key in ("cpu_seconds", "wall_seconds", "peak_rss_mib"):
            theirs, ours = ([r[key] for r in runs if r["side"] == s] for s in (side, SIDES[0]))
            pairs = [a / b for a, b in zip(theirs, ours, strict=True)]
            out[f"{side}_{key}_ratio"] = median(theirs) / median(ours)
            out[f"{side}_{key}_spread"] = [min(pairs), max(pairs)]
    names = ("mlx", "mlx-lm", "mlx-lm-lora")
    return out | {
        "versions": {name: version(name) for name in names},
        "threads": options.threads,
        "runs": runs,
    }


def show(summary: dict[str, Any]) -> None:
    """Medians of all sides, and ratios."""
    out = Table("one step", "CPU-seconds", "wall", "peak MiB", "loss tokens", "CPU over ours")
    for side in SIDES:
        mine = [r for r in summary["runs"] if r["side"] == side]
        cells = [
            f"{median(r[k] for r in mine):,.1f}"
            for k in ("cpu_seconds", "wall_seconds", "peak_rss_mib", "loss_tokens")
        ]
        ratio = summary.get(f"{side}_cpu_seconds_ratio")
        spread = summary.get(f"{side}_cpu_seconds_spread", [0, 0])
        told = f"{ratio:.2f} ({spread[0]:.2f}..{spread[1]:.2f})" if ratio else ""
        out.add_row(side, *cells, told)
    Console().print(out)


def main() -> None:
    """Measure the sides in turn and print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--json", action="store_true", help="one JSON object on stdout instead of a table")
    add("--repeats", type=int, default=3)
    add("--prompts", type=int, default=8, help="of a step")
    add("--threads", type=int, default=1)
    add("--model", default="smollm2-135m-instruct")
    add("--blas", default=BLAS if Path(BLAS).exists() else "", help="preloaded on all sides")
    add("--child", help=argparse.SUPPRESS)
    add("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        batch = {"batched": options.prompts, "defaults": DEFAULT_BATCH}
        ours = options.child == "srl_edge"
        run = run_srl_edge(options) if ours else run_mlx_lm_lora(options, batch[options.child])
        options.result.write_text(json.dumps(run))
        return
    if find_spec("mlx_lm_lora") is None:
        print("mlx-lm-lora is not installed: pip install mlx-lm-lora==5.10.2", file=sys.stderr)
        sys.exit(2)
    options.model = str(resolve(options.model))
    runs: list[dict[str, Any]] = []
    for repeat in range(options.repeats):
        for side in SIDES:
            print(f"repeat {repeat + 1}: {side}", end=" ", flush=True, file=sys.stderr)
            runs.append(measure(side, options) | {"repeat": repeat + 1})
            print(f"{runs[-1]['cpu_seconds']:.1f} CPU-seconds", file=sys.stderr)
    summary = summarize(runs, options)
    print(json.dumps(summary)) if options.json else show(summary)


if __name__ == "__main__":
    main()
