"""What a folder says of its context takes memory once a text needs it, and not before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from srl_edge.devices.runtimes import onnx
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.exporters.onnx.build import export
from tests.helpers.artifacts import token_ids
from tests.helpers.models import make_model

POSITIONS = 1 << 21
PEAK = "from srl_edge.devices.hosts.machine import peak_mib; print(peak_mib())"
EXPORT = (
    "import sys; from pathlib import Path; from srl_edge.exporters.onnx.build import export\n"
    "export(Path(sys.argv[1]), Path(sys.argv[2]), 'fp32', 256)"
)
OPEN = (
    "import sys; from pathlib import Path; from srl_edge.devices.runtimes.onnx import OnnxRuntime\n"
    "OnnxRuntime(Path(sys.argv[1]), int(sys.argv[2])).prefill([3, 4, 5])"
)


def with_positions(folder: Path) -> Path:
    """A model folder that tells of very many."""
    make_model("llama", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": POSITIONS}))
    return folder


def peak(code: str, *arguments: object) -> float:
    """MiB that a process of its own had at most."""
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def test_neither_export_nor_run_takes_memory_for_positions_that_nobody_asked_for(
    tmp_path: Path,
) -> None:
    model, out = with_positions(tmp_path / "model"), tmp_path / "out"
    assert peak(EXPORT, model, out) < 1000
    config = json.loads((out / "genai_config.json").read_text())
    config["model"]["context_length"] = config["search"]["max_length"] = POSITIONS
    (out / "genai_config.json").write_text(json.dumps(config))
    assert peak(OPEN, out, POSITIONS) < 1000


def test_a_text_that_outgrows_its_room_goes_on_as_it_would(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tiny_model, tmp_path, "fp32", 256)
    runtime, prompts = OnnxRuntime(tmp_path, 256), (token_ids(5), token_ids(50, seed=1))
    whole = [greedy(runtime, prompt, 60, []) for prompt in prompts]
    monkeypatch.setattr(onnx, "_ROOM", 8)
    for prompt, expected in zip(prompts, whole, strict=True):
        assert greedy(OnnxRuntime(tmp_path, 256), prompt, 60, []) == expected
    small = OnnxRuntime(tmp_path, 256)
    assert [greedy(small, prompt, 60, []) for prompt in prompts] == whole
