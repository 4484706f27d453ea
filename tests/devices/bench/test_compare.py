"""What `compare` says beside the figures, and of those that are gone or cannot be compared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from srl_edge.commands.outcome import Outcome
from srl_edge.recipe import dumps
from srl_edge.report.results import samples_file
from srl_edge.run_folder import begin, finish, inputs_of
from tests.helpers.command_line import called
from tests.helpers.reports import recipe_of, whole_run, write


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, the second of which has exported since it was measured."""
    for name in ("old", "new"):
        run = whole_run(tmp_path / name)
        (run / "recipe.toml").write_text(dumps(recipe_of(run)))
    begin(recipe_of(tmp_path / "new"), "export")
    return tmp_path / "old", tmp_path / "new"


def notes(done: Outcome) -> list[str]:
    said = [line for line in done.text.splitlines() if line.startswith("Note: ")]
    assert [f"Note: {each}" for each in done.facts["notes"]] == said
    return said


@pytest.mark.parametrize("part", ["", "bench"])
def test_figures_of_an_earlier_export_are_said_to_be(part: str, runs: tuple[Path, Path]) -> None:
    old, new = (run / part for run in runs)
    done = called("compare", old, new)
    (said,) = notes(done)
    assert said.startswith(
        f"Note: {new}: its benchmark is of an earlier state of the run (it has not "
    )
    assert done.code == 0  # as the figures alone have it
    recipe = recipe_of(runs[1])
    finish(recipe, "bench", inputs_of(recipe, "bench"))
    assert notes(called("compare", old, new)) == []


def test_results_whose_state_cannot_be_told_are_compared(runs: tuple[Path, Path]) -> None:
    old, new = runs
    (old / "recipe.toml").write_text("of_another_version = 1")
    (new / "bench" / "results.json").replace(new / "results.json")
    assert notes(called("compare", old, new)) == []


ANSWERED = "onnx-int4"
SPEEDS = {"prefill_tokens_per_second", "decode_tokens_per_second", "peak_memory_mib"}


@pytest.fixture
def benches(tmp_path: Path) -> tuple[Path, Path]:
    """Two benchmarks of the same models, one of which solved less and was slower in the second."""
    for name, right in (("old", 1.0), ("new", 0.0)):
        bench = whole_run(tmp_path / name) / "bench"
        docs: list[dict[str, Any]] = [{"id": f"p-{n}", "problem": f"Of {n}?"} for n in range(8)]
        steps = {"steps": [], "faults": [], "replies": [1], "resps": [["7"]], "lost": ""}
        figures = {"marked": right, "seconds": 1.0, "joules": None, "exact_match": right}
        samples = [{"doc_id": n, "doc": doc} | steps | figures for n, doc in enumerate(docs)]
        write(samples_file(bench, ANSWERED, "held-out", "2026-01-01"), samples)
    edit(tmp_path / "new", lambda found: speed_of(found).update(p50=1.0))
    return tmp_path / "old", tmp_path / "new"


def speed_of(found: Any) -> Any:
    (row,) = (row for row in found["rows"] if row["name"] == ANSWERED)
    return row["decode_tokens_per_second"]


def edit(run: Path, change: Any) -> None:
    """Change the results that a run's benchmark has on disk."""
    file = run / "bench" / "results.json"
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def figures(done: Outcome, model: str = ANSWERED) -> dict[str, bool]:
    """Whether each figure of a model that was compared is worse."""
    return {c["figure"]: c["worse"] for c in done.facts["changes"] if c["model"] == model}


def test_what_was_measured_alike_is_compared(benches: tuple[Path, Path]) -> None:
    done = called("compare", *benches)
    assert done.code == 1 and done.facts["notes"] == []
    found = figures(done)
    assert {*found} == {*SPEEDS, "size_mb", "held-out"}
    assert [name for name in found if found[name]] == ["decode_tokens_per_second", "held-out"]


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        ("settings", "threads", 4, "threads (0, then 4)"),
        ("settings", "decode_tokens", 8, "decode_tokens (64, then 8)"),
        ("rows", "prompt_tokens", 32, "prompt_tokens (256, then 32)"),
        ("device", "processor", "Board", "processor (Example CPU @ 2.50GHz, then Board)"),
        ("device", "cores", 8, "cores (2, then 8)"),
        ("device", "gpu", "a GPU", "gpu (not told, then a GPU)"),
        ("device", "browser", "Chromium", "place (in a process, then in a browser)"),
    ],
)
def test_speeds_that_were_timed_otherwise_are_not_compared(
    where: str, key: str, value: object, said: str, benches: tuple[Path, Path]
) -> None:
    def change(found: Any) -> None:
        for part in found["rows"] if where == "rows" else [found[where]]:
            part[key] = value

    edit(benches[1], change)
    done = called("compare", *benches)
    (note,) = notes(done)
    assert note.endswith(
        f", {ANSWERED}, onnx-int8: other {said}: speed and peak memory are not compared."
    )
    assert figures(done) == {"size_mb": False, "held-out": True}


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        ("settings", "max_new_tokens", 99, "max_new_tokens (0, then 99)"),
        ("settings", "max_steps", 3, "max_steps (0, then 3)"),
        ("settings", "samples", 4, "samples (1, then 4)"),
        ("settings", "temperature", 0.8, "temperature (0.0, then 0.8)"),
        ("settings", "shots", 2, "shots (0, then 2)"),
        (
            "rows",
            "told",
            {"asked": "for one whole reply"},
            "way of asking (as its manifest says, then for one whole reply)",
        ),
    ],
)
def test_answers_that_were_asked_for_otherwise_are_not_compared(
    where: str, key: str, value: object, said: str, benches: tuple[Path, Path]
) -> None:
    def change(found: Any) -> None:
        for part in found["rows"] if where == "rows" else [found[where]]:
            part[key] = value

    edit(benches[1], change)
    done = called("compare", *benches)
    assert notes(done)[0].endswith(f"other {said}: answers to held-out are not compared.")
    found = figures(done)
    assert {*found} == {*SPEEDS, "size_mb"} and found["decode_tokens_per_second"]


def test_own_way_replies_have_a_length_of_their_own(benches: tuple[Path, Path]) -> None:
    edit(benches[1], lambda found: found["settings"].update(own_way_tokens=9))
    (note,) = notes(called("compare", *benches))
    assert note == (
        "Note: torch base, torch tuned: other own_way_tokens (512, then 9): "
        "answers to own-way are not compared."
    )


def test_what_is_gone_is_named_and_counts_as_worse(benches: tuple[Path, Path]) -> None:
    old, _ = benches

    def change(found: Any) -> None:
        rows = {row["name"]: row for row in found["rows"]}
        found["rows"].remove(rows["onnx-int8"])
        crashed = dict.fromkeys(SPEEDS) | {"unmeasured": "its process crashed"}
        rows["executorch-8da4w"].update(crashed)
        rows["torch tuned"]["peak_memory_mib"] = None
        del rows["torch base"]["tasks"]["own-way"]

    new = old.with_name("less")
    shutil.copytree(old, new)
    edit(new, change)
    done = called("compare", old / "bench", new / "bench")
    assert done.code == 1
    assert done.fault.removeprefix("worse: ").split("; ") == [
        f"torch base: own-way: was measured, and is not now (it has no answers in {new / 'bench'})",
        "torch tuned: MiB peak memory: was measured, and is not now (the new results have no such "
        "figure)",
        "executorch-8da4w: was measured, and is not now (its process crashed)",
        f"onnx-int8: was measured, and is not now (it is not in {new / 'bench'})",
    ]
    assert figures(done, "onnx-int8") == {"all": True}
    back = called("compare", new, old)  # what is new is no loss
    assert back.code == 0 and back.fault == ""
