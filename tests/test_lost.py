"""A process whose folder is deleted, renamed or begun anew writes nothing more by its name."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from srl_edge import owned, run_folder
from srl_edge.errors import InputError
from srl_edge.files import replace, scratch_folder
from srl_edge.recipe import Recipe
from srl_edge.run_lock import LINE, STAGE, alone, held
from srl_edge.trainers.loop import checkpoints, logs
from srl_edge.trainers.loop.train import train
from tests.helpers.command_line import write_recipe
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD, make_run

SAID = "run: was deleted, renamed or begun anew while this process worked in it"
DEEDS = ("deleted", "renamed", "begun anew")


def take(run: Path, deed: str) -> None:
    """What somebody does with a run that a process works in."""
    if deed == "deleted":
        shutil.rmtree(run)
    else:
        run.rename(run.with_name("renamed"))
    if deed == "begun anew":
        fresh = run.with_name("fresh")
        make_run(fresh)
        owned.claim(fresh / "train", "training")
        owned.write(fresh / "train" / "metrics.jsonl", "of the new run\n")
        with alone(fresh):
            pass
        fresh.rename(run)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def publish(run: Path) -> None:
    with scratch_folder(run, "adapter") as scratch:
        owned.publish(scratch, run / "adapter")


WRITES: dict[str, Callable[[Path, Recipe], object]] = {
    "a file": lambda run, _: replace(run / "new" / "x.json", "{}"),
    "a result": lambda run, _: owned.write(run / "report.md", "text"),
    "a folder": lambda run, _: owned.claim(run / "parity", "parity"),
    "scratch": lambda run, _: publish(run),
    "set aside": lambda run, _: owned.set_aside(run / "train"),
    "stages": lambda run, recipe: run_folder.begin(recipe, "train"),
    "metrics": lambda run, recipe: logs.log_metrics(run / "train", recipe.stages[0], 0, 1, {}),
    "checkpoint": lambda run, recipe: checkpoints.save(
        run / "train", TablePolicy([BAD, GOOD]), checkpoints.Cursor(), recipe
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_written_into_a_folder_that_is_no_longer_ours(
    what: str, deed: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    recipe = make_run(run)
    owned.claim(run / "train", "training")
    asked = False
    with pytest.raises(InputError, match=SAID), held(run, STAGE):
        take(run, deed)
        before = contents(tmp_path)
        with pytest.raises(InputError, match=SAID):
            WRITES[what](run, recipe)
        assert contents(tmp_path) == before and run.exists() == (deed == "begun anew")
        replace(tmp_path / "beside", "text")  # other folders are not concerned
        asked = True
        raise OSError("whatever failed for that")
    assert asked


def test_a_folder_that_stays_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    with held(Path("run"), LINE), held(Path("run"), STAGE):
        replace(tmp_path / "run" / "a", "text")
        replace(Path("run") / "b", "text")
        with pytest.raises(ValueError, match="its own"):
            raise ValueError("its own")
    take(tmp_path / "run", "renamed")
    replace(tmp_path / "run" / "a", "of nobody who holds it")


class Losing(TablePolicy):
    """A policy whose run is taken at its third update."""

    run: Path
    deed: str
    updates = 0

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        self.updates += 1
        assert self.updates <= 3, "it went on"
        if self.updates == 3:
            take(self.run, self.deed)
        return super().optim_step(learning_rate, max_grad_norm)


@pytest.mark.parametrize("deed", DEEDS)
def test_training_ends_with_its_run(deed: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = make_run(run)
    policy = Losing([BAD, GOOD])
    policy.run, policy.deed = run, deed
    with pytest.raises(InputError, match=SAID), alone(run):
        train(recipe, run, policy)
    if deed == "begun anew":
        assert (run / "train" / "metrics.jsonl").read_text() == "of the new run\n"
        assert not (run / "adapter").exists() and not list(run.glob("train/checkpoint-*"))
    else:
        assert not run.exists()


def test_a_line_ends_with_its_run(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe, run = write_recipe(tmp_path, tiny_model, word_problems), tmp_path / "run"
    words = ["run", recipe, "--stages.0.steps", "100000", "--trainer.checkpoint-every", "1"]
    command = [sys.executable, "-m", "srl_edge", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(run.glob("train/checkpoint-*")) and process.poll() is None:
            time.sleep(0.1)
        run.rename(tmp_path / "renamed")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and SAID in said.splitlines()[-1], said
    assert "Traceback" not in said and not run.exists()
