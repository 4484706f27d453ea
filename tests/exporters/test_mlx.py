"""MLX artifacts of every family against transformers, on MLX's own CPU backend."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mlx_lm")

import mlx.core as mx

from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.mlx import MlxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.converters import mlx
from srl_edge.exporters.parity.logits import teacher_forced
from srl_edge.trainers.mlx_backend import loading
from tests.helpers.artifacts import token_ids
from tests.helpers.models import MLX_FAMILIES, make_model

PROMPT, REPLY = token_ids(60), token_ids(20, seed=1)


def export(model: Path, out: Path, quantization: str) -> MlxRuntime:
    out.mkdir()
    mlx.export(model, out, quantization)
    return MlxRuntime(out, 256)


def test_fp32_equals_transformers_past_the_sliding_window(
    family_model: Path, tmp_path: Path
) -> None:
    artifact, reference = export(family_model, tmp_path / "out", "fp32"), TorchRuntime(family_model)
    expected = np.stack(teacher_forced(reference, PROMPT, REPLY))
    # mlx-lm rounds Gemma's embedding scale to bfloat16.
    close = 0.05 if "gemma" in (family_model / "config.json").read_text() else 2e-3
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, PROMPT, REPLY)), expected, atol=close
    )
    assert greedy(artifact, PROMPT[:20], 10, [2]) == greedy(reference, PROMPT[:20], 10, [2])
    artifact.prefill([*PROMPT[:25], 7, 8])
    np.testing.assert_allclose(artifact.prefill(PROMPT), expected[0], atol=close)


@pytest.mark.parametrize("family", MLX_FAMILIES)
def test_families_that_mlx_alone_trains(family: str, tmp_path: Path) -> None:
    model = make_model(family, tmp_path / "model")
    artifact, reference = export(model, tmp_path / "out", "fp32"), TorchRuntime(model)
    expected = np.stack(teacher_forced(reference, PROMPT, REPLY))
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, PROMPT, REPLY)), expected, atol=5e-3
    )


@pytest.mark.parametrize(("quantization", "least"), [("fp16", 0.95), ("int8", 0.9), ("int4", 0.4)])
def test_smaller_weights_stay_close(
    quantization: str, least: float, taught_model: Path, tmp_path: Path
) -> None:
    artifact = export(taught_model, tmp_path / "out", quantization)
    expected = np.stack(teacher_forced(TorchRuntime(taught_model), PROMPT, REPLY)).argmax(-1)
    got = np.stack(teacher_forced(artifact, PROMPT, REPLY)).argmax(-1)
    assert (got == expected).mean() >= least


def test_code_that_a_model_names_for_mlx_is_not_run(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    settings = json.loads((model / "config.json").read_text()) | {"model_file": "mine.py"}
    (model / "config.json").write_text(json.dumps(settings))
    (model / "mine.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\n")
    with pytest.raises(InputError, match=r"mlx-lm does not load it: .*code"):
        MlxRuntime(model, 256)
    loading.load(model, mx.float32, "none", False)
    export(model, tmp_path / "out", "fp32")
    exported = json.loads((tmp_path / "out" / "config.json").read_text())
    assert exported.get("model_file") is None
    assert not (tmp_path / "was run").exists()


def test_another_rope_base_is_not_lost(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] = 1e6
    (model / "config.json").write_text(json.dumps(config))
    artifact = export(model, tmp_path / "out", "fp32")
    expected = TorchRuntime(model).prefill(PROMPT)
    np.testing.assert_allclose(artifact.prefill(PROMPT), expected, atol=2e-3)


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(InputError, match="family 'mamba' cannot be exported to MLX"):
        mlx.export(tmp_path, tmp_path / "out", "fp32")
