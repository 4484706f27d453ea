"""Two runs beside each other: settings, training, answers problem by problem; and a page of it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from srl_edge.errors import InputError
from srl_edge.method.solving import Attempt
from srl_edge.method.types import Trajectory
from srl_edge.recipe import dumps
from srl_edge.report import rows
from srl_edge.report.results import as_sample, samples_file
from srl_edge.report.rows import Answers, BenchResults, ModelRow, Sample, Spread
from srl_edge.report.statistics import bootstrap_interval, difference
from srl_edge.watch import comparison, page
from srl_edge.watch.run import Run
from tests.helpers.command_line import called
from tests.helpers.runs import make_run
from tests.helpers.watching import add, asked, served, trained, validated

DATE = "2026-01-01"


def bench(
    run: Path,
    name: str,
    solved: Sequence[bool],
    first: int = 0,
    speed: float = 50,
    threads: int = 2,
    temperature: float = 0.0,
) -> None:
    """Results of one model that solved some of the problems from `first` on."""
    scores = [float(each) for each in solved]
    share = sum(scores) / len(scores)
    answers = Answers(
        len(solved), 0, share, bootstrap_interval(scores), share, 1.0, None, 9.0, None
    )
    row = ModelRow(
        name,
        "onnx",
        90.0,
        1.0,
        None,
        None,
        Spread(speed, 1.0, speed, speed),
        None,
        32,
        200.0,
        None,
        None,
        {},
        tasks={"held-out": answers},
    )
    device = {"processor": "Made CPU", "threads": threads}
    settings = {"threads": threads, "temperature": temperature}
    rows.write(run / "bench", BenchResults(DATE, device, settings, [row]))
    samples = []
    for at, right in enumerate(solved, first):
        problem = Trajectory(f"p-{at}", f"problem {at}", ("a", "b"), "3")
        attempt = Attempt(problem.id, problem.problem, "3", ["a"], ["a"], correct=right)
        samples.append(as_sample(at, problem, Sample([attempt], right, right, 1.0, None)))
    add(samples_file(run / "bench", name, "held-out", DATE), *samples)


@pytest.fixture
def both(tmp_path: Path) -> list[Path]:
    """Two trained runs that differ in the learning rate and the steps of their second stage."""
    for name, steps, rate, reward in (("old", 8, 0.02, 0.5), ("new", 9, 0.01, 0.75)):
        run = tmp_path / name
        made = make_run(run, steps=steps, learning_rate=rate)
        (run / "recipe.toml").write_text(dumps(made))
        log = run / "train" / "metrics.jsonl"
        add(log, trained(1, 0, "sft"), validated(0), *(trained(n, reward=reward) for n in (1, 2)))
        add(log, validated(2, eval_similarity=reward))
    return [tmp_path / "old", tmp_path / "new"]


def sides(both: Sequence[Path]) -> list[comparison.Side]:
    runs = [Run(path) for path in both]
    return page.sides(runs, [run.follow() for run in runs])


def test_only_settings_that_differ_are_listed(both: list[Path]) -> None:
    assert comparison.settings(*sides(both)) == [
        {"setting": "stages.1.steps", "old": "8", "new": "9"},
        {"setting": "stages.1.learning_rate", "old": "0.02", "new": "0.01"},
    ]
    old = sides(both)[0]
    assert comparison.settings(old, old) == []
    (both[1] / "recipe.toml").unlink()
    assert comparison.settings(*sides(both)) == []


def test_what_training_gave_is_side_by_side(both: list[Path]) -> None:
    table = {row["training"]: (row["old"], row["new"]) for row in comparison.trained(*sides(both))}
    assert table["steps of SRL"] == ("2", "2")
    assert table["reward, last quarter of SRL"] == ("0.50", "0.75")
    assert table["similarity there"] == ("0.500", "0.750")


def test_answers_are_compared_problem_by_problem(both: list[Path]) -> None:
    before, after = [True, False, False, True] * 5, [True, True, True, False] * 5
    bench(both[0], "onnx-int4", before, speed=50)
    bench(both[1], "onnx-int4", after, speed=75)
    found = comparison.results(*sides(both))
    (row,) = found.tables["Solved: held-out"]
    assert row["old"].startswith("50.0%") and row["new"].startswith("75.0%")
    assert (row["problems in both"], row["lost"], row["won"]) == ("20", "5", "10")
    expected = difference([float(x) for x in before], [float(x) for x in after])
    assert row["difference"].startswith(f"+{100 * expected.mean:.1f}\N{NO-BREAK SPACE}points")
    assert row["difference"].endswith("may be chance") == expected.may_be_chance
    (speed,) = found.tables["Size and speed"]
    assert speed["decode, tokens/s: old"] == "50.0" and speed["decode, tokens/s: new"] == "75.0"


def test_only_problems_that_both_were_asked_are_paired(both: list[Path]) -> None:
    bench(both[0], "onnx-int4", [True] * 10)
    bench(both[1], "onnx-int4", [False] * 10, first=6)
    (row,) = comparison.results(*sides(both)).tables["Solved: held-out"]
    assert (row["problems in both"], row["lost"], row["won"]) == ("4", "4", "0")


def test_figures_that_were_measured_otherwise_are_said_to_be(both: list[Path]) -> None:
    bench(both[0], "onnx-int4", [True] * 4)
    bench(both[1], "onnx-int4", [True] * 4, threads=1, temperature=0.5)
    assert comparison.results(*sides(both)).said[1:] == [
        "Speed and peak memory say little: other threads (2, then 1).",
        "Answers to held-out say little: other temperature (0.0, then 0.5).",
    ]


def test_without_results_or_a_model_in_common_it_is_said(both: list[Path]) -> None:
    found = comparison.results(*sides(both))
    assert not found.tables and "No benchmark is in old and new" in found.said[0]
    bench(both[0], "onnx-int4", [True] * 4)
    assert "No benchmark is in new;" in comparison.results(*sides(both)).said[0]
    bench(both[1], "onnx-int8", [True] * 4)
    assert comparison.results(*sides(both)).said == ["No model is in both benchmarks."]


def test_the_page_of_two_has_the_curves_of_both(both: list[Path]) -> None:
    with served([Run(path) for path in both]) as url:
        text = asked(url)[1]
        labels = re.findall(r'class="label c(\d)"[^>]*>(old|new)<', text)
        assert labels[:2] == [("1", "old"), ("2", "new")]
        assert "stages.1.learning_rate" in text and "Rollouts of new" in text
        bench(both[0], "onnx-int4", [True] * 4)
        bench(both[1], "onnx-int4", [True] * 4)
        assert "Solved: held-out" in asked(f"{url}/live?edition=x")[1]
        assert asked(f"{url}/rollouts?run=1")[0] == 200
        assert asked(f"{url}/rollouts?run=2")[0] == 400


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        add(tmp_path / parent / "run" / "train" / "metrics.jsonl", trained(1))
    runs = [Run(tmp_path / parent / "run") for parent in ("a", "b")]
    assert page.names(runs) == ["a/run", "b/run"] and page.names(runs[:1]) == ["run"]
    assert page.names([runs[0], runs[0]]) == ["run", "run, again"]


def test_a_page_to_hand_on_needs_nothing_else(both: list[Path], tmp_path: Path) -> None:
    bench(both[0], "onnx-int4", [True, False] * 4)
    bench(both[1], "onnx-int4", [True, True] * 4)
    out = tmp_path / "both.html"
    assert called("watch", *both, "--out", out).text == str(out)
    text = out.read_text()
    assert "<script" not in text and "http" not in re.sub(r'http-equiv="[^"]+"', "", text)
    assert not re.search(r"(?:src|href)=\"(?!#)", text)
    assert "default-src 'none'" in text and "stages.1.steps" in text and "won" in text
    with pytest.raises(InputError, match="is there already"):
        called("watch", *both, "--out", out)
    assert out.read_text() == text


def test_a_page_of_nothing_is_not_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="nothing to compare yet"):
        called("watch", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
    with pytest.raises(InputError, match="--out goes with two runs"):
        called("watch", tmp_path / "a", "--out", tmp_path / "x.html")


def test_how_runs_stand_is_json_for_programs(both: list[Path]) -> None:
    one = called("watch", both[0], "--json").facts
    assert one["status"] == "stopped" and one["step"]["reward"] == 0.5
    two = called("watch", *both, "--json").facts
    assert [each["validation"]["eval_similarity"] for each in two] == [0.5, 0.75]
    assert json.loads(json.dumps(two)) == two
