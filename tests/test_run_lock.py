"""Two processes do not work on one run; a dead one does not stand in the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import filelock
import pytest

from srl_edge import files
from srl_edge.errors import InputError
from srl_edge.run_lock import LINE, STAGE, alone, held
from tests.helpers.command_line import srl_edge, write_recipe

HOLD = """
import sys, time
from pathlib import Path
from srl_edge.run_lock import held
with held(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(run: Path, part: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(run), part]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("part", [LINE, STAGE])
def test_the_second_is_refused_with_the_firsts_id(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srl_edge.run_lock.ENDING", 0.1)
    first = holder(tmp_path, part)
    try:
        said = f"process {first.pid} works on this run since"
        with pytest.raises(InputError, match=said), alone(tmp_path):
            pass
    finally:
        first.kill()
        first.wait()
    with alone(tmp_path):  # the lock of a dead process does not hold
        pass


@pytest.mark.parametrize("name", ["eslintrc", "rows.jsonl"])
def test_beside_a_file_nothing_of_theirs_is_overwritten(name: str, tmp_path: Path) -> None:
    theirs = [tmp_path / f".{name}.{kind}" for kind in ("json", "lock")]
    for file in theirs:
        file.write_text("theirs")
    with held(tmp_path, name):
        assert len(list(tmp_path.iterdir())) == 4
        said = rf"process {os.getpid()} works on this file since"
        with pytest.raises(InputError, match=said), held(tmp_path, name):
            pass
    assert [file.read_text() for file in theirs] == ["theirs"] * 2


@pytest.mark.parametrize("part", [LINE, STAGE, "rows.jsonl"])
def test_a_lock_that_is_a_link_is_not_opened(part: str, tmp_path: Path) -> None:
    run, theirs = tmp_path / "run", tmp_path / "theirs.txt"
    with held(run, part):
        (lock,) = run.glob("*.lock")
    lock.unlink()
    for text in ("of mine", None):  # and one that leads nowhere yet
        theirs.unlink(missing_ok=True) if text is None else theirs.write_text(text)
        lock.unlink(missing_ok=True)
        lock.symlink_to(theirs)
        said = r"\.lock: is a link, and srl-edge writes through none"
        with pytest.raises(InputError, match=said), held(run, part):
            pass
        assert (theirs.read_text() if theirs.exists() else None) == text


def test_a_stage_waits_for_one_that_is_ending(tmp_path: Path) -> None:
    first = holder(tmp_path, STAGE)
    os.kill(first.pid, signal.SIGTERM)
    with held(tmp_path, STAGE, wait=10):
        assert first.poll() is not None
    first.wait()


def test_two_runs_of_one_recipe(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    assert srl_edge("data", recipe).returncode == 0
    first = holder(tmp_path / "run", LINE)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    try:
        for verb in ("run", "data", "train"):
            start = time.monotonic()
            failed = srl_edge(verb, recipe, "--export.context-length", "256")
            assert failed.returncode == 2 and time.monotonic() - start < 20
            assert f"process {first.pid} works on this run" in failed.stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    finally:
        first.kill()
        first.wait()


FILL = """
import time
from srl_edge.files import cache_lock
with cache_lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_fills_the_cache_is_said_and_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(files, "_SAID", 0.1)
    monkeypatch.setattr(files, "_WAIT", 0.5)
    with subprocess.Popen([sys.executable, "-c", FILL], stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout and first.stdout.readline() == "held\n"
            said = f"process {first.pid} fills it since "
            ended = rf"{said}.*, and has not come to an end"
            with pytest.raises(InputError, match=ended), files.cache_lock():
                pass
            assert said in capsys.readouterr().err
        finally:
            first.kill()
    with files.cache_lock():
        assert not capsys.readouterr().err


def test_a_cache_of_another_user_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfAnother(filelock.FileLock):
        def acquire(self, *_: object, **__: object) -> NoReturn:
            raise PermissionError(13, "Permission denied", self.lock_file)

    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    for _ in range(2):  # it is let go of
        with files.cache_lock():
            assert (tmp_path / ".lock").is_file()
    monkeypatch.setattr(filelock, "FileLock", OfAnother)
    said = r"\.lock: may not be written by you, .*; set SRL_EDGE_CACHE to a folder of your own"
    with pytest.raises(InputError, match=said), files.cache_lock():
        pass
    with pytest.raises(PermissionError, match="of what is filled"):  # which is something else
        monkeypatch.undo()
        monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
        with files.cache_lock():
            raise PermissionError("of what is filled")
