"""Commands of others need bubblewrap, whatever file their world came from."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from srl_edge import line
from srl_edge.commands.parser import recipe_of
from srl_edge.data import run_worlds, trajectories
from srl_edge.data.agents import sandbox, shell_families, shell_tasks, worlds
from srl_edge.data.agents.record import record
from srl_edge.data.row import read
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.files import text_sha256
from srl_edge.method.prompt_form import DONE
from srl_edge.method.prompts import first_prompts
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.batches import sample_solutions
from tests.helpers.fakes import TablePolicy

REFUSED = "a repository with commands of others, for which bubblewrap is needed"
FOREIGN = {
    "kind": "shell",
    "goal": [{"file": "a", "says": "y"}],
    "commits": [{"author": "A", "message": "m", "files": {"a": "x\n"}}],
}
World = dict[str, Any]


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without bubblewrap."""
    monkeypatch.setattr(sandbox, "confinement", lambda: sandbox.LIMITS)


@pytest.fixture(scope="module")
def ours() -> Trajectory:
    (task,) = shell_tasks.problems("train", 1, 3)
    return task


def as_read(world: Any) -> World:
    """A world as a file has it."""
    found: World = json.loads(json.dumps(world))
    return found


def goal_that_writes(file: Path) -> list[dict[str, str]]:
    """A check that passes, and names no path for the text's own refusal to find."""
    parts = "+".join(f"chr({ord(sign)})" for sign in str(file))
    return [{"runs": f'python3 -c "open({parts}, chr(119))"'}]


def recipe_at(run: Path, model: str = "none") -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": model},
            "prompt": {"preset": "agent", "think": False},
            "data": {
                "source": "agent-shell",
                "agents": {"problems": 3},
                "validation_problems": 2,
                "test_problems": 2,
            },
            "stages": [{"kind": "rlvr", "steps": 1, "group_size": 4, "max_steps": 2}],
        }
    )


def test_our_own_tasks_go_on(weak: None, ours: Trajectory) -> None:
    for split, seed in (("train", 3), ("validation", 3), ("test", -1)):
        for task in shell_tasks.problems(split, 3, seed):
            with worlds.enter(as_read(task.world)) as world:
                assert world.act("ls")
    with worlds.entered(as_read(ours.world)) as world:
        for step in ours.steps[:-1]:
            world.act(step)
        assert world.fulfilled()


@pytest.mark.parametrize(
    "changed",
    [
        lambda w: FOREIGN,
        lambda w: FOREIGN | {"made": w["made"]},
        lambda w: w | {"goal": [{"runs": "true"}]},
        lambda w: w | {"commits": [*w["commits"], *FOREIGN["commits"]]},
        lambda w: w | {"made": w["made"] | {"seed": 4}},
        lambda w: w | {"made": w["made"] | {"seed": True}},
        lambda w: w | {"made": w["made"] | {"split": "test"}},
        lambda w: w | {"made": w["made"] | {"split": ["train"]}},
        lambda w: w | {"made": "train/3"},
        lambda w: w | {"more": 1},
        lambda w: {key: value for key, value in w.items() if key != "made"},
    ],
)
def test_a_marker_is_no_proof(
    weak: None,
    monkeypatch: pytest.MonkeyPatch,
    ours: Trajectory,
    changed: Callable[[World], World],
) -> None:
    monkeypatch.setattr(shell_families, "_SEARCHED", 50)
    shell_families._of_seed.cache_clear()
    world = changed(as_read(ours.world))
    with pytest.raises(Unusable, match=REFUSED):
        worlds.enter(world)
    with pytest.raises(InputError, match=REFUSED):
        worlds.entered(world)
    shell_families._of_seed.cache_clear()


def test_tasks_are_told_apart_by_several_at_once(weak: None) -> None:
    records = [task.record("train", 8) for _, task in islice(shell_families.tasks("train", 8), 60)]
    shell_families._of_seed.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(shell_families.is_own, reversed(records)))


def test_steps_of_others_are_refused_in_a_world_of_ours_too(weak: None, ours: Trajectory) -> None:
    row = {"problem": "p", "steps": ["ls", DONE], "world": as_read(ours.world)}
    with pytest.raises(Unusable, match=REFUSED):
        read(row, "1")


def test_a_reward_runs_no_command_of_others(weak: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    written = tmp_path / "written"
    task = Trajectory("t", "Do it.", (), "", world=FOREIGN | {"goal": goal_that_writes(written)})
    recipe = recipe_at(tmp_path)
    (prompts,) = first_prompts([task], recipe.prompt.form)
    with pytest.raises(InputError, match=REFUSED):
        sample_solutions(TablePolicy(["done"]), prompts, recipe.stages[0], 0)
    assert not written.exists()


def test_a_run_folder_of_others_is_refused_before_a_stage_begins(
    weak: None, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = recipe_at(tmp_path / "run", str(tiny_model)), tmp_path / "run"
    line.run_stage(recipe, "data")
    for stage in ("train", "headroom", "check", "bench"):
        capsys.readouterr()
        line._announce(recipe, stage)
        said = f"{stage}: commands are kept in their folder by limits alone"
        assert capsys.readouterr().err.count(said) == 1
    marker = json.loads((run / "data" / ".srl-edge").read_text())
    marker["seen"] = {}
    for split in ("train", "validation", "test"):
        file = run / "data" / f"{split}.jsonl"
        rows = [json.loads(text) for text in file.read_text().splitlines()]
        for row in rows:
            row |= {"steps": [DONE], "observations": [""]}
            row["world"]["goal"] = [{"runs": "true"}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        file.write_text(text)
        marker["files"][file.name] = [text_sha256(text)]
    (run / "data" / ".srl-edge").write_text(json.dumps(marker))
    for stage in ("train", "bench"):
        with pytest.raises(InputError, match=f"{stage}: a task is in {REFUSED}"):
            line.run_stage(recipe, stage)


def test_what_stands_in_data_need_be_no_world(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = [{"world": 1}, {"world": {"kind": ["shell"]}}, {"world": None}, {}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "data" / "test.jsonl").write_text(text)
    run_worlds.say(recipe_at(tmp_path), "bench")


@pytest.mark.parametrize("source", ["agent-shell", "agent-home"])
def test_no_code_refuses_what_nothing_confines(
    weak: None, tmp_path: Path, ours: Trajectory, source: str
) -> None:
    run = tmp_path / "run"
    file = tmp_path / "r.toml"
    file.write_text(
        f"output = '{run}'\n[model]\nname = 'm'\n[data]\nsource = '{source}'\n"
        "[prompt]\npreset = 'agent'\n[[stages]]\nkind = 'sft'\nsteps = 1\n"
    )
    if source == "agent-home":  # a model of others acts in a world of ours
        recipe_of(file, [], no_code=True)
        (run / "data").mkdir(parents=True)
        trajectories.write_jsonl(run / "data" / "validation.jsonl", [ours])
    with pytest.raises(InputError, match=r"limits alone.*--no-code refuses"):
        recipe_of(file, [], no_code=True)
    recipe_of(file, [])


def test_no_code_takes_what_bubblewrap_confines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sandbox, "confinement", lambda: sandbox.BUBBLEWRAP)
    run_worlds.require_confined(recipe_at(tmp_path))


def test_requests_are_not_recorded_in_a_repository_of_others(weak: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    written, world = tmp_path / "written", tmp_path / "world.json"
    world.write_text(json.dumps(FOREIGN | {"goal": goal_that_writes(written)}))
    typed = io.StringIO("do it\ncat a\ndone\n")
    with pytest.raises(InputError, match=REFUSED):
        record(world, tmp_path / "rows.jsonl", typed, io.StringIO())
    assert not written.exists()


def test_what_confines_is_said_where_somebody_acts(
    ours: Trajectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if sandbox.is_weak():
        pytest.skip("bubblewrap is not installed, or may not be used here")
    world = tmp_path / "world.json"
    world.write_text(json.dumps(ours.world))
    record(world, tmp_path / "rows.jsonl", io.StringIO(""), io.StringIO())
    said = "data: commands are kept in their folder by bubblewrap"
    assert capsys.readouterr().err.count(said) == 1
