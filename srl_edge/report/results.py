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
from srl_edge.files import replace
from srl_edge.method.types import Trajectory

Facts = dict[str, Any]
FILTER = "math-verify"  # how an answer is found in a solution and compared
ABSENT = "not measured"


def samples_file(out: Path, model: str, task: str, date: str, kind: str = "samples") -> Path:
    """Where the samples of a model at a task are, in lm-eval's layout; `kind` steps is ours."""
    return out / _safe(model) / f"{kind}_{_safe(task)}_{date}.jsonl"


def as_sample(number: int, problem: Trajectory, sample: Facts) -> Facts:
    """A measured sample as a row of lm-eval's samples file, with what else is known of it.

    `resps`, `filtered_resps` and `steps` have an entry for each attempt.
    """
    attempts = sample["attempts"]
    doc = {"id": problem.id, "problem": problem.problem, "answer": problem.answer}
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.answer,
        "resps": [["\n".join(attempt["replies"]) for attempt in attempts]],
        "filtered_resps": [attempt["given"] or "[invalid]" for attempt in attempts],
        "filter": FILTER,
        "metrics": ["exact_match"],
        "exact_match": float(sample["correct"]),
        "doc_hash": _hash(json.dumps(doc, sort_keys=True)),
        "target_hash": _hash(str(problem.answer)),
        "steps": [attempt["steps"] for attempt in attempts],
        "seconds": sample["seconds"],
        "joules": sample["joules"],
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
        flat["load_seconds"] = _rounded(row["load_seconds"], 3)
        for name in ("time_to_first_token", "prefill_tokens_per_second",
                     "decode_tokens_per_second"):  # fmt: skip
            for key in ("mean", "std", "p50", "p95"):
                flat[f"{name}_{key}"] = _rounded(row[name] and row[name][key], 4)
        flat["joules_per_token"] = _rounded(row["joules_per_token"], 4)
        flat["peak_memory_mib"] = _rounded(row["peak_memory_mib"], 1)
        for task, facts in row["tasks"].items():
            low, high = facts["accuracy_interval"]
            steps = facts["step_similarity"] or {"similarity": None, "steps": 0}
            flat |= {
                f"{task}_problems": facts["problems"], f"{task}_lost": facts["lost"],
                f"{task}_accuracy": round(facts["accuracy"], 4),
                f"{task}_low": round(low, 4), f"{task}_high": round(high, 4),
                f"{task}_seconds_per_problem": _rounded(facts["seconds_per_problem"], 3),
                f"{task}_joules_per_correct": _rounded(facts["joules_per_correct"], 1),
                f"{task}_step_similarity": _rounded(steps["similarity"], 4),
                f"{task}_steps": steps["steps"],
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
            speeds.append(
                f"| {row['name']} | {row['size_mb']:.0f} MB | {row['backend']} | "
                f"{device['threads']} | {test} | "
                f"{spread(row[f'{kind}_tokens_per_second'], '.2f')} |"
            )
    answers = [
        "| model | task | problems | solved [95% interval] | seconds a problem | "
        "joules a correct answer | step similarity | lost |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        for task, facts in row["tasks"].items():
            answers.append(f"| {row['name']} | {task} | {' | '.join(answer_cells(facts))} |")
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    where = f"{device['processor']}, {device['cores']} cores; {device['system']}; {tools}."
    losses = [f"{row['name']}: {row['unmeasured']}" for row in rows if row["unmeasured"]]
    return "\n".join(["# Benchmark", "", where, "", *speeds, "", *answers, "", *losses]) + "\n"


def answer_cells(facts: Facts) -> list[str]:
    """Problems, accuracy, seconds, joules, step similarity and lost problems, as they are shown."""
    low, high = facts["accuracy_interval"]
    steps = facts["step_similarity"]
    return [
        f"{facts['problems']}",
        f"{facts['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]",
        shown(facts["seconds_per_problem"], ".2f"),
        shown(facts["joules_per_correct"], ".1f"),
        f"{steps['similarity']:.3f} of {steps['steps']}" if steps else ABSENT,
        f"{facts['lost']}",
    ]


def shown(value: float | None, form: str) -> str:
    """A figure as text; what is not known is said so, and is no zero."""
    return ABSENT if value is None else f"{value:{form}}"


def spread(figure: Facts | None, form: str) -> str:
    """Mean and standard deviation as text, if they were measured."""
    return f"{figure['mean']:{form}} ± {figure['std']:{form}}" if figure else ABSENT


def _rounded(value: float | None, digits: int) -> float | str:
    return ABSENT if value is None else round(value, digits)


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
                "generation_kwargs": {
                    "max_gen_toks": settings["max_new_tokens"],
                    "temperature": settings["temperature"],
                    "do_sample": settings["temperature"] > 0,
                },
                "repeats": settings["samples"],
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


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
