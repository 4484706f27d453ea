"""What goes to a hub, when, and what never does: against a stand-in on loopback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from srl_edge import artifact, owned
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, scratch_folder
from srl_edge.models import adapter_folder
from srl_edge.models.wheels import KNOWN
from tests.helpers.command_line import called
from tests.helpers.hub import TOKEN, Hub, hub
from tests.helpers.reports import write_data, write_training

BASE = "smollm2-135m-instruct"
RECIPE = """
output = "run"
[model]
name = "{model}"
[[stages]]
kind = "srl"
steps = 1
"""


def make_artifact(run: Path, name: str, made_of: str) -> None:
    """A folder as `export` leaves it, of a few bytes."""
    format_, _, quantization = name.partition("-")
    with scratch_folder(run / "artifacts", name) as scratch:
        (scratch / "model.bits").write_bytes(bytes(range(256)) * 8)
        (scratch / "tokenizer.json").write_text("{}")
        artifact.write_manifest(scratch, {
            "format": format_, "quantization": quantization, "context_length": 512,
            "base": {"name": made_of, "weights_sha256": "0" * 64}, "adapter": "merged",
            "adapter_sha256": artifact.adapter_sha256(run / "adapter"), "stop_token_ids": [2],
        })  # fmt: skip
        owned.publish(scratch, run / "artifacts" / name)


def make_run(run: Path, model: str = BASE, base: str | None = None) -> Path:
    run.mkdir()
    write_data(run)
    write_training(run)
    (run / "recipe.toml").write_text(RECIPE.format(model=model))
    matrices = {
        f"layers.0.self_attn.q_proj.lora_{side}.weight": adapter_folder.np.ones((2, 2), "<f4")
        for side in "AB"
    }
    with scratch_folder(run, "adapter") as scratch:
        here = base or str(Path.home() / ".cache" / "models" / "x")
        adapter_folder.write(scratch, matrices, 2, 4.0, here, {"backend": "torch"})
        owned.publish(scratch, run / "adapter")
    for name in ("onnx-int4", "mlx-fp16"):
        make_artifact(run, name, model)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    called("card", folder)
    return folder


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub in place of the real one, and a token for it."""
    from huggingface_hub import HfApi, constants

    with hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(HfApi.__init__, "__defaults__", HfApi.__init__.__defaults__)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


def push(run: Path, url: str, *more: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """The verb in a process of its own, as its settings are read where it starts."""
    environment = os.environ | {"HF_ENDPOINT": url, "HF_TOKEN": TOKEN, "HF_HOME": str(run.parent)}
    command = [sys.executable, "-m", "srl_edge", "push", str(run), "--repo", "me/it", *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, input=answer)
