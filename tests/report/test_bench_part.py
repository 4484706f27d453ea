"""Answers side by side: by kind, and actions with what came of them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from srl_edge.report.bench_part import _reply, by_kind
from srl_edge.report.results import samples_file
from srl_edge.report.rows import BenchResults

DATE = "2026-11-29T08-00-00"


def sample(number: int, name: str, right: float) -> dict[str, Any]:
    return {
        "doc_id": number,
        "doc": {"id": name, "problem": "p", "answer": None},
        "resps": [["r"]],
        "exact_match": right,
        "marked": right,
        "seconds": 1.0,
        "joules": None,
        "lost": "",
        "replies": [1],
    }


def kinds_of(tmp_path: Path, *ids: str) -> list[dict[str, str]]:
    for model, right in (("base", 0.0), ("tuned", 1.0)):
        file = samples_file(tmp_path, model, "t", DATE)
        file.parent.mkdir(exist_ok=True)
        rows = [sample(n, name, right * (n < 3)) for n, name in enumerate(ids)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = [SimpleNamespace(name="base"), SimpleNamespace(name="tuned")]
    return by_kind(tmp_path, cast(BenchResults, SimpleNamespace(rows=models, date=DATE)), "t")


def test_problems_are_counted_by_the_kind_that_their_ids_name(tmp_path: Path) -> None:
    found = kinds_of(tmp_path, "buy/0", "switch/1", "buy/2", "switch/3")
    assert found == [
        {"kind": "buy", "base": "0 of 2", "tuned": "2 of 2"},
        {"kind": "switch", "base": "0 of 2", "tuned": "1 of 2"},
    ]
    assert kinds_of(tmp_path, "1", "2") == [] == kinds_of(tmp_path, "home/1", "home/2")


def test_actions_stand_with_what_came_of_them() -> None:
    row = sample(0, "a/0", 1.0) | {"steps": [["look hall", "done"]], "observations": [["lamp on"]]}
    assert _reply(row) == "> look hall\nlamp on\n> done"
    assert _reply(sample(0, "a/0", 1.0)) == "r"
