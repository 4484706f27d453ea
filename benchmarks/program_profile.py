"""Where the time of a `.pte` program goes, by ExecuTorch's own event tracer.

    python benchmarks/program_profile.py MODEL.pte [MODEL.pte ...] [--threads 1 2] [--json]

A prompt of 256 tokens, then 64 more, one at a time (medians). Milliseconds of a call by kind of
instruction, and how many of them it has: `Method::execute` is the whole, `DELEGATE_CALL` what
XNNPACK takes, with its parts, and the rest are operators outside of it. With the tracer on a call
takes a little longer, so shares count here, and not speeds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

PROMPT, STEPS = 256, 64
XNNPACK = "XNNPACK"
OPERATORS = "OPERATOR_CALL"  # around each operator, which is told by its own name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="+", type=Path)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(profile(options.program[0], options.threads[0])))
        return
    found = {
        f"{file}, {threads} threads": in_own_process(file, threads)
        for threads in options.threads
        for file in options.program
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, parts in found.items():
        table = Table(name, "calls", "ms of the prompt", "ms a token")
        for part, (calls, prompt, token) in parts.items():
            table.add_row(part, str(calls), f"{prompt:.1f}", f"{token:.2f}")
        Console().print(table)


def in_own_process(file: Path, threads: int) -> dict[str, tuple[int, float, float]]:
    """A thread pool is set once a process."""
    command = [sys.executable, __file__, str(file), "--threads", str(threads), "--alone"]
    as_measured = os.environ | {"OMP_NUM_THREADS": "1"}  # as our runtime loads torch
    said = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=as_measured
    ).stdout
    found: dict[str, tuple[int, float, float]] = json.loads(said.splitlines()[-1])
    return found


def profile(file: Path, threads: int) -> dict[str, tuple[int, float, float]]:
    """By part of the program: how often a call has it, and its ms in the prompt and in a token."""
    import executorch.extension.llm.custom_ops.custom_ops
    import executorch.kernels.quantized  # noqa: F401
    import torch
    from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(threads)
    program: Any = portable_lib._load_for_executorch(str(file), enable_etdump=True)

    def calls() -> list[Any]:
        """The events of a prompt, and of each token after it."""
        program.forward((torch.arange(PROMPT)[None] + 100, torch.tensor([0])))
        for at in range(STEPS):
            program.forward((torch.tensor([[200 + at]]), torch.tensor([PROMPT + at])))
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "trace"
            program.write_etdump_result_to_file(str(written), f"{folder}/debug")
            trace = deserialize_from_etdump_flatcc(written.read_bytes())
        return [run.events for run in trace.run_data if run.name == "Execute"]

    calls()  # the first use of a kernel is not like the others
    prompt, *tokens = map(parts, calls())
    return {
        name: (
            tokens[0][name][0],
            prompt[name][1],
            median(token[name][1] for token in tokens),
        )
        for name in sorted(tokens[0], key=lambda name: -tokens[0][name][1])
    }


def parts(events: list[Any]) -> dict[str, tuple[int, float]]:
    """Their number and milliseconds, by kind; those of XNNPACK lie within its calls."""
    counts, times = Counter[str](), Counter[str]()
    for event in (each.profile_event for each in events if each.profile_event):
        said = event.delegate_debug_id_str
        name = f"{XNNPACK}: {said.partition(' #')[0]}" if said else event.name
        if name != OPERATORS:
            counts[name] += 1
            times[name] += (event.end_time - event.start_time) / 1e6
    return {name: (counts[name], times[name]) for name in times}


if __name__ == "__main__":
    main()
