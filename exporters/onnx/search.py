"""The smallest ONNX artifact that still answers as the merged model does, found by measuring."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.errors import StageError
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.parity.logits import Case, agreement
from srl_edge.files import scratch_folder
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.terminal import progress

CANDIDATES = ("int4-rtn", "int4-small", "int4", "int4-mixed", "int4-kquant", "int8")


def export_smallest(
    merged: Path,
    out: Path,
    cases: Sequence[Case],
    least: float,
    context_length: int,
    texts: Sequence[Sequence[int]],
    threads: int = 0,
) -> dict[str, Any]:
    """Write into `out` the smallest candidate that agrees on `least` of the cases' next tokens.

    texts: token ids that 4-bit weights are fitted to. Returns its options, with `search`: every
    candidate from the smallest up to it, its MB, its agreement and its divergence in nats. Raises
    StageError where none passes.
    """
    tokenizer = load_tokenizer(merged)
    built: list[tuple[int, str, Path, dict[str, Any]]] = []
    rows: list[dict[str, Any]] = []
    with scratch_folder(out.parent, "candidates") as scratch:
        with progress.bar("export: onnx-auto", len(CANDIDATES)) as advance:
            for name in CANDIDATES:
                folder = scratch / name
                used = onnx.export(merged, folder, name, context_length, texts)
                size = sum(f.stat().st_size for f in folder.iterdir())
                built.append((size, name, folder, used))
                advance(name)
        for size, name, folder, options in sorted(built, key=lambda entry: entry[0]):
            runtime = OnnxRuntime(folder, context_length, threads)
            with progress.bar(f"export: {name}", len(cases)) as advance:
                found = agreement(runtime, cases, tokenizer, advance, "")
            rows.append(
                {
                    "candidate": name,
                    "mb": round(size / 1e6, 1),
                    "agreement": found.agreement,
                    "kl_divergence": found.kl_divergence,
                }
            )
            progress.say(
                f"onnx-auto: {name}: {size / 1e6:.1f} MB, {found.agreement:.1%} of next tokens "
                f"({least:.1%} asked for), {found.kl_divergence:.4f} nats"
            )
            if found.agreement >= least:
                shutil.copytree(folder, out, dirs_exist_ok=True)
                return {**options, "search": rows}
    best = max(rows, key=lambda row: row["agreement"])
    raise StageError(
        f"onnx-auto: no candidate agrees on {least:.1%} of next tokens; {best['candidate']} comes "
        f"closest with {best['agreement']:.1%}. Lower check.agreement.auto, or take onnx-fp16."
    )
