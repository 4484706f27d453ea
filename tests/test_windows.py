"""What Windows has not, taken away here: its modules, its signals, and UTF-8."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from srl_edge import owned, processes
from srl_edge.cli import ALL
from srl_edge.data import trajectories
from srl_edge.errors import InputError
from tests.helpers.command_line import write_recipe
from tests.helpers.sources import modules

ABSENT = ("resource", "fcntl", "termios", "pwd", "grp")
# An encoding of few signs, as a console's and as the files' own.
FEW_SIGNS = {
    "PYTHONIOENCODING": "cp1252:strict",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "LC_ALL": "C",
}
SMALL = """
--stages.1.kind sft --stages.0.steps 1 --stages.1.steps 1 --export.artifacts onnx-fp32
--check.prompts 2 --check.problems 0 --check.greedy_tokens 4 --trainer.validation_problems 0
--trainer.validation_prompts 2
"""
# Libraries have code of their own for Windows: from ours alone is it kept.
ABSENT_TO_US = f"""
import builtins
imported = builtins.__import__
def without(name, globals=None, *rest, **more):
    if name in {ABSENT!r} and (globals or {{}}).get("__name__", "").startswith("srl_edge"):
        raise ModuleNotFoundError(name)
    return imported(name, globals, *rest, **more)
builtins.__import__ = without
"""
# What is imported first is not ours.
WITHOUT = f"""
{ABSENT_TO_US}
import importlib, os, signal, sys
import torch, transformers, peft, psutil, numpy, onnxruntime, http.server, multiprocessing
import starlette, uvicorn
for name in ("killpg", "getpgrp", "geteuid", "getuid", "setsid", "fork", "chown", "getloadavg"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGALRM", "alarm", "setitimer"):
    delattr(signal, name)
sys.platform = "win32"
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        encoding="cp1252",
        env=os.environ | environment,
    )


def test_every_module_is_imported_where_those_of_posix_are_not() -> None:
    names = sorted(modules().keys() - {"srl_edge.__main__"})
    done = run(f"{WITHOUT}\nfor name in {names!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


def test_a_console_of_few_signs_shows_every_help() -> None:
    asked = [[*verb.split(), "--help"] for verb in ALL]
    asked += [["run", "recipes/demo.toml", "--help"], ["doctor"], ["--help"], ["tr\u2192in"]]
    code = f"""
from srl_edge.cli import main
for words in {asked!a}:
    try:
        main(words)
    except SystemExit as end:
        assert end.code == (2 if words == {asked[-1]!a} else 0), (words, end.code)
"""
    done = run(code, **FEW_SIGNS)
    assert done.returncode == 0, done.stderr
    assert "tr?in" in done.stderr and done.stderr.count("\n") == 1


def test_a_small_run_goes_through_without_what_windows_has_not(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ABSENT_TO_US, encoding="utf-8")
    rows = [row | {"problem": f"{row['problem']} \u2192 \u00bd\u6570"} for row in word_problems]
    path = write_recipe(tmp_path, tiny_model, rows)
    verbs = ("data", "train", "export", "check", "report")
    # One after the other in one process, where `run` would load the libraries for each again.
    code = f"""
from srl_edge import cli
for verb in {verbs!r}:
    assert cli._run([verb, {str(path)!r}, *{SMALL.split()!r}]) == 0, verb
"""
    done = run(code, **FEW_SIGNS, PYTHONPATH=str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    read = trajectories.load(tmp_path / "run" / "data" / "train.jsonl")
    assert all("\u2192 \u00bd\u6570" in each.problem for each in read)
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "\N{MINUS SIGN}" in report and "100.0%" in report
    assert b"\r\n" not in (tmp_path / "run" / "recipe.toml").read_bytes()


def test_a_stage_knows_who_started_it_through_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, above = (process.pid for process in psutil.Process().parents()[:2])
    monkeypatch.setenv(processes.STARTED_BY, str(above))
    assert not processes.started_by_ours()
    monkeypatch.setattr(sys, "platform", "win32")
    assert processes.started_by_ours()
    monkeypatch.setenv(processes.STARTED_BY, str(parent))
    assert processes.started_by_ours()
    monkeypatch.setenv(processes.STARTED_BY, str(os.getpid()))
    assert not processes.started_by_ours()


def test_a_lock_that_cannot_be_removed_yet_hides_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = owned.claim(tmp_path / "run", "run")
    (folder / ".line.lock").touch()
    unlink = Path.unlink

    def held(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".lock":
            raise PermissionError(13, "in use", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", held)
    owned.withdraw(folder, (".line.lock",))
    assert [path.name for path in folder.iterdir()] == [".line.lock"]


def test_what_runs_on_posix_alone_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from srl_edge.trainers.torch_backend.decoding.vllm_sampler import require

    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(InputError, match="on Linux and macOS alone; name one that runs elsewhere"):
        require("vllm serve")
