"""What can be known at the start is said there: one sentence, exit code 2, and nothing trained."""

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from srl_edge import cli
from tests.helpers.command_line import write_recipe
from tests.helpers.models import make_model

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]) -> Path:
    return write_recipe(tmp_path, tiny_model, word_problems)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command says that is refused at once."""
    code = cli._run(list(map(str, words)))
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.count("\n") == 1 and said.startswith("srl-edge: "), said
    return said


@pytest.mark.parametrize(
    ("flags", "absent", "said"),
    [
        ("--data.source gsm_symbolic", "reasoning_gym", "needs reasoning-gym, which is not inst"),
        ("--data.source hf:openai/gsm8k:main", "datasets", "srl-edge[data]"),
        ("--data.test hf:openai/gsm8k:main", "datasets", "data.test = 'hf:openai/gsm8k:main' nee"),
        ("--data.quality.drop near_duplicate", "datasketch", "near_duplicate needs datasketch"),
        ("--trainer.backend mlx", "mlx_lm", "needs mlx-lm, which is not installed: pip install"),
        ("--trainer.quantization nf4", "bitsandbytes", "'nf4' needs bitsandbytes"),
        ("--trainer.optimizer adamw_8bit", "bitsandbytes", "'adamw_8bit' needs bitsandbytes"),
        ("--trainer.sampler onnx", "onnx_ir", "trainer.sampler = 'onnx' needs onnx-ir"),
        ("--trainer.tracker wandb", "wandb", "'wandb' needs wandb, which is not installed"),
        ("--export.artifacts onnx-int4", "onnx_ir", "onnx-int4 needs onnx-ir"),
        ("--trainer.sampler vllm --trainer.vllm_command nowhere", "", "no such program"),
        (
            "--trainer.sampler vllm --trainer.vllm_url http://127.0.0.1:9 --trainer.vllm_folder .",
            "",
            "no vLLM answers there",
        ),
        ("--trainer.backend torch --trainer.quantization int4", "", "needs trainer.backend = 'mlx"),
        ("--export.adapter separate --export.artifacts mlx-int4", "", "takes merged models alone"),
        (
            "--export.int8_layers *.down_proj --export.artifacts onnx-int4-rtn",
            "",
            "export.int8_layers is for onnx-int4, ",
        ),
        (
            "--export.int8_layers *.down_proj --export.artifacts onnx-int4 "
            "--trainer.quantization int4-onnx",
            "",
            "the adapter was trained on other bits",
        ),
        ("--stages.1.data gone.jsonl", "", "gone.jsonl is not there"),
        ("--stages.1.reward gone.py:mine 1.0", "", "gone.py"),
        ("--prompt.verifier gone.py:mine", "", "gone.py"),
    ],
)
def test_a_run_begins_with_all_that_it_needs(
    flags: str,
    absent: str,
    said: str,
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if absent:
        monkeypatch.setitem(sys.modules, absent, None)
    assert said in refused(capsys, "run", recipe, *flags.split())
    assert not (recipe.parent / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_device_that_is_not_here_is_no_matter_of_minutes(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "run", recipe, "--trainer.device", "cuda")
    assert "trainer.device = 'cuda': torch finds none here; set it to auto." in said
    assert not (recipe.parent / "run").exists()


def test_programs_are_looked_for_at_the_start(
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    gguf = refused(capsys, "run", recipe, "--export.artifacts", "gguf-q8_0")
    assert "llama.cpp's converter on the PATH" in gguf
    shell = ["--data.source", "agent-shell", "--prompt.preset", "agent"]
    assert "need bash and git, on Linux or macOS alone" in refused(capsys, "run", recipe, *shell)
    for device, needs in {
        "browser": "no browser on the PATH",
        "browser:link": "npm fetches: install npm",
        "adb": "adb is not on the PATH",
        "ssh:pi": "ssh is not on the PATH",
        "nowhere": "device 'nowhere' is not known",
    }.items():
        words = ["x", "--tasks", "mine", "--data", "gone.jsonl", "--out", tmp_path / "out"]
        assert needs in refused(capsys, "bench-tasks", *words, "--device", device)
    assert not (recipe.parent / "run").exists() and not (tmp_path / "out").exists()


def test_a_model_without_a_chat_template_is_told_at_once(
    tmp_path: Path, word_problems: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model("llama", tmp_path / "bare")
    for file in model.glob("chat_template*"):
        file.unlink()
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    path = write_recipe(tmp_path, model, word_problems)
    capsys.readouterr()
    said = refused(capsys, "run", path)
    assert "no chat template, so prompts cannot be rendered. Put the chat_template.jinja" in said


def test_room_on_disk_is_compared_with_what_will_be_written(
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    free = {"run": 100 << 20, "cache": 1 << 40}

    def usage(folder: Path) -> Usage:
        there = free["cache" if "cache" in str(folder) else "run"]
        return Usage(1 << 42, 0, there)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    known = ["--model.name", "smollm2-135m-instruct"]
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache" / "srl-edge"))
    (tmp_path / "cache").mkdir()
    said = refused(capsys, "run", recipe, *known)
    assert "GB are needed there (training 0.3, the merged model 0.5, artifacts 1.2" in said
    assert "and 0.1 GB are free; make room, or name a folder elsewhere (--output)" in said
    free |= {"run": 1 << 40, "cache": 100 << 20}
    said = refused(capsys, "run", recipe, *known)
    assert "about 0.7 GB are needed in" in said and "SRL_EDGE_CACHE" in said
    assert not (recipe.parent / "run").exists()


@pytest.mark.parametrize("verb", ["check", "bench"])
def test_artifacts_from_elsewhere_need_their_runtime(
    verb: str, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = recipe.parent / "run" / "artifacts" / "onnx-fp32" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", None)
    said = refused(capsys, verb, recipe)
    assert "onnx-fp32: running it needs onnxruntime-genai, which is not installed" in said


def test_folders_of_others_are_told_before_the_work(
    recipe: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    words = ["--tasks", "mine", "--data", "gone.jsonl", "--out", theirs]
    assert "thesis.txt was not written by srl-edge" in refused(capsys, "bench-tasks", "x", *words)
    scaled = refused(capsys, "scale", recipe, "--engine", "trl", "--out", theirs)
    assert "thesis.txt was not written by srl-edge" in scaled
    exported = refused(capsys, "export", "--model", "gemma-3-270m", "--out", theirs)
    assert "thesis.txt was not written by srl-edge" in exported
    assert not (tmp_path / "run").exists() and (theirs / "thesis.txt").read_text() == "mine"
