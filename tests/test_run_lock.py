"""Two processes do not work on one run; a dead one does not stand in the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
