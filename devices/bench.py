"""The benchmark: the same held-out problems on every runtime, each in a process of its own."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import models, progress, trajectories
from srl_edge.devices.statistics import bootstrap_interval
from srl_edge.errors import StageError
from srl_edge.recipe import Recipe


def bench(recipe: Recipe, run: Path) -> Path:
    """Measure the base model, the tuned model and every artifact; return `run/bench/results.json`.

    Beside it, `samples_<name>.jsonl` holds every attempt at every problem.
    """
    found = artifacts.runnable(run)
    folder = run / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    problems = run / "data" / "test.jsonl"
    limit = min(recipe.bench.problems, len(trajectories.load(problems)))
    base = models.resolve(recipe.model.name)
    threads = recipe.bench.threads or os.cpu_count() or 1
    common = {"problems": str(problems), "limit": limit} | recipe.bench.model_dump(
        include={"max_steps", "max_new_tokens", "prompt_tokens", "decode_tokens", "repeats"}
    )
    specs: list[dict[str, Any]] = [
        {"name": "torch base", "runtime": "torch", "path": str(base)},
        {"name": "torch tuned", "runtime": "torch", "path": str(run / "merged")},
        *({"name": artifact.name, "runtime": "artifact", "path": str(artifact.path)}
          for artifact in found),
    ]  # fmt: skip
    rows = []
    with progress.bar("bench", len(specs) * (limit + recipe.bench.repeats + 1)) as advance:
        for spec in specs:
            result = in_own_process(spec | common | {"threads": threads}, advance)
            attempts = result.pop("attempts")
            name = spec["name"].replace(" ", "-")
            with (folder / f"samples_{name}.jsonl").open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(a, ensure_ascii=False) + "\n" for a in attempts)
            interval = bootstrap_interval([float(a["correct"]) for a in attempts])
            size = _size(Path(spec["path"]))
            row = {"name": spec["name"], "size_mb": size / 1e6, "accuracy_interval": interval}
            rows.append(row | result | {"problems": len(attempts)})
    results = {"device": describe_device(threads), "rows": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder / "results.json"


def describe_device(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tools": artifacts.tool_versions(
            "torch", "transformers", "onnxruntime", "onnxruntime-genai", "executorch"
        ),
    }


def in_own_process(spec: dict[str, Any], advance: progress.Advance) -> dict[str, Any]:
    """What `worker.measure` finds for a spec; raises StageError where its process ends badly."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "spec.json"), Path(scratch, "result.json")
        asked.write_text(json.dumps(spec))
        log = Path(scratch, "log")
        with log.open("w") as errors:
            worker = subprocess.Popen(
                [sys.executable, "-m", "srl_edge.devices.worker", str(asked), str(answered)],
                stdout=subprocess.PIPE, stderr=errors, text=True,
                env=os.environ | {"OMP_NUM_THREADS": str(spec["threads"])},
            )  # fmt: skip
            assert worker.stdout is not None
            try:
                for line in worker.stdout:
                    if line.strip() in ("timed", "solved"):
                        advance(spec["name"])
                code = worker.wait()
            finally:
                worker.kill()
        if code or not answered.is_file():
            last = (log.read_text().strip().splitlines() or ["no message"])[-1]
            raise StageError(f"bench: {spec['name']} ended with exit code {code}: {last}")
        result: dict[str, Any] = json.loads(answered.read_text())
        return result


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
