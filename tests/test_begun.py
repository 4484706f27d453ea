"""A stage that began and did not end well: what was current before is so again, once it does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srl_edge import line, owned
from srl_edge.errors import InputError
from srl_edge.processes import Ended
from srl_edge.recipe import Recipe
from srl_edge.run_folder import STAGES, begin, outdated
from tests.helpers.runs import noted_run

NOT_DONE = "it has no finished result yet"
KILLED = """
import os, signal, sys
from pathlib import Path
from srl_edge import line, recipe
line._stage = lambda name: lambda settings, run: os.kill(os.getpid(), signal.SIGKILL)
settings = recipe.load(Path(sys.argv[1]))
line._run_stage(settings, settings.run, sys.argv[2])
"""


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A run whose stages are all done, and which make the same when they run again."""
    monkeypatch.setattr(line, "_stage", lambda name: lambda settings, run: run)
    return noted_run(tmp_path)


def fail(done: Recipe, name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stage run, and end before its end."""
    if how == "killed":
        line.note_recipe(done)
        child = subprocess.run([sys.executable, "-c", KILLED, str(done.run), name], check=False)
        assert child.returncode == -signal.SIGKILL
        return
    error = InputError("no such file") if how == "an input" else Ended(signal.SIGTERM)

    def failing(settings: Recipe, run: Path) -> Path:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(line, "_stage", lambda name: failing)
        with pytest.raises(type(error)):
            line._run_stage(done, done.run, name)


def current(done: Recipe) -> list[str]:
    return [name for name in STAGES if outdated(done, name) is None]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("data", "an input"),
        ("train", "an input"),
        ("data", "a signal"),
        ("export", "a signal"),
        ("check", "a signal"),
        ("train", "killed"),
    ],
)
def test_what_comes_after_a_stage_that_failed_is_current_once_it_makes_the_same(
    name: str, how: str, done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "killed" and os.name != "posix":
        pytest.skip("no SIGKILL")
    names = list(STAGES)
    for _ in range(2):
        fail(done, name, how, monkeypatch)
        assert current(done) == names[: names.index(name)]
        assert outdated(done, "report") == NOT_DONE
    line._run_stage(done, done.run, name)
    assert current(done) == names


def test_what_comes_after_it_is_made_again_where_it_makes_something_else(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (done.run / "data" / "train.jsonl").read_text()
    for text in ("{}\n", first):  # what waited for the first is no more, when that is back
        fail(done, "data", "a signal", monkeypatch)
        owned.write(done.run / "data" / "train.jsonl", text)
        line._run_stage(done, done.run, "data")
        assert current(done) == ["data"]


def test_what_waits_for_a_later_stage_waits_for_that_one(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which half may be written, so that no stage before it makes it current."""
    for failing in (("export", "data"), ("data", "export")):
        for name in failing:
            fail(done, name, "a signal", monkeypatch)
        line._run_stage(done, done.run, "data")
        assert current(done) == ["data", "train"]
        line._run_stage(done, done.run, "export")
        assert current(done) == list(STAGES)


def test_a_result_that_was_half_made_when_it_failed_is_not_in_the_way(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(done, "export", "a signal", monkeypatch)
    owned.write(done.run / "artifacts" / "onnx-int8" / "manifest.json", "{}")
    line._run_stage(done, done.run, "data")
    line._run_stage(done, done.run, "export")
    assert current(done) == ["data", "train", "export"]


def test_what_was_begun_alone_beside_one_that_failed_is_of_what_was_not_current(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(done, "data", "an input", monkeypatch)
    line._run_stage(done, done.run, "bench")
    line._run_stage(done, done.run, "data")
    assert current(done) == ["data", "train", "export", "check"]
    begin(done, "report")
    assert outdated(done, "report") == NOT_DONE
