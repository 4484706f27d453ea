"""Results on disk: one JSON of ours, one table as CSV and Markdown, and lm-eval's files a model."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from srl_edge import __version__
from srl_edge.types import Trajectory

Facts = dict[str, Any]
FILTER = "math-verify"  # how an answer is found in a solution and compared


def samples_file(out: Path, model: str, task: str, date: str) -> Path:
    """Where the samples of a model at a task are, in lm-eval's layout."""
    return out / _safe(model) / f"samples_{_safe(task)}_{date}.jsonl"


def as_sample(number: int, problem: Trajectory, sample: Facts) -> Facts:
    """A measured sample as a row of lm-eval's samples file, with what else is known of it."""
    doc = {"id": problem.id, "problem": problem.problem, "answer": problem.answer}
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.answer,
        "resps": [["\n".join(sample["replies"])]],
        "filtered_resps": [sample["given"] or "[invalid]"],
        "filter": FILTER,
        "metrics": ["exact_match"],
        "exact_match": float(sample["correct"]),
        "doc_hash": _hash(json.dumps(doc, sort_keys=True)),
        "target_hash": _hash(str(problem.answer)),
        "steps": sample["steps"],
        "seconds": sample["seconds"],
        "lost": sample["lost"],
    }


def write(out: Path, date: str, device: Facts, rows: Sequence[Facts], settings: Facts) -> Path:
    """Write `results.json`, `results.csv`, `report.md` and a `results_<date>.json` a model.

    rows: speed, size and memory of each model, with `tasks`, its accuracy at each.
    """
    ours = {"date": date, "device": device, "settings": settings, "rows": rows}
    path = out / "results.json"
    replace(path, json.dumps(ours, indent=1, ensure_ascii=False) + "\n")
    flat = table(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    replace(out / "results.csv", text.getvalue())
    replace(out / "report.md", markdown(device, rows, settings))
    for row in rows:
        lm_eval = json.dumps(_lm_eval(row, date, device, settings), indent=1, ensure_ascii=False)
        replace(out / _safe(row["name"]) / f"results_{date}.json", lm_eval + "\n")
    return path


def table(rows: Sequence[Facts]) -> list[dict[str, Any]]:
    """A row for each model, its figures as numbers with their units in the names."""
    found = []
    for row in rows:
        flat: dict[str, Any] = {"model": row["name"], "size_mb": round(row["size_mb"], 1)}
        flat["load_seconds"] = round(row["load_seconds"], 3)
        for name in ("time_to_first_token", "prefill_tokens_per_second",
                     "decode_tokens_per_second"):  # fmt: skip
            flat |= {f"{name}_{k}": round(v, 4) for k, v in row[name].items()}
        memory = row["peak_memory_mib"]
        flat["peak_memory_mib"] = "not measured" if memory is None else round(memory, 1)
        for task, facts in row["tasks"].items():
            low, high = facts["accuracy_interval"]
            flat |= {
                f"{task}_problems": facts["problems"], f"{task}_lost": facts["lost"],
                f"{task}_accuracy": round(facts["accuracy"], 4),
                f"{task}_low": round(low, 4), f"{task}_high": round(high, 4),
                f"{task}_seconds_per_problem": facts["seconds_per_problem"]
                and round(facts["seconds_per_problem"], 3),
            }  # fmt: skip
        found.append(flat)
    return found


def markdown(device: Facts, rows: Sequence[Facts], settings: Facts) -> str:
    """Speeds in llama-bench's columns, then accuracies."""
    speeds = [
        "| model | size | backend | threads | test | t/s |",
        "| --- | ---: | --- | ---: | --- | ---: |",
    ]
    for row in rows:
        for test, kind in ((f"pp{row['prompt_tokens']}", "prefill"),
                           (f"tg{settings['decode_tokens']}", "decode")):  # fmt: skip
            rate = row[f"{kind}_tokens_per_second"]
            speeds.append(
                f"| {row['name']} | {row['size_mb']:.0f} MB | {row['backend']} | "
                f"{device['threads']} | {test} | {rate['mean']:.2f} ± {rate['std']:.2f} |"
            )
    answers = ["| model | task | problems | solved [95% interval] | seconds a problem | lost |",
               "| --- | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for row in rows:
        for task, facts in row["tasks"].items():
            low, high = facts["accuracy_interval"]
            seconds = facts["seconds_per_problem"]
            answers.append(
                f"| {row['name']} | {task} | {facts['problems']} | {facts['accuracy']:.1%} "
                f"[{100 * low:.1f}, {100 * high:.1f}] | "
                f"{'not measured' if seconds is None else f'{seconds:.2f}'} | {facts['lost']} |"
            )
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    where = f"{device['processor']}, {device['cores']} cores; {device['system']}; {tools}."
    return "\n".join(["# Benchmark", "", where, "", *speeds, "", *answers]) + "\n"


def _lm_eval(row: Facts, date: str, device: Facts, settings: Facts) -> Facts:
    tasks: Mapping[str, Facts] = row["tasks"]

    def stderr(facts: Facts) -> float:
        p, n = facts["accuracy"], facts["problems"]
        return sqrt(p * (1 - p) / (n - 1)) if n > 1 else 0.0

    return {
        "results": {
            task: {
                "alias": task,
                f"exact_match,{FILTER}": facts["accuracy"],
                f"exact_match_stderr,{FILTER}": stderr(facts),
            }
            for task, facts in tasks.items()
        },
        "group_subtasks": {task: [] for task in tasks},
        "configs": {
            task: {
                "task": task,
                "output_type": "generate_until",
                "metric_list": [{"metric": "exact_match", "higher_is_better": True}],
                "generation_kwargs": {"max_gen_toks": settings["max_new_tokens"]},
                "num_fewshot": 0,
            }
            for task in tasks
        },
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {"exact_match": True} for task in tasks},
        "n-samples": {
            task: {"original": facts["problems"], "effective": facts["problems"] - facts["lost"]}
            for task, facts in tasks.items()
        },
        "config": {"model": row["backend"], "model_args": row["name"], "batch_size": 1,
                   "device": device["processor"], "limit": settings["limit"]},
        "date": date,
        "srl_edge_version": __version__,
    }  # fmt: skip


def replace(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
