"""How often a beginning that calibration texts share should count in the fit of 4-bit weights.

    python benchmarks/shared_beginnings.py RUN [--prompts 40] [--seeds 0 1]

RUN is a run folder after `export`. It is exported as ONNX int4 with each token's count in the
calibration texts as it is, its root, and one, fitted to the texts that each seed draws; next tokens
and divergence are those of the merged model, teacher-forced over held-out replies.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from srl_edge import recipe
from srl_edge.data.calibration import calibration_texts
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.exporters.decoder import quantized as quantize
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.parity.logits import agreement, references
from srl_edge.exporters.subject import of_run
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.terminal import progress

LENGTH = 1024
POWERS = {"as often as it stands there": 1.0, "the root of that": 0.5, "once": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    run, merged = options.run, options.run / "merged"
    chosen = recipe.load(
        run / "recipe.toml",
        [
            "--check.prompts",
            str(options.prompts),
            "--check.greedy_tokens",
            "1",
            "--export.context_length",
            str(LENGTH),
        ],
    )
    subject = of_run(chosen, run)
    cases, _ = references(subject, merged, "test")
    tokenizer = load_tokenizer(merged)
    table = Table("calibration seed", "a shared beginning counts", "next tokens", "KL, nats")
    for seed in options.seeds:
        texts = calibration_texts(subject.texts("train"), tokenizer, seed)
        for name, power in POWERS.items():
            with tempfile.TemporaryDirectory(dir=run) as scratch:
                folder = Path(scratch, "int4")
                fitted(merged, folder, texts, power)
                runtime = OnnxRuntime(folder, LENGTH, options.threads)
                with progress.bar(f"seed {seed}, {name}", len(cases)) as advance:
                    found = agreement(runtime, cases, tokenizer, advance, "")
            table.add_row(str(seed), name, f"{found.agreement:.1%}", f"{found.kl_divergence:.3f}")
    Console(width=110).print(table)
    print(f"{len(cases)} prompts, {found.positions} positions")


def fitted(merged: Path, out: Path, texts: list[list[int]], power: float) -> None:
    """Export ONNX int4 with counts raised to a power."""
    plain = quantize.Linears.quantize

    def quantize_with(linears: Any, x: Any = None, times: Any = None) -> None:
        plain(linears, x, None if times is None else times**power)

    quantize.Linears.quantize = quantize_with  # type: ignore[assignment, method-assign]
    try:
        onnx.export(merged, out, "int4", LENGTH, texts)
    finally:
        quantize.Linears.quantize = plain  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
