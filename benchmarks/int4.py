"""How good, small and fast the int4 ONNX artifact of a run is, beside fp16 and default int4.

    python benchmarks/int4.py RUN [--prompts 200] [--repeats 5] [--threads 1] [--json]

RUN is a run folder with an adapter. Default int4, the builder without options, is int4-rtn. Next
tokens are those of the merged model in torch, teacher-forced over the expert's replies to held-out
prompts. Decoding is timed after a prompt of 128 tokens, the artifacts in turn; medians.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from srl_edge import recipe
from srl_edge.data.calibration import calibration_texts
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.exporters.merging.merge import merge
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.parity.logits import agreement, references
from srl_edge.exporters.subject import of_run
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.terminal import progress

LENGTH = 1024
PROMPT, NEW = 128, 64  # of what is timed
ARTIFACTS = ("fp16", "int4-rtn", "int4-kquant", "int4-mixed", "int4", "int4-small")
DEFAULT = "int4-rtn"  # the builder's own choice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = recipe.load(
        options.run / "recipe.toml",
        [
            "--check.prompts",
            str(options.prompts),
            "--check.greedy_tokens",
            "1",
            "--export.context_length",
            str(LENGTH),
        ],
    )
    with tempfile.TemporaryDirectory(dir=options.run) as scratch:
        figures = measured(chosen, options, Path(scratch))
    if options.json:
        print(json.dumps(figures))
        return
    table = Table(
        "artifact", "MB", "of fp16", "next tokens", "KL, nats", "tokens/s", "of default's"
    )
    sizes, rates = (
        {k: row[key] for k, row in figures["artifacts"].items()}
        for key in ("mb", "tokens_per_second")
    )
    for name, row in figures["artifacts"].items():
        table.add_row(
            name,
            f"{row['mb']:.1f}",
            f"{row['mb'] / sizes['fp16']:.0%}",
            f"{row['agreement']:.1%}",
            f"{row['kl_divergence']:.3f}",
            f"{row['tokens_per_second']:.0f}",
            f"{row['tokens_per_second'] / rates[DEFAULT]:.2f}",
        )
    Console(width=110).print(table)
    print(
        f"{figures['prompts']} prompts, {figures['positions']} positions, "
        f"{options.threads} threads, {options.repeats} repeats"
    )


def measured(chosen: recipe.Recipe, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    base = resolve(chosen.model.name)
    merged = merge(base, options.run / "adapter", scratch / "merged")
    subject = of_run(chosen, options.run)
    texts = calibration_texts(subject.texts("train"), load_tokenizer(merged), chosen.seed)
    cases, _ = references(subject, merged, "test")
    tokenizer = load_tokenizer(merged)
    rows: dict[str, dict[str, Any]] = {}
    runtimes = {}
    for name in ARTIFACTS:
        folder = scratch / name
        onnx.export(merged, folder, name, LENGTH, texts)
        size = sum(f.stat().st_size for f in folder.glob("model.onnx*"))
        runtimes[name] = OnnxRuntime(folder, LENGTH, options.threads)
        with progress.bar(name, len(cases)) as advance:
            found = agreement(runtimes[name], cases, tokenizer, advance, "")
        rows[name] = {"mb": size / 1e6} | asdict(found)
        positions = rows[name].pop("positions")
    rates: dict[str, list[float]] = {name: [] for name in rows}
    prompt = [token for text in texts for token in text][:PROMPT]
    for repeat in range(options.repeats + 1):
        for name, runtime in runtimes.items():
            rate = _decoding(runtime, prompt)
            if repeat:  # the first warms up
                rates[name].append(rate)
    for name, row in rows.items():
        row["tokens_per_second"] = median(rates[name])
    return {"prompts": len(cases), "positions": positions, "artifacts": rows, "rates": rates}


def _decoding(runtime: OnnxRuntime, prompt: list[int]) -> float:
    runtime.prefill(prompt, reuse=False)
    start = time.perf_counter()
    for _ in range(NEW):
        runtime.decode(prompt[0])
    return NEW / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
