"""What an export leaves behind when it cannot be finished, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from srl_edge import owned
from tests.helpers.artifacts import make_adapter

resource = pytest.importorskip("resource", reason="Windows bounds no file's size")
RECIPE = """output = "{run}"
[model]
name = "{model}"
[[stages]]
kind = "sft"
steps = 1
"""


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Path:
    owned.claim(tmp_path, "run")
    make_adapter(tiny_model, tmp_path / "adapter", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").touch()
    owned.write(tmp_path / "recipe.toml", RECIPE.format(run=tmp_path, model=tiny_model))
    return tmp_path


def export(run: Path, *flags: str, largest: int = -1) -> subprocess.CompletedProcess[str]:
    """Run the command, which can write no file of more than `largest` bytes."""
    return subprocess.run(
        [sys.executable, "-m", "srl_edge", "export", str(run), *flags],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )


@pytest.mark.parametrize(
    ("artifact", "largest"),
    [("onnx-fp32", 100_000), ("onnx-fp32", 800_000), ("executorch-fp32", 800_000)],
)
def test_no_room_is_one_sentence_and_leaves_nothing_half_written(
    artifact: str, largest: int, run: Path
) -> None:
    done = export(run, "--export.artifacts", artifact, largest=largest)
    said = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert "the export cannot be written: " in said and "MB are free there." in said
    assert not list((run / "artifacts").glob("[!.]*"))
    assert not list(run.rglob(".srl-edge-*"))


@pytest.mark.parametrize("artifact", ["mlx-int4", "onnx-auto"])
def test_what_takes_no_separate_adapter_says_so(artifact: str, run: Path) -> None:
    done = export(run, "--export.artifacts", artifact, "--export.adapter", "separate")
    assert done.returncode == 2
    assert f"{artifact}: takes merged models alone; set export.adapter" in done.stderr
    assert not list((run / "artifacts").glob("[!.]*"))


def test_8_bit_layers_are_for_weights_that_are_fitted_here(run: Path) -> None:
    done = export(run, "--export.artifacts", "mlx-int4", "--export.int8-layers", "*.down_proj")
    assert done.returncode == 2
    assert "mlx-int4: export.int8_layers is for onnx-int4, " in done.stderr
    assert not list((run / "artifacts").glob("[!.]*"))
