"""The runner on Arm over ssh: its answers, against this computer's.

SRL_EDGE_ARM_PYTHON names an aarch64 Python, emulated or not: see docs/lab/devices.md.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.machine import processor_name
from srl_edge.devices.hosts.ssh import Ssh
from srl_edge.exporters.onnx import build as onnx
from tests.helpers.artifacts import CONTEXT, COPIED, seal, token_ids
from tests.helpers.ssh import SSHD, tidied

PYTHON = os.environ.get("SRL_EDGE_ARM_PYTHON", "")
PROMPTS = [token_ids(30, seed) for seed in range(10)]
on_arm = pytest.mark.skipif(
    not PYTHON or SSHD is None, reason="needs SRL_EDGE_ARM_PYTHON and an OpenSSH server"
)


@pytest.fixture
def board(config: Path) -> Iterator[Ssh]:
    with tidied():
        yield Ssh("board", PYTHON, ["-F", str(config)])


def exported(model: Path, folder: Path) -> Path:
    """An artifact; skips where ExecuTorch is missing here or there."""
    format_, _, quantization = folder.name.partition("-")
    if format_ == "onnx":
        onnx.export(model, folder, quantization, CONTEXT)
    else:
        pytest.importorskip("executorch")
        asked = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('executorch'))"
        if subprocess.run([PYTHON, "-c", asked], check=False).returncode:
            pytest.skip(f"{PYTHON} has no executorch")
        from srl_edge.exporters.executorch import build as executorch

        executorch.export(model, folder, quantization, CONTEXT)
    for name in COPIED:
        (folder / name).write_bytes((model / name).read_bytes())
    seal(folder)
    return folder


def replies(place: Ssh | None, folder: Path, length: int) -> list[list[int]]:
    """Greedy replies of a device, or of this computer."""
    session = (place or local).open_session(folder.name, "artifact", folder, 1)
    if place:
        assert session.machine["system"] == "Linux aarch64"
    found = [reply.ids for reply in session.generate(PROMPTS, length, [2])]
    session.close()
    return found


@on_arm
@pytest.mark.parametrize("name", ["onnx-fp32", "executorch-fp32"])
def test_unquantized_artifacts_answer_as_here(
    name: str, board: Ssh, tiny_model: Path, tmp_path: Path
) -> None:
    folder = exported(tiny_model, tmp_path / name)
    assert replies(board, folder, 16) == replies(None, folder, 16)


@on_arm
@pytest.mark.parametrize("name", ["onnx-int8", "onnx-int4", "executorch-8da4w"])
def test_quantized_artifacts_mostly_begin_as_here(
    name: str, board: Ssh, tiny_model: Path, tmp_path: Path
) -> None:
    """Arm's kernels round activations in their own ways, and random weights make near ties."""
    folder = exported(tiny_model, tmp_path / name)
    here, there = replies(None, folder, 1), replies(board, folder, 1)
    assert sum(a == b for a, b in zip(here, there, strict=True)) >= 7


def test_a_board_is_named_where_no_processor_is(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU part\t: 0xd0b\n")
    assert processor_name(tmp_path) == (platform.processor() or platform.machine())
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree" / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert processor_name(tmp_path) == f"Raspberry Pi 5 Model B Rev 1.0 ({platform.machine()})"
    (tmp_path / "cpuinfo").write_text("model name\t: Example CPU\n")
    assert processor_name(tmp_path) == "Example CPU"
