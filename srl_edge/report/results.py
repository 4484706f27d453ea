"""Results for other tools: a table as CSV, lm-eval's files of each model, and Markdown."""

import csv
import io
import json
import re
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

from srl_edge import __version__, owned
from srl_edge.files import read_rows, text_sha256
from srl_edge.method.answers import extraction
from srl_edge.method.prompt_form import CUT_OFF
from srl_edge.method.types import Trajectory
from srl_edge.report import rows as report_rows
from srl_edge.report import tables
from srl_edge.report.markdown import as_markdown, plain
from srl_edge.report.rows import Answers, BenchResults, ModelRow, Sample, Score
from srl_edge.report.text import ABSENT
from srl_edge.terminal.signs import printable

FILTER = "math-verify"  # how an answer is found in a solution and compared
STRICT, FLEXIBLE = "strict-match", "flexible-extract"  # lm-eval's names of its filters for gsm8k
FILTERS = {STRICT: extraction.strict, FLEXIBLE: extraction.flexible}


def samples_file(out: Path, model: str, task: str, date: str, kind: str = "samples") -> Path:
    """Where the samples of a model at a task are, in lm-eval's layout; `kind` steps is ours."""
    return out / safe(model) / f"{kind}_{safe(task)}_{safe(date)}.jsonl"


def as_sample(number: int, problem: Trajectory, sample: Sample) -> dict[str, Any]:
    """A measured sample as a row of lm-eval's samples file, with what else is known of it.

    `resps`, `filtered_resps`, `steps` and `observations` have an entry for each attempt.
    """
    doc = {"id": problem.id, "problem": problem.problem, "answer": problem.answer}
    replies = ["\n".join(attempt.replies) for attempt in sample.attempts]
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.answer,
        "resps": [replies],
        "filtered_resps": [attempt.given or "[invalid]" for attempt in sample.attempts],
        "filter": FILTER,
        "metrics": ["exact_match"],
        "exact_match": float(sample.correct),
        "doc_hash": text_sha256(json.dumps(doc, sort_keys=True)),
        "target_hash": text_sha256(str(problem.answer)),
        "steps": [attempt.steps for attempt in sample.attempts],
        "observations": [attempt.observations for attempt in sample.attempts],
        "faults": [attempt.fault for attempt in sample.attempts],
        "replies": [len(attempt.replies) for attempt in sample.attempts],
        "marked": float(sample.marked),
        "seconds": sample.seconds,
        "joules": sample.joules,
        "lost": sample.lost,
        "majority": sample.majority,
        "batched": sample.batched,
        **(_as_harness(replies, problem.answer or "") if sample.harness else {}),
    }


def _as_harness(replies: Sequence[str], answer: str) -> dict[str, Any]:
    """What lm-eval's two filters for gsm8k read in each reply, and the share that they find right.

    lm-eval itself writes a row for each filter.
    """
    found: dict[str, Any] = {}
    for name, read in FILTERS.items():
        given = [read(reply) for reply in replies]
        found[f"filtered_resps,{name}"] = [each or "[invalid]" for each in given]
        found[f"exact_match,{name}"] = fmean(extraction.same(each, answer) for each in given)
    return found


def score_of(row: dict[str, Any]) -> Score:
    """What the figures are made from, of a row that `as_sample` made."""
    return Score(
        correct=row["exact_match"],
        marked=row["marked"],
        seconds=row["seconds"],
        joules=row["joules"],
        lost=row["lost"],
        replies=sum(row["replies"]),
        characters=sum(map(len, row["resps"][0])),
        attempts=len(row["replies"]),
        majority=row.get("majority", 0.0),
        strict=row.get(f"exact_match,{STRICT}"),
        flexible=row.get(f"exact_match,{FLEXIBLE}"),
        batched=row.get("batched", False),
        cut_off=fmean(fault == CUT_OFF for fault in row["faults"]) if row["faults"] else 0.0,
    )


def read_samples(out: Path, model: str, task: str, date: str) -> list[dict[str, Any]]:
    """The rows of a samples file in the order of the problems; none where there is no such file."""
    file = samples_file(out, model, task, date)
    return sorted(read_rows(file, "BenchSample"), key=lambda row: int(row["doc_id"]))


def write(out: Path, results: BenchResults) -> Path:
    """Write `results.json`, `results.csv`, `report.md` and a `results_<date>.json` a model."""
    flat = _flat(results)
    text = io.StringIO()
    heads = list(dict.fromkeys(key for row in flat for key in row))
    writer = csv.DictWriter(text, heads, restval=ABSENT, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    owned.write(out / "results.csv", text.getvalue())
    owned.write(out / "report.md", printable(_markdown(results)))
    for row in results.rows:
        lm_eval = json.dumps(_lm_eval(row, results), indent=1, ensure_ascii=False)
        owned.write(out / safe(row.name) / f"results_{safe(results.date)}.json", lm_eval + "\n")
    return report_rows.write(out, results)


def _flat(results: BenchResults) -> list[dict[str, Any]]:
    """A row for each model, its figures as numbers with their units in the names."""
    found = []
    for row in results.rows:
        flat: dict[str, Any] = {"model": row.name, "size_mb": round(row.size_mb, 1)}
        flat["load_seconds"] = _rounded(row.load_seconds, 3)
        for name in (
            "time_to_first_token",
            "prefill_tokens_per_second",
            "decode_tokens_per_second",
        ):
            figure = getattr(row, name)
            for key in ("mean", "std", "p50", "p95"):
                flat[f"{name}_{key}"] = _rounded(figure and getattr(figure, key), 4)
        flat["joules_per_token"] = _rounded(row.joules_per_token, 4)
        flat["peak_memory_mib"] = _rounded(row.peak_memory_mib, 1)
        for task, answers in row.tasks.items():
            low, high = answers.accuracy_interval
            steps = answers.step_similarity
            flat |= {
                f"{task}_problems": answers.problems,
                f"{task}_lost": answers.lost,
                f"{task}_accuracy": round(answers.accuracy, 4),
                f"{task}_low": round(low, 4),
                f"{task}_high": round(high, 4),
                f"{task}_marked": round(answers.marked, 4),
                f"{task}_seconds_per_problem": _rounded(answers.seconds_per_problem, 3),
                f"{task}_joules_per_correct": _rounded(answers.joules_per_correct, 1),
                f"{task}_step_similarity": _rounded(steps.similarity if steps else None, 4),
                f"{task}_next_step": _rounded(steps.equal if steps else None, 4),
                f"{task}_steps": steps.steps if steps else 0,
            }
            measured = {
                "strict": answers.strict,
                "flexible": answers.flexible,
                "majority": answers.majority,
            }
            measured |= {f"pass_at_{k}": value for k, value in answers.pass_at.items()}
            flat |= {f"{task}_{k}": round(v, 4) for k, v in measured.items() if v is not None}
        found.append(flat)
    return found


def _markdown(results: BenchResults) -> str:
    device = results.device
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    where = f"{device['processor']}, {device['cores']} cores; {device['system']}; {tools}."
    parts = ["# Benchmark", plain(where), as_markdown(tables.llama_bench(results))]
    for task in results.tasks:
        parts += [f"## {plain(task)}", as_markdown(tables.answers(results, task))]
        parts += map(plain, tables.cut_off(results, task) + tables.batching(results, task))
    parts += map(plain, tables.told(results))
    parts += [plain(f"{row.name}: {row.unmeasured}") for row in results.rows if row.unmeasured]
    return "\n\n".join(parts) + "\n"


def _rounded(value: float | None, digits: int) -> float | str:
    return ABSENT if value is None else round(value, digits)


def _lm_eval(row: ModelRow, results: BenchResults) -> dict[str, Any]:
    settings, tasks = results.settings, row.tasks

    return {
        "results": {task: {"alias": task, **_figures(answers)} for task, answers in tasks.items()},
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
                "num_fewshot": settings.get("shots", 0),
            }
            for task in tasks
        },
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, settings.get("shots", 0)),
        "higher_is_better": {task: {"exact_match": True} for task in tasks},
        "n-samples": {
            task: {"original": answers.problems, "effective": answers.problems - answers.lost}
            for task, answers in tasks.items()
        },
        "config": {
            "model": row.backend,
            "model_args": row.name,
            "batch_size": 1,
            "device": results.device["processor"],
            "limit": settings["limit"],
        },
        "date": results.date,
        "srl_edge_version": __version__,
    }


def _figures(answers: Answers) -> dict[str, float]:
    """Shares by lm-eval's names: the metric, then the filter."""
    shares = {FILTER: answers.accuracy, STRICT: answers.strict, FLEXIBLE: answers.flexible}
    found = {}
    for name, share in shares.items():
        if share is not None:
            n = answers.problems
            found[f"exact_match,{name}"] = share
            found[f"exact_match_stderr,{name}"] = sqrt(share * (1 - share) / max(n - 1, 1))
    found |= {f"pass@{k},{FILTER}": value for k, value in answers.pass_at.items()}
    if answers.majority is not None:
        found[f"maj@{max(answers.pass_at)},{FILTER}"] = answers.majority
    return found


def safe(name: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^\w.-]+", "-", name)
