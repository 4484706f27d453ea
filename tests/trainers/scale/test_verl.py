"""A recipe as a job for verl; SRL_EDGE_VERL names a Python that has it, for its own checks."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srl_edge.method.prompts import prompt_text
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import load
from srl_edge.trainers.scale.rows import prompt_of
from srl_edge.trainers.scale.verl_reward import VerlReward
from tests.helpers.artifacts import make_adapter
from tests.helpers.command_line import srl_edge, write_recipe

HELPERS = Path(__file__).parents[2] / "helpers"
PYTHON = os.environ.get("SRL_EDGE_VERL", "")


def job_of(tmp_path: Path, model: Path, rows: list[dict[str, str]]) -> Path:
    path = write_recipe(tmp_path, model, rows)
    text = path.read_text()
    before, after = text.index("[[stages]]"), text.index('[[stages]]\nkind = "srl"')
    path.write_text(text[:before] + text[after:])
    made = srl_edge("scale", path, "--engine", "verl", "--out", tmp_path / "job")
    assert made.returncode == 0, made.stderr
    return tmp_path / "job"


def test_the_folder_has_prompts_reward_and_settings(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    datasets = pytest.importorskip("datasets")
    job = job_of(tmp_path, taught_model, word_problems)
    rows = datasets.load_dataset("parquet", data_files=str(job / "train.parquet"), split="train")
    recipe = load(job / "recipe.toml")
    prompt = prompt_of(rows[0]["extra_info"]["step_prompt"], recipe.prompt.form)
    assert rows[0]["prompt"] == prompt.messages
    said = json.loads((job / "srl.yaml").read_text().partition("\n")[2])
    assert said["actor_rollout_ref"]["rollout"]["n"] == 4
    assert said["algorithm"]["filter_groups"]["enable"]
    kept = {"save_freq": recipe.trainer.checkpoint_every, "max_actor_ckpt_to_keep": 2}
    assert said["trainer"].items() >= kept.items()
    scored = VerlReward(job)
    right = f"<think>so</think>\n{prompt.expert_action}"
    assert scored(right, rows[0]["extra_info"]["step_prompt"])["score"] == 1.0
    assert scored(prompt.expert_action, rows[0]["extra_info"]["step_prompt"])["score"] == -1.0
    assert scored(right + " and" * 100, rows[0]["extra_info"]["step_prompt"])["score"] == -1.0


@pytest.mark.skipif(not PYTHON, reason="SRL_EDGE_VERL does not name a Python that has verl")
def test_verl_loads_and_validates_it(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    job = job_of(tmp_path, taught_model, word_problems)
    checked = subprocess.run(
        [PYTHON, str(HELPERS / "verl_check.py"), str(job), str(taught_model)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert checked.returncode == 0, checked.stderr[-3000:]
    said = json.loads(checked.stdout.splitlines()[-1])
    assert (said["lr"], said["loss"], said["n"]) == (1e-3, "seq-mean-token-mean", 4)
    assert said["estimator"] == "grpo" and said["filter"] and said["score"]["score"] == 1.0
    recipe = load(job / "recipe.toml")
    first = prompt_of(said["step_prompt"], recipe.prompt.form)
    assert said["prompt"] == prompt_text(load_tokenizer(taught_model), first)


@pytest.mark.skipif(not PYTHON, reason="SRL_EDGE_VERL does not name a Python that has verl")
def test_an_adapter_comes_back_from_two_processes(tmp_path: Path, taught_model: Path) -> None:
    adapter = make_adapter(taught_model, tmp_path / "adapter", seed=1)
    actor, merged = tmp_path / "global_step_1" / "actor", tmp_path / "merged"
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    save = (*launch, HELPERS / "verl_checkpoint.py", taught_model, adapter, actor)
    merge = ("-m", "verl.model_merger", "merge", "--backend", "fsdp", "--local_dir", actor)
    for words in (save, (*merge, "--target_dir", merged)):
        done = subprocess.run([PYTHON, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    before = load_file(adapter / "adapter_model.safetensors")
    after = load_file(merged / "lora_adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].bfloat16(), after[name]) for name in before)
    model = ("--model", taught_model, "--adapter", merged / "lora_adapter")
    out = tmp_path / "artifacts"
    made = srl_edge("export", *model, "--artifacts", "onnx-fp32", "--out", out)
    assert made.returncode == 0, made.stderr
    checked = srl_edge("check", out / "onnx-fp32", *model)
    assert checked.returncode == 0, checked.stdout + checked.stderr
