"""The report of a synthetic run: all its parts, what it leaves out, and what it escapes."""

import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from srl_edge.errors import InputError
from srl_edge.method.rewards import matching_blocks
from srl_edge.method.solving import Attempt
from srl_edge.method.types import Trajectory
from srl_edge.recipe import dumps
from srl_edge.report import rows, tables
from srl_edge.report.facts import gather
from srl_edge.report.layout import marked
from srl_edge.report.results import as_sample, samples_file
from srl_edge.report.rows import (
    HELD_OUT,
    Sample,
)
from srl_edge.report.run import as_json, report
from srl_edge.report.sentences import headline, training_words, verdicts
from srl_edge.report.text import counted, megabytes
from tests.helpers.command_line import called
from tests.helpers.reports import (
    EVIL,
    EXPERT,
    SIZES,
    recipe_of,
    rollout,
    whole_run,
    write,
    write_bench,
    write_data,
    write_training,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return whole_run(tmp_path / "run")


def test_a_full_run_has_every_part(run: Path) -> None:
    page = report(recipe_of(run), run)
    assert page == run / "report.html"
    html, markdown = page.read_text(), (run / "report.md").read_text()
    for part in ("training", "bench", "parity", "examples", "data", "method"):
        assert f'id="{part}"' in html
    # Seven figures, each once for wide pages and once for phones.
    assert html.count("<svg") == 14
    for name in SIZES:
        assert f'<th scope="row">{name}</th>' in html
        speed = f"| smollm2-135m-instruct | {SIZES[name]:.0f} MB | {name} | 2 | pp256 |"
        assert (speed in markdown) == (name not in ("torch base", "torch after sft"))
    assert "2 of 3" in html and "119 MB" in html
    assert gather(recipe_of(run), run).missing == {}
    assert html.count("<article") == 3


def test_the_page_needs_nothing_else(run: Path) -> None:
    html = report(recipe_of(run), run).read_text()
    assert not re.search(r"<(script|link|iframe|img)\b|url\(|@import", html)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)


def test_what_models_and_data_sets_wrote_is_escaped(run: Path) -> None:
    rows = [rollout(step, 2, EVIL, True) for step in range(1, 4)]
    write(run / "train" / "rollouts.jsonl", rows)
    html = report(recipe_of(run), run).read_text()
    assert "<script" not in html and "<b>arithmetic" not in html
    assert "wrong &lt;b&gt;arithmetic" in html
    plain = unescape(re.sub("</?mark>", "", html))
    assert "<script>alert('x')</script> & 36 eggs" in plain
    # In Markdown it stands in an indented block.
    lines = (run / "report.md").read_text().splitlines()
    assert all(line.startswith("    ") for line in lines if "<script" in line)


def test_markup_in_names_and_settings_stays_text_in_markdown(run: Path) -> None:
    settings = recipe_of(run)
    model = settings.model.model_copy(update={"name": "<b>m</b>"})
    prompt = settings.prompt.model_copy(update={"system": "a\n```\n<script>\n````\n"})
    report(settings.model_copy(update={"model": model, "prompt": prompt}), run)
    markdown = (run / "report.md").read_text()
    assert markdown.startswith("# &lt;b&gt;m&lt;/b&gt;: report of a run\n")
    before, _, settings_part = markdown.partition("`````toml\n")
    prose = "\n".join(line for line in before.splitlines() if not line.startswith("    "))
    assert not re.search(r"<[a-z/]", prose)
    assert "<script" in settings_part and settings_part.rstrip().endswith("`````")


def test_a_broken_reply_is_shown_whole_and_without_marks(run: Path) -> None:
    html = report(recipe_of(run), run).read_text()
    assert "There are &lt;img src=x&gt; eggs and so on" in html
    assert "cut off at the length limit" in html


def test_missing_parts_are_left_out_and_said(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_data(run)
    write_training(run)
    html = report(recipe_of(run), run).read_text()
    assert "have not been measured yet" in html and f"<code>srl-edge bench {run}</code>" in html
    assert "have not been compared" in html
    missing = json.loads((run / "report.json").read_text())["missing"]
    assert set(missing) == {"artifacts", "parity", "bench"}


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report yet"):
        report(recipe_of(tmp_path), tmp_path)


def test_only_a_warm_up_is_reported(tmp_path: Path) -> None:
    write_training(tmp_path)
    metrics = tmp_path / "train" / "metrics.jsonl"
    lines = [line for line in metrics.read_text().splitlines() if '"sft"' in line]
    # A run that is still going: its last line is not whole.
    metrics.write_text("\n".join([*lines, '{"stage": 1, "ki']))
    (tmp_path / "train" / "rollouts.jsonl").unlink()
    facts = gather(recipe_of(tmp_path), tmp_path)
    assert facts.training and facts.training.reward is None
    assert len(facts.training.steps["sft"]) == 20
    assert report(recipe_of(tmp_path), tmp_path).read_text().count("<svg") == 2


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e308, "x"])
def test_a_figure_that_cannot_be_drawn_is_left_out(run: Path, value: Any) -> None:
    metrics = run / "train" / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    for key in ("loss", "reward", "eval_reward"):
        next(row for row in rows if key in row and row["kind"] == "srl")[key] = value
    next(row for row in rows if row["kind"] == "sft" and "loss" in row)["loss"] = value
    write(metrics, rows)
    whole = gather(recipe_of(run), run).training
    assert whole and len(whole.steps["sft"]) == 19 and len(whole.steps["srl"]) == 39
    assert "NaN" not in (page := report(recipe_of(run), run).read_text()) and "<svg" in page


def test_training_that_did_not_help_is_said(run: Path) -> None:
    metrics = run / "train" / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    for row in rows:
        if row["kind"] == "srl" and row["step"] == 40 and "eval_reward" in row:
            row["eval_reward"], row["eval_best"] = 0.1, 0.0
    write(metrics, rows)
    facts = gather(recipe_of(run), run)
    assert facts.training and facts.training.kept
    assert (facts.training.kept.kind, facts.training.kept.at) == ("srl", 0)
    assert "the kept adapter is the warm-up's" in headline(facts)[1][1]
    assert training_words(facts.training)[-1].startswith("No SRL step improved on that")
    for row in rows:
        row["eval_best"] = float(row["step"] == 0) if "eval_reward" in row else 0.0
    write(metrics, rows)
    facts = gather(recipe_of(run), run)
    assert facts.training and facts.training.untrained
    assert "the kept adapter is the untrained model" in headline(facts)[1][1]
    assert training_words(facts.training)[-1].startswith("No step of any stage improved on that")


def test_steps_count_through_stages_of_a_kind(tmp_path: Path) -> None:
    rows = [
        {
            "stage": stage,
            "kind": "srl",
            "step": step,
            "loss": 0.0,
            "reward": 0.1 * stage,
            "rewards/format/mean": 1.0,
            "rewards/similarity/mean": 0.1,
        }
        for stage in (0, 1)
        for step in (1, 2)
    ]
    write(tmp_path / "train" / "metrics.jsonl", rows)
    facts = gather(recipe_of(tmp_path), tmp_path)
    assert facts.training and [row.at for row in facts.training.steps["srl"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("base", "tuned", "said"),
    [
        (0.125, 0.208, "at n=24: their 95% intervals overlap"),
        (0.0, 0.9, "solves more problems than the base model"),
        (0.9, 0.05, "solves fewer problems than the base model"),
    ],
)
def test_verdicts_follow_the_intervals(run: Path, base: float, tuned: float, said: str) -> None:
    write_bench(run, base, tuned)
    gained, in_own_way, added, compared, *_, shipped = verdicts(gather(recipe_of(run), run).bench)
    assert said in compared
    assert f"from {base:.0%} (torch after sft) to {tuned:.0%} of 24 problems" in added
    assert "onnx-int4 solves" in shipped and "which may be chance" in shipped
    assert ("keeps 90% of what training brought" in shipped) == (tuned > base + 0.5)
    assert f"the tuned model solves {tuned:.0%} of 24 problems" in gained
    assert ("may be chance" in gained) == (abs(tuned - base) < 0.1)
    assert ("Training cost it that." in gained) == (tuned < base - 0.1)
    assert "the base solves 25% of 16 problems and the tuned model 12%" in in_own_way
    assert "\N{MINUS SIGN}12.5 points" in in_own_way
    assert said in unescape(report(recipe_of(run), run).read_text())


def test_lost_problems_are_told(run: Path) -> None:
    write_bench(run, lost=2)
    said = verdicts(gather(recipe_of(run), run).bench)
    assert "onnx-int8: 2 problems were lost with its process" in said[-1]


def test_replies_that_were_cut_off_are_told_and_how_to_mend_it(run: Path) -> None:
    bench = gather(recipe_of(run), run).bench
    assert bench and tables.cut_off(bench, HELD_OUT) == []
    assert "cut off" not in tables.answers(bench, HELD_OUT)[0]
    (tuned,) = (row for row in bench.rows if row.name == "torch tuned")
    tuned.tasks[HELD_OUT] = replace(tuned.tasks[HELD_OUT], cut_off=0.25)
    (said,) = tables.cut_off(bench, HELD_OUT)
    assert said.startswith("torch tuned: 25% of the attempts") and "max_new_tokens" in said
    shown = {row["model"]: row["cut off"] for row in tables.answers(bench, HELD_OUT)}
    assert shown["torch tuned"] == "25.0%" and shown["torch base"] == "0.0%"
    rows.write(run / "bench", bench)
    assert said in unescape(report(recipe_of(run), run).read_text()).replace("\n", " ")


def test_answers_stand_side_by_side_those_first_where_models_differ(run: Path) -> None:
    problems = [Trajectory(f"t-{i}", f"How many <b>{i}</b> eggs?", (), "36") for i in range(3)]
    for name, right in (("torch base", {0}), ("torch tuned", {0, 2})):
        file = samples_file(run / "bench", name, HELD_OUT, "2026-01-01")
        attempts = [
            Attempt(p.id, p.problem, "36", replies=[EVIL], given="36", correct=i in right)
            for i, p in enumerate(problems)
        ]
        samples = [Sample([a], float(a.correct), 0.0, 1.0, None) for a in attempts]
        rows_ = zip(problems, samples, strict=True)
        write(file, [as_sample(i, p, s) for i, (p, s) in enumerate(rows_)])
    html = report(recipe_of(run), run).read_text()
    assert "1 of 3 problems are solved by some models and not by others" in " ".join(html.split())
    summaries = re.findall("<details><summary>How many &lt;b&gt;(.)", html)
    assert summaries == ["2", "0", "1"]
    assert "<script" not in html


def test_examples_come_from_late_steps_and_mark_the_matching_blocks(run: Path) -> None:
    close, middle, broken = gather(recipe_of(run), run).examples
    assert all(e.rollout["step"] > 26 for e in (close, middle, broken))
    reward = close.rollout["reward"]
    assert middle.rollout["reward"] <= reward < 1 and broken.rollout["fault"]
    assert close.blocks == matching_blocks(close.action, EXPERT)
    html = report(recipe_of(run), run).read_text()
    spans = [(a, n) for a, _, n in close.blocks]
    assert marked(close.action, spans) in html
    matched = 2 * sum(n for _, n in spans) / (len(close.action) + len(EXPERT))
    assert matched == pytest.approx(reward)


def test_marked_text_is_the_text() -> None:
    html = marked("a<b>c & d", [(1, 3), (6, 2)])
    assert html == "a<mark>&lt;b&gt;</mark>c <mark>&amp; </mark>d"
    assert unescape(re.sub("</?mark>", "", html)) == "a<b>c & d"


def test_the_facts_survive_their_file(run: Path) -> None:
    report(recipe_of(run), run)
    facts = as_json(gather(recipe_of(run), run))
    assert json.loads((run / "report.json").read_text()) == facts


def test_a_report_elsewhere_leaves_the_run_as_it_is(run: Path, tmp_path: Path) -> None:
    (run / "recipe.toml").write_text(dumps(recipe_of(run)), encoding="utf-8")

    def files() -> dict[str, tuple[int, int]]:
        found = (path for path in run.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    before = files()
    page = called("report", run, "--out", tmp_path / "elsewhere").text
    assert page == str(tmp_path / "elsewhere" / "report.html") and Path(page).is_file()
    called("report", run, "--out", tmp_path / "elsewhere")  # its own is written again
    assert files() == before
    other = shutil.copytree(run, tmp_path / "other")
    (other / "recipe.toml").write_text(dumps(recipe_of(other)), encoding="utf-8")
    with pytest.raises(InputError, match=r"holds srl-edge's report of .*, not its report of .*"):
        called("report", other, "--out", tmp_path / "elsewhere")
    assert json.loads(Path(page).with_suffix(".json").read_text())["recipe"]["output"] == str(run)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes.txt was not written by srl-edge"):
        called("report", run, "--out", tmp_path / "theirs")


def test_one_is_no_plural_and_little_is_not_nothing() -> None:
    assert counted(1, "thread") == "1 thread" and counted(2, "core") == "2 cores"
    assert [megabytes(size) for size in (0.034, 0.4, 1.2, 104.3)] == ["0.034", "0.4", "1", "104"]
