"""The gate lets a sound artifact through and stops broken ones, saying where."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from srl_edge import artifact, trajectories
from srl_edge.errors import ParityError
from srl_edge.exporters import onnx, parity
from srl_edge.recipe import Recipe


def make_run(run: Path, model: Path, exported: Path, rows: list[dict[str, str]]) -> Recipe:
    """A run folder whose merged model is `model` and whose artifact was built from `exported`."""
    (run / "data").mkdir(parents=True)
    parsed = trajectories.parse_rows(rows, trajectories.ParseReport())
    trajectories.write_jsonl(run / "data" / "test.jsonl", parsed)
    shutil.copytree(model, run / "merged")
    folder = run / "artifacts" / "onnx-fp32"
    folder.mkdir(parents=True)
    onnx.export(exported, folder, "fp32", 256)
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(exported / name, folder / name)
    fields = {"format": "onnx", "quantization": "fp32", "context_length": 256}
    artifact.write_manifest(folder, fields)
    settings = {"output": str(run), "model": {"name": "m"}, "check": {"prompts": 3}}
    return Recipe.model_validate(settings | {"stages": [{"kind": "sft", "steps": 1}]})


def zero_a_layer(model: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        network.model.layers[1].mlp.down_proj.weight.zero_()
        network.model.layers[1].self_attn.o_proj.weight.zero_()
    network.save_pretrained(model)


def wrong_rope_base(model: Path) -> None:
    config = model / "config.json"
    config.write_text(config.read_text().replace('"rope_theta": 10000.0', '"rope_theta": 10.0'))
    assert '"rope_theta": 10.0' in config.read_text()


def swap_the_template(model: Path) -> None:
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "model"))


def test_a_sound_artifact_passes(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = make_run(tmp_path, taught_model, taught_model, word_problems[:4])
    assert parity.check(recipe, tmp_path) == tmp_path / "parity"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (zero_a_layer, r"agrees with the merged model on .* first difference: prompt \d+ step"),
        (wrong_rope_base, "less than 99.9%; first difference"),
        (swap_the_template, "3 of 3 prompts are tokenized differently than in training"),
    ],
)
def test_a_broken_artifact_is_stopped(
    damage: Callable[[Path], None], message: str, tmp_path: Path, taught_model: Path,
    word_problems: list[dict[str, str]],
) -> None:  # fmt: skip
    damaged = tmp_path / "damaged"
    shutil.copytree(taught_model, damaged)
    damage(damaged)
    recipe = make_run(tmp_path / "run", taught_model, damaged, word_problems[:4])
    with pytest.raises(ParityError, match=message):
        parity.check(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "parity" / "onnx-fp32.json").is_file()
