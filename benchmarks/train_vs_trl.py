"""One GRPO optimizer step, from sampling to update: srl_edge against TRL's GRPOTrainer, on a CPU.

Each measurement is a process of its own, the sides alternate. See benchmarks/README.md.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from workload import GROUP_SIZE, SHAPES, Shape, step_prompts_of

from srl_edge.devices.hosts.machine import peak_mib
from srl_edge.method.algorithm import group_relative
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.rewards import similarity
from srl_edge.method.types import Sample

SIDES = ("trl", "srl_edge")
LEARNING_RATE, LORA_RANK, LORA_ALPHA = 1e-5, 16, 32
METRICS = {"cpu": "cpu_seconds", "wall": "wall_seconds", "memory": "peak_rss_mib"}


class Clock:
    """Marks where timing starts (after the warm-up, if any) and the end of every step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        """Timing starts here, or a step has ended."""
        self.marks.append((time.process_time(), time.perf_counter()))

    def figures(self, loss_tokens: float) -> dict[str, float]:
        """Means of the timed steps, CPU-seconds of all threads; the peak is that of the process.

        loss_tokens: positions (padding included) run forward for the loss of a step.
        """
        count = len(self.marks) - 1
        cpu, wall = (b - a for a, b in zip(self.marks[0], self.marks[-1], strict=True))
        return {
            "cpu_seconds": cpu / count,
            "wall_seconds": wall / count,
            "peak_rss_mib": peak_mib(),
            "loss_tokens": loss_tokens,
        }


def run_trl(options: argparse.Namespace, shape: Shape) -> dict[str, Any]:
    """TRL's trainer with its own defaults, but for what must be equal on both sides."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    clock = Clock()
    loss_tokens = 0
    prompts = [p for group in step_prompts_of(shape) for p in group]
    chats = [p.messages for p in prompts]
    batch = options.trl_batch

    def reward(
        completions: list[Any], completion_ids: list[Any], expert: list[str], **_: Any
    ) -> list[float]:
        assert {len(ids) for ids in completion_ids} == {shape.new_tokens}
        return [similarity(c[0]["content"], e) for c, e in zip(completions, expert, strict=True)]

    def count(_: Any, inputs: tuple[torch.Tensor], __: Any) -> None:
        nonlocal loss_tokens
        loss_tokens += inputs[0].numel() if torch.is_grad_enabled() else 0

    class StepEnd(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            if not shape.warm_up:
                clock.mark()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.mark()

    steps = shape.warm_up + shape.timed_steps
    dtype = options.trl_dtype
    precision = {"bf16": dtype == "bfloat16", "model_init_kwargs": {"dtype": dtype}}
    config = GRPOConfig(
        output_dir=str(options.result.parent),
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=shape.rollouts // batch,
        gradient_checkpointing=options.trl_checkpointing == "on",
        num_generations=GROUP_SIZE,
        max_completion_length=shape.new_tokens,
        generation_kwargs={"min_new_tokens": shape.new_tokens},
        learning_rate=LEARNING_RATE,
        max_steps=steps,
        **(precision if dtype else {}),
    )
    rows = [{"prompt": c, "expert": p.expert_action} for c, p in zip(chats, prompts, strict=True)]
    trainer = GRPOTrainer(
        model=options.model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(rows),
        callbacks=[StepEnd()],
        peft_config=LoraConfig(
            r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    ids = [prompt_ids(trainer.processing_class, p) for p in prompts]
    assert [tuple(i) for i in trainer._tokenize_prompts(chats)[0]] == ids
    embedding = trainer.model.get_input_embeddings()
    embedding.register_forward_hook(count)
    weights = str(embedding.weight.dtype).removeprefix("torch.")
    trainer.train()
    return clock.figures(loss_tokens / steps) | {
        "dtype": f"{weights} weights{', bfloat16 autocast' if config.bf16 else ''}",
        "micro_batch": f"{batch} rows",
        "prompt_tokens": list(map(len, ids)),
        "trainable_parameters": trainer.model.num_parameters(only_trainable=True),
    }


def run_srl_edge(options: argparse.Namespace, shape: Shape) -> dict[str, Any]:
    """The training loop's own pieces, with the recipe's default settings."""
    from srl_edge.recipe import Trainer
    from srl_edge.trainers.policy.contract import Loss
    from srl_edge.trainers.torch_backend.policy import TorchPolicy

    clock = Clock()
    loss_tokens = 0.0
    settings = Trainer(lora_rank=LORA_RANK, lora_alpha=LORA_ALPHA, threads=options.threads)
    policy = TorchPolicy(Path(options.model), settings, seed=0)
    policy.stop_ids = [-1]  # no token has it, so every completion takes its full length
    trajectories = step_prompts_of(shape)
    prompts = [p for group in trajectories for p in group]
    ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
    steps = shape.warm_up + shape.timed_steps
    if not shape.warm_up:
        clock.mark()
    for step in range(steps):
        groups: dict[str, list[Sample]] = {}
        sampled = policy.sample(ids, GROUP_SIZE, shape.new_tokens, 1.0, seed=step)
        for prompt, rollouts in zip(prompts, sampled, strict=True):
            assert {len(r.completion_ids) for r in rollouts} == {shape.new_tokens}
            advantages = group_relative(
                [similarity(r.text, prompt.expert_action) for r in rollouts]
            )
            groups.setdefault(prompt.trajectory_id, []).extend(
                Sample(r.prompt_ids, r.completion_ids, r.logprobs, a)
                for r, a in zip(rollouts, advantages, strict=True)
            )
        metrics = policy.forward_backward(list(groups.values()), Loss("clipped"))
        policy.optim_step(LEARNING_RATE, max_grad_norm=1.0)
        loss_tokens += metrics["num_tokens"]
        clock.mark()
    parameters = [p for group in policy.optimizer.param_groups for p in group["params"]]
    return clock.figures(loss_tokens / steps) | {
        "dtype": f"{str(policy.head.dtype).removeprefix('torch.')} weights",
        "micro_batch": f"{settings.micro_batch_tokens} tokens",
        "prompt_tokens": list(map(len, ids)),
        "trainable_parameters": sum(p.numel() for p in parameters),
    }


def measure(side: str, shape: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a new process measures of one side; exits with its last words if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        arguments = {
            "child": side,
            "shapes": shape,
            "result": result,
            "model": options.model,
            "threads": options.threads,
            "trl-dtype": options.trl_dtype,
            "trl-batch": options.trl_batch,
            "trl-checkpointing": options.trl_checkpointing,
        }
        given = [f"--{k}={v}" for k, v in arguments.items() if v is not None]
        given += ["--quick"] * options.quick
        _python(f"{side} on the {shape} prompts", options.threads, __file__, *given)
        return dict(json.loads(result.read_text()), side=side, shape=shape)


def _python(what: str, threads: int, *command: str) -> str:
    environment = {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        sys.exit(f"{what}: the process failed with exit status {done.returncode}.\n{tail}")
    return done.stdout


def summarize(runs: Sequence[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Ratios TRL / srl_edge of medians, and the least and greatest ratio within one repeat."""
    out: dict[str, Any] = {}
    for shape in options.shapes:
        for metric, key in METRICS.items():
            trl, ours = ([r[key] for r in _of(runs, side, shape)] for side in SIDES)
            pairs = [a / b for a, b in zip(trl, ours, strict=True)]
            out[f"{shape}_{metric}_ratio"] = median(trl) / median(ours)
            out[f"{shape}_{metric}_ratio_spread"] = [min(pairs), max(pairs)]
    return out | {
        "versions": {name: version(name) for name in ("torch", "trl", "transformers", "peft")},
        "threads": options.threads,
        "dtype": {side: _of(runs, side)[0]["dtype"] for side in SIDES},
        "runs": runs,
    }


def table(summary: dict[str, Any], shapes: Sequence[str]) -> Table:
    """Medians (least .. greatest) of both sides, and their ratio."""
    dtypes = "; ".join(f"{side}: {dtype}" for side, dtype in summary["dtype"].items())
    title = f"One GRPO optimizer step on a CPU, threads: {summary['threads']}"
    out = Table("median (min .. max)", *SIDES, "ratio", title=title, caption=dtypes)
    for shape in shapes:
        for metric, key in (*METRICS.items(), ("", "loss_tokens"), ("", "micro_batch")):
            cells = [_cell([r[key] for r in _of(summary["runs"], side, shape)]) for side in SIDES]
            ratio = summary.get(f"{shape}_{metric}_ratio")
            out.add_row(f"{shape} {key}", *cells, f"{ratio:.2f}" if ratio else "")
        out.add_section()
    return out


def _of(runs: Sequence[dict[str, Any]], side: str, shape: str = "") -> list[dict[str, Any]]:
    return [r for r in runs if r["side"] == side and shape in ("", r["shape"])]


def _cell(values: Sequence[Any]) -> str:
    if len(set(values)) > 1:
        return f"{median(values):,.1f} ({min(values):,.1f} .. {max(values):,.1f})"
    return values[0] if isinstance(values[0], str) else f"{values[0]:,.1f}"


def read_options() -> argparse.Namespace:
    """The command line; --child and what follows it are for this script itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--json", action="store_true", help="one JSON object on stdout instead of a table")
    add("--quick", action="store_true", help="one repeat of one step, no warm-up")
    add("--repeats", type=int, default=3)
    add(
        "--shapes",
        type=lambda s: s.split(","),
        default=["short", "long"],
        help=f"of {','.join(SHAPES)}",
    )
    add("--threads", type=int, default=2)
    add("--model", default="smollm2-135m-instruct")
    add("--trl-dtype", choices=("float32", "bfloat16"), help="default: TRL's own")
    add("--trl-batch", type=int, default=8, help="rows of a TRL micro-batch; default: 8, TRL's own")
    add("--trl-checkpointing", choices=("on", "off"), default="on", help="default: on, as in TRL")
    add("--child", help=argparse.SUPPRESS)
    add("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.shapes) - set(SHAPES):
        parser.error(f"--shapes: {', '.join(unknown)} is none of {', '.join(SHAPES)}")
    return options


def main() -> None:
    """Measure both sides in turn and print the table, or JSON."""
    options = read_options()
    if options.child:
        run = run_trl if options.child == "trl" else run_srl_edge
        shape = SHAPES[options.shapes[0]]
        shape = replace(shape, warm_up=0, timed_steps=1) if options.quick else shape
        options.result.write_text(json.dumps(run(options, shape)))
        return
    if not all(map(importlib.util.find_spec, ("trl", "datasets"))):
        print("TRL is not installed; run: pip install 'srl-edge[bench]'", file=sys.stderr)
        sys.exit(2)
    # In a process of its own, since a child's peak memory starts at that of its parent.
    resolve = "import sys, srl_edge.models.catalog as m; print(m.resolve(sys.argv[1]))"
    found = _python("the model", options.threads, "-c", resolve, options.model)
    options.model = found.splitlines()[-1]
    runs: list[dict[str, Any]] = []
    for shape in options.shapes:
        for repeat in range(1 if options.quick else options.repeats):
            for side in SIDES:
                print(f"{shape}, repeat {repeat + 1}: {side}", end=" ", flush=True, file=sys.stderr)
                runs.append(measure(side, shape, options) | {"repeat": repeat + 1})
                print(f"{runs[-1]['cpu_seconds']:.1f} CPU-seconds a step", file=sys.stderr)
    summary = summarize(runs, options)
    if options.json:
        print(json.dumps(summary))
    else:
        Console().print(table(summary, options.shapes))


if __name__ == "__main__":
    main()
