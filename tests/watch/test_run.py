"""How a run stands: not begun, starting, training, stopped, finished, extended, begun anew."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srl_edge.errors import InputError
from srl_edge.recipe import Recipe, dumps
from srl_edge.watch import page
from srl_edge.watch.run import Run
from tests.helpers.runs import make_run
from tests.helpers.watching import add, rollout, trained, validated


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Of a run with data: two sft steps, then eight of srl."""
    made = make_run(tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text(dumps(made))
    return made


def hold(run: Path, process: int) -> None:
    (run / ".stage.json").write_text(json.dumps({"process": process, "since": "10:00:00"}))


def done(run: Path, *stages: str) -> None:
    (run / "stages.json").write_text(json.dumps({stage: {} for stage in stages}))


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path) -> None:
    made = make_run(tmp_path / "other")
    file = tmp_path / "recipe.toml"
    file.write_text(dumps(made.model_copy(update={"output": str(tmp_path / "run")})))
    run = Run(file)
    state = run.follow()
    assert state.status == "waiting" and state.now is None and state.age is None
    assert [(s.kind, s.done, s.steps) for s in state.stages] == [("sft", 0, 2), ("srl", 0, 8)]
    assert f"`srl-edge train {file}` begins it" in page.live([run], [state], [])
    (tmp_path / "run").mkdir()
    hold(tmp_path / "run", os.getpid())
    assert run.follow().status == "starting"
    add(tmp_path / "run" / "train" / "metrics.jsonl", trained(1, 0, "sft"))
    assert run.follow().status == "training"


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "recipe.toml"):
        with pytest.raises(InputError, match=r"no run is there|no such recipe"):
            Run(path)


def test_the_time_that_is_left_goes_by_the_newest_steps(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    hold(recipe.run, os.getpid())
    add(log, trained(1, 0, "sft", step_time=900.0), trained(1), validated(1), trained(2))
    state = run.follow()
    assert state.status == "training" and state.now is not None
    assert (state.now.kind, state.now.done, state.now.steps) == ("srl", 2, 8)
    # Two seconds a step, of which some have passed.
    assert state.left is not None and 6 * 2.0 - 5 < state.left <= 6 * 2.0
    assert "about 1" in page.live([run], [state], []) and "left in this stage" in page.live(
        [run], [state], []
    )


def test_a_process_that_ended_works_no_more(recipe: Recipe) -> None:
    run = Run(recipe.run)
    add(recipe.run / "train" / "metrics.jsonl", trained(1))
    assert run.follow().status == "stopped"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    hold(recipe.run, ended.pid)
    assert run.follow().status == "stopped"
    for never in (-1, 0, 10**12, 10**30):
        hold(recipe.run, never)
        assert run.follow().status == "stopped"
    # An id that another process has had since the note was written.
    hold(recipe.run, os.getpid())
    os.utime(recipe.run / ".stage.json", (1, 1))
    assert run.follow().status == "stopped"


def test_figures_that_cannot_be_drawn_are_left_out(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    odd = {"loss": "x", "keep_rate": float("nan"), "step_time": float("inf"), "reward": 1e308}
    add(log, trained(1), json.loads(json.dumps(trained(2))) | odd, trained(3))
    state = run.follow()
    assert [row["step"] for row in state.rows] == [1, 2, 3]
    assert not odd.keys() & state.rows[1].keys()


def test_a_finished_run_is_extended(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    add(log, *(trained(step) for step in range(1, 9)))
    done(recipe.run, "data", "train")
    finished = run.follow()
    assert finished.status == "finished" and finished.left is None
    before = run.edition
    assert run.follow() and run.edition == before  # nothing new
    first, second = recipe.stages
    longer = (first, second.model_copy(update={"steps": 20}))
    (recipe.run / "recipe.toml").write_text(dumps(recipe.model_copy(update={"stages": longer})))
    done(recipe.run, "data")
    hold(recipe.run, os.getpid())
    state = run.follow()
    assert state.status == "training" and run.edition > before
    assert state.now is not None and (state.now.done, state.now.steps) == (8, 20)


def test_a_run_that_begins_anew_shows_only_what_is_new(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    add(log, *(trained(step) for step in range(1, 6)))
    add(recipe.run / "train" / "rollouts.jsonl", rollout(1), rollout(2))
    assert len(run.follow().rows) == 5 and len(run.rollouts.entries) == 2
    log.unlink()
    (recipe.run / "train" / "rollouts.jsonl").unlink()
    assert run.follow().rows == [] and run.rollouts.entries == []
    add(log, trained(1, 0, "sft"))
    assert [row["kind"] for row in run.follow().rows] == ["sft"]


def test_a_run_that_goes_on_from_its_checkpoint_has_no_step_twice(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    add(log, *(trained(step) for step in range(1, 5)))
    size = log.stat().st_size
    add(log, trained(5), trained(6))
    assert len(run.follow().rows) == 6
    os.truncate(log, size)
    add(log, trained(5, step_time=3.0), trained(6, step_time=3.0), trained(7, step_time=3.0))
    assert [row["step"] for row in run.follow().steps] == [1, 2, 3, 4, 5, 6, 7]


def test_alarms_are_those_of_the_terminal(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    add(log, *(trained(step) for step in range(1, 6)))
    assert run.follow().alarms == []
    add(log, *(trained(step, **{"completions/mean_length": 90.0}) for step in range(6, 12)))
    add(log, *(validated(11, eval_own_accuracy=share, eval_own_length=40.0) for share in (1, 0)))
    said = run.follow().alarms
    assert any("more than twice, as long as at the start" in each for each in said)
    # Twelve held-out problems are there, and the recipe asks for more.
    assert any("solves 0% of 12 held-out problems, 100% before training" in each for each in said)


def test_steps_of_a_stage_in_passes_are_counted(recipe: Recipe) -> None:
    first, second = recipe.stages
    passes = second.model_copy(update={"steps": None, "epochs": 2.0})
    other = recipe.model_copy(update={"stages": (first, passes)})
    (recipe.run / "recipe.toml").write_text(dumps(other))
    stage = Run(recipe.run).follow().stages[1]
    # Twelve trajectories, one target each as in the paper, four prompts a step.
    assert stage.steps == 2 * 12 // 4
    (recipe.run / "data" / "train.jsonl").unlink()
    assert Run(recipe.run).follow().stages[1].steps is None


def test_what_cannot_be_read_is_said_on_the_page(recipe: Recipe) -> None:
    run, log = Run(recipe.run), recipe.run / "train" / "metrics.jsonl"
    add(log, trained(1))
    with log.open("a") as out:
        out.write("no row\n")
    (recipe.run / "recipe.toml").write_text("output = ")
    time.sleep(0.01)
    state = run.follow()
    assert len(state.rows) == 1 and run.recipe is not None
    assert "not TOML" in state.warnings[0] and "metrics.jsonl" in state.warnings[1]
    assert "metrics.jsonl: the line at byte" in page.live([run], [state], [])


def test_a_run_without_a_recipe_is_shown_too(tmp_path: Path) -> None:
    add(tmp_path / "train" / "metrics.jsonl", trained(3))
    state = Run(tmp_path).follow()
    assert state.now is not None and (state.now.done, state.now.steps) == (3, None)
    assert state.status == "stopped" and state.left is None
