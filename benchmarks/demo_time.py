"""What `make demo` takes, stage by stage, and what comes of it, on several seeds.

    python benchmarks/demo_time.py [--json] [--seeds 0 1 2] [--recipe recipes/demo.toml] [--out DIR]

Each stage is a process of its own, as in `srl-edge run`; seconds are of the wall clock, imports
included. The model must have been downloaded before, so that the network does not count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from srl_edge import recipe
from srl_edge.report import rows
from srl_edge.run_folder import STAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=Path("recipes/demo.toml"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, help="keeps the runs, each in a folder of its seed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe.load(options.recipe)
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        found = [measured(options.recipe, seed, out / f"seed-{seed}") for seed in options.seeds]
    if options.json:
        print(json.dumps(found, indent=1))
        return
    console = Console()
    for each in found:
        table = Table("stage", "seconds", title=f"seed {each['seed']}")
        for stage, seconds in each["seconds"].items():
            table.add_row(stage, f"{seconds:.0f}")
        table.add_row("all", f"{each['total']:.0f}")
        console.print(table)
        console.print(f"solved of {each['problems']}: {each['solved']}")
        for name, gain in each["gain"].items():
            low, high = gain["interval"]
            console.print(f"{name}: {gain['points']:+.1f} points [{low:+.1f}, {high:+.1f}]")


def measured(path: Path, seed: int, run: Path) -> dict[str, Any]:
    """Seconds of each stage of a run, and its benchmark's figures; shares are of problems."""
    seconds = {}
    for stage in STAGES:
        source = [str(path), "--output", str(run), "--seed", str(seed)]
        asked = source if stage == "data" else [str(run)]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "srl_edge", stage, *asked], check=True)
        seconds[stage] = time.perf_counter() - start
    bench = rows.read(run / "bench")
    held_out = {row.name: row.tasks[rows.HELD_OUT] for row in bench.rows}
    gain = {
        name: {
            "points": 100 * each.difference.mean,
            "interval": (100 * each.difference.low, 100 * each.difference.high),
        }
        for name, each in bench.gain.items()
    }
    return {
        "seed": seed,
        "seconds": seconds,
        "total": sum(seconds.values()),
        "problems": held_out[rows.TUNED].problems,
        "solved": {name: each.accuracy for name, each in held_out.items()},
        "gain": gain,
    }


if __name__ == "__main__":
    main()
