"""The benchmark of artifacts: what it writes, and what is left of it when it is cut off."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srl_edge import Run
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench import artifacts as of_artifacts
from srl_edge.devices.bench import run as of_run
from srl_edge.devices.bench.artifacts import bench_artifacts
from srl_edge.devices.bench.benchmark import begin_or_go_on
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.bench.run import after_stages, gain
from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.errors import InputError
from srl_edge.recipe import Bench, Recipe
from srl_edge.report.results import samples_file
from srl_edge.report.rows import BASE, HELD_OUT, OWN_WAY, TUNED
from tests.helpers.artifacts import make_run
from tests.helpers.command_line import called, srl_edge


@pytest.fixture(scope="module")
def artifacts(
    trained: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    folder = tmp_path_factory.mktemp("bench")
    for quantization in ("fp32", "int8"):
        run = folder / quantization
        make_run(run, trained, taught_model, word_problems[:4], quantization)
    return [folder / q / "artifacts" / f"onnx-{q}" for q in ("fp32", "int8")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, word_problems: list[dict[str, str]]) -> Path:
    file = tmp_path_factory.mktemp("data") / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in word_problems))
    return file


def flags(data: Path, out: Path, *more: str, limit: int = 6) -> list[str]:
    return [
        "--tasks",
        "animals",
        "--data",
        str(data),
        "--out",
        str(out),
        "--limit",
        str(limit),
        "--max-steps",
        "3",
        "--max-new-tokens",
        "24",
        "--repeats",
        "2",
        "--threads",
        "1",
        *more,
    ]


def rows(out: Path, model: str) -> list[dict[str, Any]]:
    date = json.loads((out / "settings.json").read_text())["date"]
    lines = samples_file(out, model, "animals", date).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_results_are_there_in_every_form(artifacts: list[Path], data: Path, tmp_path: Path) -> None:
    done = srl_edge("bench-tasks", *artifacts, *flags(data, tmp_path))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["onnx-fp32", "onnx-int8"]
    for row in results["rows"]:
        samples = rows(tmp_path, row["name"])
        assert [sample["doc_id"] for sample in samples] == list(range(6))
        facts = row["tasks"]["animals"]
        assert facts["accuracy"] == sum(sample["exact_match"] for sample in samples) / 6
        assert row["decode_tokens_per_second"]["mean"] > 0 and facts["lost"] == 0
        (file,) = (tmp_path / row["name"]).glob("results_*.json")
        theirs = json.loads(file.read_text())["results"]["animals"]
        assert theirs["exact_match,math-verify"] == facts["accuracy"]
    with (tmp_path / "results.csv").open() as file_:
        table = list(csv.DictReader(file_))
    assert [row["model"] for row in table] == ["onnx-fp32", "onnx-int8"]
    assert float(table[0]["size_mb"]) > float(table[1]["size_mb"])
    said = (tmp_path / "report.md").read_text()
    assert "| onnx-int8 | " in said and " | tg64 | " in said
    assert "## animals" in said and "| onnx-int8 | 6 | " in said
    page = (tmp_path / "report.html").read_text()
    assert done.stdout.strip() == str(tmp_path / "report.html")
    assert page.count("<details><summary>") >= 6 and "Answers side by side" in page
    assert "smaller, faster and better at once than" in page and "https:" not in page
    assert "joules a token" in page and "not measured" in page  # nothing tells of energy here
    steps = facts["step_similarity"]
    assert 0 <= steps["similarity"] <= 1 and steps["steps"] == 12
    again = srl_edge("bench-tasks", *artifacts, *flags(data, tmp_path))
    assert again.returncode == 2 and "--resume goes on with it" in again.stderr
    other = srl_edge("bench-tasks", artifacts[0], *flags(data, tmp_path, "--resume"))
    assert other.returncode == 2 and "was begun with other artifacts" in other.stderr


def test_an_artifact_of_a_small_context_is_timed_with_what_it_holds(
    artifacts: list[Path], data: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    shutil.copytree(artifacts[0], small)
    manifest = json.loads((small / "manifest.json").read_text())
    manifest["context_length"] = 200
    (small / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "out"
    done = srl_edge("bench-tasks", small, *flags(data, out, limit=2))
    assert done.returncode == 0, done.stderr
    assert "has a context of 200 tokens, so prompts of 135 tokens are timed" in done.stderr
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert row["prompt_tokens"] == 135 and row["tasks"]["animals"]["lost"] == 0
    manifest["context_length"] = 70
    (small / "manifest.json").write_text(json.dumps(manifest))
    refused = srl_edge("bench-tasks", small, *flags(data, tmp_path / "none", limit=2))
    assert refused.returncode == 2 and "too few for a prompt and 64 tokens" in refused.stderr


def test_attempts_are_drawn_and_averaged(artifacts: list[Path], data: Path, tmp_path: Path) -> None:
    more = ("--samples", "3", "--temperature", "1.5", "--soak", "0.02")
    assert srl_edge("bench-tasks", artifacts[0], *flags(data, tmp_path, *more)).returncode == 0
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    samples = rows(tmp_path, "onnx-fp32")
    assert all(len(sample["resps"][0]) == len(sample["steps"]) == 3 for sample in samples)
    assert any(len(set(sample["resps"][0])) > 1 for sample in samples)
    shares = [sample["exact_match"] for sample in samples]
    assert row["tasks"]["animals"]["accuracy"] == pytest.approx(sum(shares) / 6)
    assert {round(3 * share) / 3 for share in shares} == set(shares)
    (points,) = json.loads((tmp_path / "soak.json").read_text()).values()
    assert len(points) > 1 and all(point["tokens_per_second"] > 0 for point in points)
    page = (tmp_path / "report.html").read_text()
    assert "Over time" in page and "Tokens a second while each model" in page
    again = srl_edge("bench-tasks", artifacts[0], *flags(data, tmp_path / "again", *more[:4]))
    assert again.returncode == 0
    assert [s["resps"] for s in rows(tmp_path / "again", "onnx-fp32")] == [
        s["resps"] for s in samples
    ]
    greedy = srl_edge("bench-tasks", artifacts[0], *flags(data, tmp_path / "no", "--samples", "3"))
    assert greedy.returncode == 2 and "samples above 1 need a temperature" in greedy.stderr


class Failing:
    """This computer, but for models of one name, which it cannot load."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        if name == self.name:
            return Session(name, [sys.executable, "-c", "raise SystemExit('no such operator')"])
        return local.open_session(name, kind, folder, threads)


def test_a_model_that_does_not_load_is_marked_and_tried_again(
    artifacts: list[Path], tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    problems = {"animals": list(parse_rows(word_problems[:4], ParseReport()))}
    settings = Bench(max_steps=2, max_new_tokens=24, repeats=1, threads=1, step_prompts=2)
    bench_artifacts(artifacts, problems, settings, Failing("onnx-int8"), tmp_path)
    there, lost = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert there["decode_tokens_per_second"] and not there["unmeasured"]
    assert lost["decode_tokens_per_second"] is None
    assert lost["unmeasured"].endswith("ended (exit code 1): no such operator")
    assert lost["tasks"]["animals"]["lost"] == 4
    with (tmp_path / "results.csv").open() as file:
        assert list(csv.DictReader(file))[1]["decode_tokens_per_second_mean"] == "not measured"
    for name in ("report.md", "report.html"):
        assert "no such operator" in (tmp_path / name).read_text()
    bench_artifacts(artifacts, problems, settings, local, tmp_path, resume=True)
    with pytest.raises(InputError, match="begun with other device"):
        bench_artifacts(
            artifacts, problems, settings, local, tmp_path, resume=True, device_name="ssh:board"
        )
    again, found = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert again == there
    assert found["decode_tokens_per_second"] and found["tasks"]["animals"]["lost"] == 0
    for _ in range(2):  # nothing was measured, so there is nothing to resume
        with pytest.raises(RunnerLost, match="no such operator"):
            alone = Failing("onnx-fp32")
            bench_artifacts(artifacts[:1], problems, settings, alone, tmp_path / "none")


def test_what_was_killed_goes_on(artifacts: list[Path], data: Path, tmp_path: Path) -> None:
    """The speeds and every finished sample are kept; a line that was cut off is not."""
    many = tmp_path / "many.jsonl"
    many.write_text(data.read_text(encoding="utf-8") * 25)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "srl_edge", "bench-tasks", str(artifacts[0])]
    running = subprocess.Popen([*command, *flags(many, out, limit=600)], start_new_session=True)
    found: list[Path] = []
    while running.poll() is None and not (found and found[0].read_text().count("\n") >= 2):
        time.sleep(0.01)
        found = list(out.glob("onnx-fp32/samples_*.jsonl"))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    kept = found[0].read_text().split("\n")[:-1]
    assert 2 <= len(kept) < 600
    speeds = (out / "speeds.json").read_text()
    with found[0].open("a") as file:
        file.write('{"doc_id": 599, "doc": {"id')
    done = srl_edge("bench-tasks", artifacts[0], *flags(many, out, "--resume", limit=600))
    assert done.returncode == 0, done.stderr
    assert (out / "speeds.json").read_text() == speeds
    samples = rows(out, "onnx-fp32")
    assert [json.dumps(row, ensure_ascii=False) for row in samples[: len(kept)]] == kept
    assert sorted(row["doc_id"] for row in samples) == list(range(600))


def test_a_regression_ends_with_exit_code_1(
    artifacts: list[Path], data: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    assert srl_edge("bench-tasks", artifacts[0], *flags(data, old)).returncode == 0
    shutil.copytree(old, new)
    same = srl_edge("compare", old, new)
    assert same.returncode == 0 and "0 lost, 0 won (p = 1.000)" in same.stdout
    samples = rows(new, "onnx-fp32")
    (file,) = new.glob("onnx-fp32/samples_*.jsonl")
    for edited in ({"problem": "another?"}, {"answer": "7 apples"}):
        other = [row | {"doc": row["doc"] | edited} for row in samples]
        file.write_text("".join(json.dumps(row) + "\n" for row in other))
        refused = srl_edge("compare", old, new)
        assert refused.returncode == 2 and "other problems of animals" in refused.stderr
    file.write_text("".join(json.dumps(row) + "\n" for row in samples))
    for folder, correct in ((old, 1.0), (new, 0.0)):
        (file,) = folder.glob("onnx-fp32/samples_*.jsonl")
        changed = [row | {"exact_match": correct} for row in rows(folder, "onnx-fp32")]
        file.write_text("".join(json.dumps(row) + "\n" for row in changed))
    worse = srl_edge("compare", old, new)
    assert worse.returncode == 1
    assert "worse: onnx-fp32: animals: 6 -> 0 of 6 solved, 6 lost, 0 won" in worse.stderr
    assert srl_edge("compare", new, old).returncode == 0
    changes = json.loads(srl_edge("compare", old, new, "--json").stdout)["changes"]
    (answers,) = (change for change in changes if change["figure"] == "animals")
    assert [answers[key] for key in ("before", "after", "of", "lost", "worse")] == [
        6,
        0,
        6,
        6,
        True,
    ]
    assert len(answers["flipped"]) == 6
    results = json.loads((old / "results.json").read_text())
    results["rows"][0]["decode_tokens_per_second"]["p50"] *= 2
    (old / "results.json").write_text(json.dumps(results))
    slower = srl_edge("compare", new, old)
    assert slower.returncode == 0
    slower = srl_edge("compare", old, new, "--slower", "0.4")
    assert slower.returncode == 1 and "tokens/s decode (-50%)" in slower.stderr
    nothing = srl_edge("compare", old, tmp_path)
    assert nothing.returncode == 2 and "no results.json" in nothing.stderr


def test_mistakes_are_one_sentence(artifacts: list[Path], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    unknown = srl_edge("bench-tasks", artifacts[0], "--tasks", "gsm9k", "--out", out)
    assert unknown.returncode == 2 and "task 'gsm9k' is not known" in unknown.stderr
    twice = srl_edge("bench-tasks", artifacts[0], artifacts[0], *flags(data, out))
    assert twice.returncode == 2 and "named twice" in twice.stderr
    assert not out.exists()
    out.mkdir()
    (out / "results.csv").write_text("mine")
    theirs = srl_edge("bench-tasks", artifacts[0], *flags(data, out))
    assert theirs.returncode == 2 and "results.csv was not written by srl-edge" in theirs.stderr
    assert [file.read_text() for file in out.iterdir()] == ["mine"]


def test_the_gain_is_over_the_base_asked_in_its_best_way() -> None:
    scores: dict[tuple[str, str], list[float]] = {
        (BASE, HELD_OUT): [0, 0, 0, 0, 0, 1],
        (BASE, OWN_WAY): [1, 1, 0, 0],
        (TUNED, HELD_OUT): [1, 0, 0, 0, 1, 1],
        (TUNED, OWN_WAY): [0, 1, 0, 0],
    }
    found = gain(scores)
    # On the four problems that both ways were asked, and not 1 of 6 to 3 of 6.
    best = found["best"]
    assert (best.base, best.tuned, best.problems) == (0.5, 0.25, 4)
    assert best.base_asked == "in its own way" and (best.lost, best.won) == (1, 0)
    assert best.difference.mean == -0.25 and best.difference.low < -0.25
    assert (found["own_way"].base, found["own_way"].tuned) == (0.5, 0.25)
    once = gain({key: scores[key] for key in ((BASE, HELD_OUT), (TUNED, HELD_OUT))})
    assert once["best"].problems == 6 and "own_way" not in once
    assert once["best"].base_asked == "as the run asks"


def test_what_the_last_stage_added_and_what_exporting_cost_are_paired_too() -> None:
    after = "torch after sft"
    scores: dict[tuple[str, str], list[float]] = {
        (BASE, HELD_OUT): [0, 0, 0, 0],
        (after, HELD_OUT): [1, 0, 0, 0],
        (TUNED, HELD_OUT): [1, 1, 1, 0],
        ("onnx-int4", HELD_OUT): [0, 1, 1, 0],
    }
    found = gain(scores, [after], ["onnx-int4"])
    assert (found["last_stage"].base, found["last_stage"].tuned) == (0.25, 0.75)
    assert (found["last_stage"].won, found["last_stage"].lost) == (2, 0)
    assert found["last_stage"].base_asked == after
    assert (found["onnx-int4"].base, found["onnx-int4"].tuned) == (0.75, 0.5)


def test_stages_before_the_last_are_named_by_their_kind(tmp_path: Path) -> None:
    kinds = ["sft", "srl", "srl", "rlvr"]
    recipe = Recipe.model_validate(
        {
            "output": str(tmp_path),
            "model": {"name": "none"},
            "stages": [{"kind": kind, "steps": 1} for kind in kinds],
        }
    )
    assert after_stages(recipe, tmp_path) == {
        "torch after sft": tmp_path / "train" / "stage-0-sft",
        "torch after srl 2": tmp_path / "train" / "stage-1-srl",
        "torch after srl 3": tmp_path / "train" / "stage-2-srl",
    }


@pytest.mark.parametrize(
    ("as_asked", "own", "base", "way"),
    [
        ([0, 0, 0, 0], [1, 0, 0, 0], 0.25, "in its own way"),  # a form that it has never seen
        ([1, 1, 0, 0], [0, 0, 0, 1], 0.5, "as the run asks"),
        ([1, 0, 0, 0], [0, 1, 0, 0], 0.25, "as the run asks"),
        ([1, 1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1], 0.75, "in its own way"),
    ],
)
def test_the_base_is_asked_in_the_way_that_it_answers_best(
    as_asked: list[float], own: list[float], base: float, way: str
) -> None:
    tuned = [1.0, 0.0, 0.0, 0.0] * 2
    scores = {
        (BASE, HELD_OUT): as_asked,
        (BASE, OWN_WAY): own,
        (TUNED, HELD_OUT): tuned[: len(as_asked)],
        (TUNED, OWN_WAY): own,
    }
    best = gain(scores)["best"]
    assert (best.base, best.base_asked) == (base, way)
    assert best.difference.mean == pytest.approx(0.25 - base) and best.problems == 4


def test_a_run_goes_on_with_a_benchmark_that_was_cut_off_and_else_starts_over(
    tmp_path: Path,
) -> None:
    out = tmp_path / "bench"
    date = begin_or_go_on(out, {"settings": 1})
    (out / "speeds.json").write_text("{}")
    assert begin_or_go_on(out, {"settings": 1}) == date and (out / "speeds.json").is_file()
    begin_or_go_on(out, {"settings": 2})
    assert not (out / "speeds.json").exists()
    (out / "results.json").write_text("{}")  # it ended, so it is measured anew
    begin_or_go_on(out, {"settings": 2})
    assert not (out / "results.json").exists()


class CutOff(Exception):
    """What ends a benchmark."""


def cut_off(*asked: Any) -> None:
    """In place of `benchmark`: something is measured, and then it ends."""
    (out,) = (each for each in asked if isinstance(each, Path))
    (out / "speeds.json").write_text("{}")
    raise CutOff


@pytest.mark.parametrize(
    ("file", "old", "new", "other"),
    [
        ("rows", "1 + 1?", "1 + 1, is?", "tasks"),
        ("rows", '"answer": "4"', '"answer": "5"', "tasks"),
        ("rows", "So it is", "That makes", "tasks"),  # the steps that a model's are likened to
        ("shots", "9 + 1?", "9 + 1, is?", "shots"),
        ("shots", "So it is", "That makes", "shots"),
    ],
)
def test_other_rows_of_the_same_ids_are_not_gone_on_with(
    file: str,
    old: str,
    new: str,
    other: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_artifacts, "benchmark", cut_off)
    files = {name: tmp_path / f"{name}.jsonl" for name in ("rows", "shots")}
    for name, numbers in (("rows", (1, 2, 3)), ("shots", (9,))):
        made = [
            {
                "problem": f"{n} + 1?",
                "other": f"{n} + 0?",
                "steps": ["Count.", f"So it is\n#### {n + 1}"],
                "answer": f"{n + 1}",
            }
            for n in numbers
        ]
        files[name].write_text("".join(json.dumps(row) + "\n" for row in made))
    flags = ["--tasks", "mine", "--data", files["rows"], "--limit", 3, "--out", tmp_path / "out"]
    flags += ["--shots", 1, "--shots-data", files["shots"]]
    for more in ((), ("--resume",)):
        with pytest.raises(CutOff):  # it goes on
            called("bench-tasks", tiny_model, *flags, *more)
    with pytest.raises(InputError, match="out: was begun with other tasks; name another --out"):
        called(
            "bench-tasks",
            tiny_model,
            *flags,
            "--resume",
            "--columns",
            "problem=other",
            "answer=answer",
        )
    assert old in files[file].read_text()
    files[file].write_text(files[file].read_text().replace(old, new))
    with pytest.raises(InputError, match=f"out: was begun with other {other}; name another --out"):
        called("bench-tasks", tiny_model, *flags, "--resume")


def test_a_run_is_not_measured_elsewhere_in_place_of_another(
    artifacts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_artifacts, "benchmark", cut_off)
    shutil.copytree(artifacts[0].parents[1], tmp_path / "run")
    run = Run(
        Recipe.model_validate(
            {
                "output": str(tmp_path / "run"),
                "model": {"name": "none"},
                "export": {"artifacts": ["onnx-fp32"]},
                "stages": [{"kind": "sft", "steps": 1}],
            }
        )
    )
    for _ in range(2):  # it goes on
        with pytest.raises(CutOff):
            run.bench_on("local", tmp_path / "out")
    data = tmp_path / "run" / "data" / "test.jsonl"
    first, *others = [json.loads(line) for line in data.read_text().splitlines()]
    first["answer"] += "1"
    data.write_text("".join(json.dumps(row) + "\n" for row in (first, *others)))
    with pytest.raises(InputError, match="was begun with other tasks"):
        run.bench_on("local", tmp_path / "out")


def _flip(file: Path) -> None:
    """Change the last byte, and nothing else."""
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ("judge.py", lambda file: file.write_text("def same(a, b): return True")),
        ("base/model.safetensors", _flip),
        ("run/merged/model.safetensors", _flip),
        ("run/train/stage-0-sft/adapter_model.safetensors", _flip),
    ],
)
def test_a_runs_benchmark_does_not_go_on_with_what_others_measured_or_judged(
    changed: str,
    change: Callable[[Path], object],
    artifacts: list[Path],
    taught_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_run, "benchmark", cut_off)
    run = shutil.copytree(artifacts[0].parents[1], tmp_path / "run")
    base = shutil.copytree(taught_model, tmp_path / "base")
    shutil.copytree(run / "adapter", run / "train" / "stage-0-sft")
    (tmp_path / "judge.py").write_text("def same(a, b): return False")
    recipe = Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": str(base)},
            "prompt": {"verifier": f"{tmp_path / 'judge.py'}:same"},
            "export": {"artifacts": ["onnx-fp32"]},
            "stages": [{"kind": "sft", "steps": 1}] * 2,
        }
    )
    for _ in range(2):
        with pytest.raises(CutOff):
            of_run.bench(recipe, run)
    assert not (run / "bench-earlier").exists()  # it went on
    change(tmp_path / changed)
    with pytest.raises(CutOff):
        of_run.bench(recipe, run)
    assert (run / "bench-earlier" / "speeds.json").is_file()


def test_what_is_read_beside_a_program_counts_as_the_model(tmp_path: Path) -> None:
    program, tokenizer = tmp_path / "model.pte", tmp_path / "tokenizer_config.json"
    program.write_bytes(b"program")
    tokenizer.write_text("{}")
    model = Model("model", "executorch:64", program, "executorch", tokenizer=tmp_path)
    before = model.contents
    tokenizer.write_text('{"chat_template": "other"}')
    assert model.contents != before


def test_results_of_another_version_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"rows": [{"name": "onnx-int8"}]}')
    done = srl_edge("compare", tmp_path, tmp_path)
    assert done.returncode == 2 and "run the benchmark again" in done.stderr
    assert len(done.stderr.splitlines()) == 1
