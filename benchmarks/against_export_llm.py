"""Our ExecuTorch artifact beside that of ExecuTorch's own exporter, of the same weights.

    python benchmarks/against_export_llm.py [--json] [--repeats 9] [--threads 1 2] [--folder DIR]

8da4w in groups of 32, the embedding in 4 bits, XNNPACK, the cache inside. Both are run by
srl_edge's runtime, each in a process of its own, in turns: a prompt of 256 tokens, then 64 more.
Ratios are ours over theirs, of medians. --folder keeps both programs, and takes those that are
there: export_llm takes ten minutes or more.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from export_time import CONTEXT_LENGTH, export, for_export_llm, measured
from rich.console import Console
from rich.table import Table

from srl_edge.data import stories
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.hosts import local
from srl_edge.models.catalog import resolve
from srl_edge.recipe import Bench
from srl_edge.terminal import progress

OURS, THEIRS = "srl_edge", "export_llm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="of the Llama family")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = resolve(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        files = {side: folder / side / "model.pte" for side in (OURS, THEIRS)}
        for side, file in files.items():
            if not file.is_file():
                file.parent.mkdir(parents=True, exist_ok=True)
                write(side, model, file)
        found = compared(model, files, options)
    if options.json:
        print(json.dumps(found))
        return
    table = Table("", "ours over export_llm's")
    for name, value in found.items():
        if "ratio" in name:
            table.add_row(name, f"{value:.2f}")
    Console().print(table)


def write(side: str, model: Path, file: Path) -> None:
    if side == OURS:
        export(model, file.parent)
        return
    config = for_export_llm(model, file.parent, file, embedding="4,32")
    module = "executorch.extension.llm.export.export_llm"
    measured(["-m", module, "--config", str(config)], 2, file.parent)
    for name in ("model.pth", "params.json", config.name):
        (file.parent / name).unlink()


def compared(model: Path, files: dict[str, Path], options: argparse.Namespace) -> dict[str, float]:
    """Ratios by what is measured and threads, and the tokens a second that they are of."""
    problems = stories.problems(stories.SPLITS["test"], 40, 3, 60, "test")
    models = [
        Model(side, f"executorch:{CONTEXT_LENGTH}", file, "executorch", tokenizer=model)
        for side, file in files.items()
    ]
    found = {"size_ratio": files[OURS].stat().st_size / files[THEIRS].stat().st_size}
    for threads in options.threads:
        settings = Bench(threads=threads, repeats=options.repeats)
        with progress.bar(f"{threads} threads", 2 * (options.repeats + 1)) as advance:
            rows = {r.name: r for r in measure.speeds(models, problems, settings, local, advance)}
        for kind in ("decode", "prefill"):
            rates = {}
            for side, row in rows.items():
                spread = getattr(row, f"{kind}_tokens_per_second")
                if spread is None:
                    sys.exit(f"{side} was not measured: {row.unmeasured}")
                rates[side] = found[f"{side}_{kind}_{threads}"] = spread.p50
            found[f"{kind}_ratio_{threads}"] = rates[OURS] / rates[THEIRS]
    return found


if __name__ == "__main__":
    main()
