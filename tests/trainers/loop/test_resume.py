"""Killed at any moment, a run goes on to the same end, bit for bit."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.helpers.command_line import srl_edge, write_recipe

FLAGS = (
    "--trainer.threads",
    "1",
    "--trainer.dtype",
    "float32",
    "--trainer.checkpoint-every",
    "2",
    "--stages.0.steps",
    "5",
    "--stages.1.steps",
    "6",
    "--stages.1.validate-every",
    "3",
    "--stages.1.updates-per-batch",
    "2",
    "--stages.1.minibatches",
    "2",
    "--stages.1.warmup-steps",
    "4",
    "--stages.1.kl",
    "0.01",
)
KILLS = 3


def test_kill_9_then_resume_ends_as_the_uninterrupted_run(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = write_recipe(tmp_path / "whole", taught_model, word_problems)
    srl_edge("data", whole)
    assert srl_edge("train", whole, *FLAGS).returncode == 0
    expected = _rows(tmp_path / "whole")

    recipe = write_recipe(tmp_path / "killed", taught_model, word_problems)
    srl_edge("data", recipe)
    assert srl_edge("train", recipe, *FLAGS, "--resume").returncode == 2  # nothing to resume yet
    rng = random.Random(0)
    resume: list[str] = []
    for kill in range(KILLS):
        train = [sys.executable, "-m", "srl_edge", "train", str(recipe), *FLAGS, *resume]
        running = subprocess.Popen(train, stderr=subprocess.DEVNULL)
        reached = (kill + 1) * len(expected) // (KILLS + 1)
        while len(_rows(tmp_path / "killed")) < reached:
            assert running.poll() is None
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)
        running.kill()
        running.wait()
        if list((tmp_path / "killed" / "run" / "train").glob("checkpoint-*")):
            resume = ["--resume"]
    assert resume and srl_edge("train", recipe, *FLAGS, *resume).returncode == 0
    assert _rows(tmp_path / "killed") == expected
    adapters = [
        (tmp_path / name / "run" / "adapter" / "adapter_model.safetensors").read_bytes()
        for name in ("whole", "killed")
    ]
    assert adapters[0] == adapters[1]
    # Settings that the checkpoint was not written with are refused, and not written down.
    kept = (tmp_path / "whole" / "run" / "recipe.toml").read_text()
    for verb in ("train", "run"):
        refused = srl_edge(verb, whole, *FLAGS, "--stages.1.temperature", "0.5")
        assert refused.returncode == 2 and "another stages.1.temperature" in refused.stderr
    assert (tmp_path / "whole" / "run" / "recipe.toml").read_text() == kept
    assert srl_edge("train", whole, *FLAGS).returncode == 0


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "run" / "train" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    whole = (json.loads(line) for line in lines if line.endswith("\n"))
    timed = ("time", "per_second")
    return [{k: v for k, v in row.items() if not any(t in k for t in timed)} for row in whole]
