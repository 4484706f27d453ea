"""Artifacts of a run beside llama.cpp's of the same weights: size, speed, next tokens, answers.

    python benchmarks/against_llama_cpp.py RUN [--threads 1 2] [--prompts 60] [--problems 50]

RUN is a run folder that holds the artifacts named by --artifacts; those of GGUF run in llama.cpp,
which needs llama-cpp-python. Speeds are those of `srl-edge bench`: each model in a process of its
own, all in turns, medians of --repeats. GB/s are the weights that a token reads, over its time, and
their share of what as many threads read of this machine's memory. Next tokens are those of the
merged model in torch over the expert's replies to held-out prompts; answers are to the run's test
problems.
"""

import argparse
import json
import math
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import gguf
import onnx
from rich.console import Console
from rich.table import Table

from srl_edge import artifact, recipe
from srl_edge.data import trajectories
from srl_edge.devices.bench import figures, measure
from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.hosts import local
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.exporters.parity.logits import agreement, references
from srl_edge.exporters.subject import of_run
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.quantization.grid import GROUP
from srl_edge.recipe import Bench
from srl_edge.report.results import as_sample, score_of
from srl_edge.report.rows import Score
from srl_edge.report.statistics import paired
from srl_edge.terminal import progress

ARTIFACTS = (
    "onnx-int4-small",
    "onnx-int4",
    "executorch-8da4w",
    "gguf-q4_0",
    "gguf-q4_1",
    "gguf-q4_k_m",
)
Facts = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--artifacts", nargs="+", default=list(ARTIFACTS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    asked = [Model(n, "artifact", options.run / "artifacts" / n) for n in options.artifacts]
    found: dict[str, Facts] = {model.name: {} for model in asked}
    for model in asked:
        found[model.name]["token_reads_mb"] = token_reads_mb(model.path, options.run / "merged")
    problems = trajectories.load(options.run / "data" / "test.jsonl")
    for threads in options.threads:
        memory = local.memory_bandwidth(threads)
        settings = Bench(threads=threads, repeats=options.repeats)
        with progress.bar(f"{threads} threads", len(asked) * (options.repeats + 1)) as advance:
            for row in measure.speeds(asked, problems, settings, local, advance):
                found[row.name][f"speed_{threads}"] = asdict(row)
                found[row.name][f"memory_gb_per_second_{threads}"] = memory
    if options.prompts:
        next_tokens(options, asked, found)
    if options.problems:
        answers(problems[: options.problems], asked, found)
    if options.json:
        print(json.dumps(found))
    else:
        show(options, found)


def token_reads_mb(folder: Path, merged: Path) -> float:
    """MB of weights that a token reads: all but an embedding that is no output layer too."""
    if (file := folder / "model.gguf").exists():
        sizes = {tensor.name: tensor.n_bytes for tensor in gguf.GGUFReader(file).tensors}
        if "output.weight" in sizes:
            del sizes["token_embd.weight"]
        return float(sum(sizes.values())) / 1e6
    if (file := folder / "model.onnx").exists():
        graph = onnx.load(file, load_external_data=False).graph
        read = {
            n for node in graph.node if not node.op_type.startswith("Gather") for n in node.input
        }
        return sum(_bytes(tensor) for tensor in graph.initializer if tensor.name in read) / 1e6
    config = json.loads((merged / "config.json").read_text())
    numbers: int = config["vocab_size"] * config["hidden_size"]
    embedding = numbers / 2 + numbers / GROUP * 4  # codes of 4 bits, and a float32 a group
    return ((folder / "model.pte").stat().st_size - embedding) / 1e6


def _bytes(tensor: onnx.TensorProto) -> float:
    size: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return float(math.prod(tensor.dims) * size)


def next_tokens(options: argparse.Namespace, asked: list[Model], found: dict[str, Facts]) -> None:
    chosen = recipe.load(
        options.run / "recipe.toml",
        [
            "--check.prompts",
            str(options.prompts),
            "--check.greedy_tokens",
            "1",
        ],
    )
    merged = options.run / "merged"
    cases, _ = references(of_run(chosen, options.run), merged, "test")
    tokenizer = load_tokenizer(merged)
    for model in asked:
        runtime = open_runtime(artifact.load(model.path), max(options.threads))
        with progress.bar(model.name, len(cases)) as advance:
            same = agreement(runtime, cases, tokenizer, advance, "")
        found[model.name]["next_tokens"] = asdict(same)


def answers(problems: list[Any], asked: list[Model], found: dict[str, Facts]) -> None:
    for model in asked:
        scores: list[Score] = []
        with (
            progress.bar(f"{model.name}: answers", len(problems)) as advance,
            Connection(local, 1) as connection,
        ):
            each = measure.solved(model, problems, Bench(threads=1), connection)
            samples = chain.from_iterable(each)
            for problem, sample in zip(problems, samples, strict=True):
                scores.append(score_of(as_sample(len(scores), problem, sample)))
                advance(figures.so_far(scores))
        found[model.name]["answers"] = asdict(figures.answers(scores))
        found[model.name]["correct"] = [score.correct for score in scores]


def show(options: argparse.Namespace, found: dict[str, Facts]) -> None:
    columns = [
        "artifact",
        "MB",
        "a token",
        *(
            f"{kind}, {threads} t"
            for threads in options.threads
            for kind in ("prefill", "decode", "GB/s")
        ),
    ]
    table = Table(*columns, "next tokens", "KL, nats", "solved")
    for name, row in found.items():
        speeds = [row[f"speed_{threads}"] for threads in options.threads]
        cells = [name, f"{speeds[0]['size_mb']:.0f}", f"{row['token_reads_mb']:.0f}"]
        for threads, speed in zip(options.threads, speeds, strict=True):
            prefill, decode = (
                speed[f"{kind}_tokens_per_second"]["p50"] for kind in ("prefill", "decode")
            )
            rate = row["token_reads_mb"] * decode / 1e3
            cells += [f"{prefill:.0f}", f"{decode:.0f}"]
            cells += [f"{rate:.1f} ({rate / row[f'memory_gb_per_second_{threads}']:.0%})"]
        same, solved = row.get("next_tokens"), row.get("answers")
        cells += [f"{same['agreement']:.1%}", f"{same['kl_divergence']:.3f}"] if same else ["", ""]
        table.add_row(*cells, f"{solved['accuracy']:.1%} of {solved['problems']}" if solved else "")
    Console(width=130).print(table)
    theirs = [name for name in found if name.startswith("gguf")]
    for name in set(found) - set(theirs) if options.problems else ():
        for other in theirs:
            test = paired(found[other]["correct"], found[name]["correct"])
            print(
                f"{name} against {other}: {test.won} won, {test.lost} lost, "
                f"p = {test.sign_test:.2f}"
            )


if __name__ == "__main__":
    main()
