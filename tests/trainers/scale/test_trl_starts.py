"""A TRL job that is started again: cut off, it goes on; finished, what it made is kept."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srl_edge.errors import InputError
from srl_edge.trainers.scale.trl_starts import Start, begin
from tests.helpers.command_line import called, write_recipe

SETTINGS = {"grpo": {"num_generations": 8}, "arguments": ["--max_steps", "40"]}
OTHERS = SETTINGS | {"arguments": ["--max_steps", "40", "--seed", "5"]}


def state(folder: Path, text: str = "{}") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(text)


def cut_off(job: Path) -> Path:
    """Begin a job that has two checkpoints, and half of another; its trainer's folder."""
    trainer = job / "trainer"
    assert begin(job, trainer, SETTINGS) == Start()
    for step in (5, 10):
        state(trainer / f"checkpoint-{step}")
    (trainer / "checkpoint-15").mkdir()
    return trainer


def finished(job: Path) -> Path:
    trainer = cut_off(job)
    for file in ("adapter/adapter_model.safetensors", "first_batch/0.jsonl", "trainer_state.json"):
        (job / file).parent.mkdir(exist_ok=True)
        (job / file).write_text(f"first {file}")
    return trainer


def files(folder: Path) -> dict[str, str]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_text() for file in found}


def test_one_that_was_cut_off_goes_on_from_its_last_whole_checkpoint(tmp_path: Path) -> None:
    trainer = cut_off(tmp_path)
    before = files(tmp_path)
    assert begin(tmp_path, trainer, SETTINGS) == Start(str(trainer / "checkpoint-10"))
    assert files(tmp_path) == before


def test_by_other_settings_it_does_not_begin_anew_unasked(tmp_path: Path) -> None:
    trainer = cut_off(tmp_path)
    before = files(tmp_path)
    with pytest.raises(InputError, match="checkpoint-10: was trained by other settings and cut"):
        begin(tmp_path, trainer, OTHERS)
    assert files(tmp_path) == before
    chosen = str(trainer / "checkpoint-5")
    assert begin(tmp_path, trainer, OTHERS, chosen) == Start(chosen)
    assert files(tmp_path).keys() == before.keys()


def test_a_finished_one_is_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = finished(tmp_path)
    before = files(tmp_path)
    assert begin(tmp_path, trainer, SETTINGS) == Start(finished=True)
    assert "adapter: is trained by these settings" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_what_a_finished_one_made_is_kept_beside_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = finished(tmp_path)
    before = files(tmp_path)
    (tmp_path / "adapter-earlier").mkdir()  # of a start before
    assert begin(tmp_path, trainer, OTHERS) == Start()
    assert (
        "adapter: is of an earlier start, and is now adapter-earlier-2" in capsys.readouterr().err
    )
    after = files(tmp_path)
    assert after.pop("trainer/settings.json") != before["trainer/settings.json"]
    assert sorted(after.values()) == sorted(before.values())
    assert after["adapter-earlier-2/adapter_model.safetensors"].startswith("first")
    assert begin(tmp_path, trainer, OTHERS) == Start()


def test_so_is_what_was_made_before_settings_were_noted(tmp_path: Path) -> None:
    trainer = finished(tmp_path)
    (trainer / "settings.json").unlink()
    assert begin(tmp_path, trainer, SETTINGS) == Start()
    assert (tmp_path / "adapter-earlier" / "adapter_model.safetensors").is_file()


def launch(job: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "train.py", *arguments]
    return subprocess.Popen(command, cwd=job, stderr=subprocess.PIPE, text=True)


def test_a_job_that_is_killed_ends_as_one_that_was_not(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    pytest.importorskip("trl")
    path = write_recipe(tmp_path, taught_model, word_problems)
    text = path.read_text()
    path.write_text(
        text[: text.index("[[stages]]")] + text[text.index('[[stages]]\nkind = "srl"') :]
    )
    jobs = [tmp_path / "whole", tmp_path / "killed"]
    for job in jobs:
        called("scale", path, "--engine", "trl", "--out", job, "--trainer.checkpoint-every", "1")
    whole, killed = jobs
    steps = ("--max_steps", "4")
    with launch(whole, *steps) as process:
        _, said = process.communicate()
        assert process.returncode == 0, said
    with launch(killed, *steps) as process:
        while not (killed / "trainer/checkpoint-1/trainer_state.json").is_file():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (killed / "adapter").exists()
    first = (killed / "first_batch" / "0.jsonl").read_bytes()
    with launch(killed, *steps) as process:
        _, said = process.communicate()
        assert process.returncode == 0 and "training goes on from there" in said, said
    assert (killed / "first_batch" / "0.jsonl").read_bytes() == first
    logs = [json.loads((job / "trainer_state.json").read_text())["log_history"] for job in jobs]
    losses = [[(row["step"], row["loss"]) for row in log if "loss" in row] for log in logs]
    assert len(losses[0]) == 4 and losses[0] == losses[1]
    weights = [(job / "adapter" / "adapter_model.safetensors").read_bytes() for job in jobs]
    assert weights[0] == weights[1]
