"""A recipe as a job for TRL: refused by name, or run on two processes from its folder alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from srl_edge.errors import InputError
from srl_edge.method.algorithm import group_relative, has_spread
from srl_edge.method.prompts import prompt_ids, step_prompts
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import load
from srl_edge.trainers.scale.rows import prompt_of
from srl_edge.trainers.scale.trl_folder import LOSSES
from tests.helpers.command_line import called, srl_edge, write_recipe


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--trainer.sampler", "onnx"), "trainer.sampler = 'onnx' (it has samplers of its own)"),
        (("--trainer.quantization", "nf4"), "trainer.quantization = 'nf4'"),
        (("--trainer.backend", "mlx"), "Apple's GPU (trainer.backend, trainer.device)"),
        (("--stages.1.learned_rollouts", "2"), "stages.learned_rollouts"),
        (("--stages.1.kind", "rlvr"), "rlvr in several replies (stages.reply); whole solutions"),
        ((), "the stages before the last (sft); train them here and name --adapter"),
    ],
)
def test_what_the_engine_cannot_take_is_named_before_anything_is_written(
    flags: tuple[str, ...],
    said: str,
    tmp_path: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    out = tmp_path / "job"
    done = srl_edge("scale", recipe, "--engine", "trl", "--out", out, *flags)
    assert done.returncode == 2 and said in done.stderr
    assert not out.exists() and not (tmp_path / "run").exists()


def test_an_engine_that_is_not_known_is_refused(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    done = srl_edge("scale", recipe, "--engine", "ray", "--out", tmp_path / "job")
    assert done.returncode == 2 and "'ray' is not known; choose from trl" in done.stderr


def test_a_job_of_another_run_is_not_replaced(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe, job = write_recipe(tmp_path, taught_model, word_problems), tmp_path / "job"
    text = recipe.read_text()
    before, after = text.index("[[stages]]"), text.index('[[stages]]\nkind = "srl"')
    recipe.write_text(text[:before] + text[after:])
    scaled = ("scale", recipe, "--engine", "trl", "--out", job)
    for rate in ("0.01", "0.02"):  # the same run's is written again
        called(*scaled, "--stages.0.learning_rate", rate)
    with pytest.raises(InputError, match=r"job: holds srl-edge's job of .*run for another engine"):
        called(*scaled, "--output", tmp_path / "other")
    kept = load(job / "recipe.toml")
    assert kept.run == tmp_path / "run" and kept.stages[0].learning_rate == 0.02


def written_rows(job: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (job / "train.jsonl").read_text().splitlines()]


def test_two_processes_train_from_the_folder_alone(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    """The first batch has our rewards and advantages; its adapter goes on as any other does."""
    pytest.importorskip("trl")
    path = write_recipe(tmp_path, taught_model, word_problems)
    text = path.read_text()
    before, after = text.index("[[stages]]"), text.index('[[stages]]\nkind = "srl"')
    alone = text[:before] + text[after:]  # srl alone: the model was taught already
    path.write_text(alone.replace("prompts_per_step = 2", "prompts_per_step = 4"))
    job = tmp_path / "job"
    made = srl_edge("scale", path, "--engine", "trl", "--out", job)
    assert made.returncode == 0, made.stderr
    settings = json.loads((job / "grpo.json").read_text())
    assert settings["generation_batch_size"] == 16 and settings["loss_type"] == LOSSES["sequence"]
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "train.py",
    ]
    done = subprocess.run(command, cwd=job, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    recipe = load(job / "recipe.toml")
    (stage,), form = recipe.stages, recipe.prompt.form
    rows = [
        [json.loads(line) for line in (job / "first_batch" / f"{n}.jsonl").read_text().splitlines()]
        for n in (0, 1)
    ]
    assert [len(each) for each in rows] == [8, 8] and any(r["advantage"] for e in rows for r in e)
    state = json.loads((job / "trainer_state.json").read_text())
    updates = [row for row in state["log_history"] if "loss" in row]
    assert len(updates) == 2 and updates[-1]["num_tokens"] > updates[0]["num_tokens"]
    # Four groups an update: all of a batch, on both processes.
    assert state["epoch"] * len(written_rows(job)) == pytest.approx(2 * 4)
    for group in (each[at : at + 4] for each in rows for at in (0, 4)):
        asked = [prompt_of(row["step_prompt"], form) for row in group]
        assert len(set(asked)) == 1
        ours = [
            max(
                step_reward(Rollout((), (), (), row["text"], ended), asked[0], stage.reward).total
                for ended in (True, False)
            )
            for row in group
        ]
        assert [row["reward"] for row in group] == pytest.approx(ours, abs=1e-5)
        kept = has_spread(ours, stage.spread_epsilon)
        expected = group_relative(ours) if kept else [0.0] * len(ours)
        assert [row["advantage"] for row in group] == pytest.approx(expected, abs=1e-5)
    tokenizer = load_tokenizer(taught_model)
    written = written_rows(job)
    prompt = prompt_of(written[0]["step_prompt"], form)
    ids = tokenizer.encode(written[0]["prompt"], add_special_tokens=False)
    assert tuple(ids) == prompt_ids(tokenizer, prompt) and step_prompts([]) == []
    flags = ("--model", taught_model, "--adapter", job / "adapter", "--artifacts", "onnx-fp32")
    exported = srl_edge("export", *flags, "--out", tmp_path / "artifacts")
    assert exported.returncode == 0, exported.stderr
    checked = srl_edge("check", tmp_path / "artifacts" / "onnx-fp32", *flags[:4])
    assert checked.returncode == 0, checked.stderr
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in word_problems))
    task = ("--tasks", "mine", "--data", tmp_path / "rows.jsonl", "--limit", "2", "--repeats", "1")
    short = ("--max-new-tokens", "8", "--prompt-tokens", "16", "--decode-tokens", "4")
    out = tmp_path / "results"
    measured = srl_edge(
        "bench-tasks", tmp_path / "artifacts" / "onnx-fp32", *task, *short, "--out", out
    )
    assert measured.returncode == 0, measured.stderr
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert row["tasks"]["mine"]["problems"] == 2 and row["decode_tokens_per_second"]["p50"] > 0
