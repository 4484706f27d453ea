"""The benchmark: the same held-out problems on every runtime, each in a process of its own."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import models, progress, trajectories
from srl_edge.devices import local, measure
from srl_edge.devices.chat import Chat
from srl_edge.devices.session import RunnerLost
from srl_edge.devices.statistics import bootstrap_interval
from srl_edge.recipe import Bench, Recipe
from srl_edge.solving import Attempt
from srl_edge.types import Trajectory

Model = tuple[str, str, Path]  # its name, `torch` or `artifact`, and its folder
LOSSES = 3  # runners that may be lost one after the other before the rest is left out


def bench(recipe: Recipe, run: Path) -> Path:
    """Measure the base model, the tuned model and every artifact; return `run/bench/results.json`.

    Beside it, `samples_<name>.jsonl` holds every attempt at every problem, written as it ends. A
    runner that crashes or hangs loses its problem and is started again.
    """
    found = artifacts.runnable(run)
    folder = run / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    problems = trajectories.load(run / "data" / "test.jsonl")[: recipe.bench.problems]
    threads = recipe.bench.threads or os.cpu_count() or 1
    asked: list[Model] = [
        ("torch base", "torch", models.resolve(recipe.model.name)),
        ("torch tuned", "torch", run / "merged"),
        *((artifact.name, "artifact", artifact.path) for artifact in found),
    ]
    total = len(asked) * (len(problems) + recipe.bench.repeats + 1)
    with progress.bar("bench", total) as advance:
        rows = _speeds(asked, problems, threads, recipe.bench, advance)
        for model, row in zip(asked, rows, strict=True):
            name = model[0]
            samples = []
            with (folder / f"samples_{name.replace(' ', '-')}.jsonl").open("w") as out:
                for sample in _solved(model, threads, problems, recipe.bench):
                    samples.append(sample)
                    out.write(json.dumps(sample, ensure_ascii=False) + "\n")
                    out.flush()
                    advance(name)
            row |= _accuracy(samples)
    results = {"device": describe_device(threads), "rows": rows}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return folder / "results.json"


def _speeds(
    asked: Sequence[Model], problems: Sequence[Trajectory], threads: int, settings: Bench,
    advance: progress.Advance,
) -> list[dict[str, Any]]:  # fmt: skip
    prompts = [_text(Chat(path), problems, settings.prompt_tokens) for *_, path in asked]
    with ExitStack() as opened:
        sessions = [local.open_session(*model, threads) for model in asked]
        for session in sessions:
            opened.callback(session.close)
        speeds = measure.speed(sessions, prompts, settings, advance)
        return [
            {
                "name": session.name, "size_mb": _size(path) / 1e6,
                "load_seconds": session.load_seconds, **speed,
                "peak_memory_mib": session.peak_memory_mib, "load_average": os.getloadavg()[0],
            }
            for session, speed, (*_, path) in zip(sessions, speeds, asked, strict=True)
        ]  # fmt: skip


def _solved(
    model: Model, threads: int, problems: Sequence[Trajectory], settings: Bench
) -> Iterator[dict[str, Any]]:
    """A row for every problem, in order; those that a lost runner took with it say so."""
    path = model[2]
    chat, stops, left, lost = Chat(path), models.stop_ids(path), list(problems), 0
    while left:
        session = local.open_session(*model, threads)
        try:
            for attempt, seconds in measure.solved(session, chat, stops, left[:], settings):
                yield asdict(attempt) | {"seconds": round(seconds, 3), "lost": ""}
                left.pop(0)
                lost = 0
        except RunnerLost as error:
            lost += 1
            progress.say(f"bench: {error}")
            gone = left if lost == LOSSES else left[: session.batch]
            for problem in gone:
                attempt = Attempt(problem.id, problem.problem, problem.answer or "")
                yield asdict(attempt) | {"seconds": None, "lost": str(error)}
            left = left[len(gone) :]
        finally:
            session.close()


def _accuracy(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    correct = [float(sample["correct"]) for sample in samples]
    seconds = [sample["seconds"] for sample in samples if not sample["lost"]]
    return {
        "problems": len(samples),
        "lost": len(samples) - len(seconds),
        "accuracy": sum(correct) / len(correct),
        "accuracy_interval": bootstrap_interval(correct),
        "seconds_per_problem": sum(seconds) / len(seconds) if seconds else None,
    }


def _text(chat: Chat, problems: Sequence[Trajectory], length: int) -> list[int]:
    """Token ids of a real text of a given length."""
    text = "\n".join(problem.problem for problem in problems)
    return chat.encode(text * (1 + length * 8 // len(text)))[:length]


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


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
