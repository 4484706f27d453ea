"""Artifacts of tiny models, and adapters and runs to make them of."""

import random
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from srl_edge import artifact
from srl_edge.data import trajectories
from srl_edge.exporters.onnx import build as onnx
from srl_edge.quantization.formats import parse_name
from srl_edge.recipe import Recipe


def token_ids(count: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, 500) for _ in range(count)]


CONTEXT = 512
COPIED = ("generation_config.json", "config.json", "tokenizer.json", "tokenizer_config.json")


def make_run(
    run: Path,
    trained: Path,
    base: Path,
    rows: list[dict[str, str]],
    quantization: str = "fp32",
    exported: Path | None = None,
) -> Recipe:
    """A run folder like `trained`'s, whose artifact was built from `exported`."""
    shutil.copytree(trained, run, dirs_exist_ok=True)
    (run / "data").mkdir(parents=True)
    parsed = trajectories.parse_rows(rows, trajectories.ParseReport())
    trajectories.write_jsonl(run / "data" / "test.jsonl", parsed)
    source = exported or run / "merged"
    folder = run / "artifacts" / f"onnx-{quantization}"
    folder.mkdir(parents=True)
    onnx.export(source, folder, quantization, CONTEXT)
    for name in COPIED:
        shutil.copy(source / name, folder / name)
    seal(folder)
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": str(base)},
            "check": {"prompts": 3, "problems": 2, "agreement": {"fp32": 0.999, "int4": 0.4}},
            "export": {"context_length": CONTEXT, "artifacts": [folder.name]},
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )


def seal(folder: Path) -> None:
    """Write the manifest over whatever is in the folder now, so that hashes cannot tell."""
    format_, quantization = parse_name(folder.name)
    fields = {"format": format_, "quantization": quantization, "context_length": CONTEXT}
    artifact.write_manifest(folder, fields)


def artifact_of(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "onnx-fp32"
    onnx.export(model, folder, "fp32", 512)
    for name in COPIED:
        (folder / name).write_bytes((model / name).read_bytes())
    seal(folder)
    return folder


def make_adapter(
    model: Path,
    folder: Path,
    seed: int,
    rank: int = 4,
    modules: str | list[str] = "all-linear",
    **settings: Any,
) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=modules, **settings)
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    tuned.save_pretrained(folder)
    return folder
