"""ONNX artifacts of every family against transformers, through the runtime that ships them."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from srl_edge.devices.runtimes import OnnxRuntime, TorchRuntime, greedy
from srl_edge.errors import InputError
from srl_edge.exporters import onnx
from srl_edge.exporters.parity_logits import teacher_forced


def token_ids(count: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, 500) for _ in range(count)]


def test_fp32_equals_transformers_past_the_sliding_window(
    family_model: Path, tmp_path: Path
) -> None:
    onnx.export(family_model, tmp_path, "fp32", 256)
    reference, artifact = TorchRuntime(family_model), OnnxRuntime(tmp_path, 256, threads=1)
    prompt, reply = token_ids(60), token_ids(20, seed=1)
    expected = np.stack(teacher_forced(reference, prompt, reply))
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, prompt, reply)), expected, atol=2e-3
    )
    assert greedy(artifact, prompt, 30, [2]) == greedy(reference, prompt, 30, [2])


def test_fp16_is_close_past_the_sliding_window(family_model: Path, tmp_path: Path) -> None:
    onnx.export(family_model, tmp_path / "fp16", "fp16", 256)
    onnx.export(family_model, tmp_path / "fp32", "fp32", 256)
    reference, artifact = TorchRuntime(family_model), OnnxRuntime(tmp_path / "fp16", 256, threads=1)
    prompt, reply = token_ids(60), token_ids(20, seed=1)
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, prompt, reply)),
        np.stack(teacher_forced(reference, prompt, reply)),
        atol=0.05,
    )
    sizes = [(tmp_path / q / "model.onnx.data").stat().st_size for q in ("fp16", "fp32")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_shared_prefix_is_not_computed_again_and_changes_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    onnx.export(tiny_model, tmp_path, "fp32", 256)
    runtime = OnnxRuntime(tmp_path, 256, threads=1)
    prompt = token_ids(40)
    fresh = runtime.prefill(prompt, reuse=False)
    runtime.prefill([*prompt[:25], 7, 8], reuse=False)
    np.testing.assert_allclose(runtime.prefill(prompt), fresh, atol=1e-4)
    assert runtime._generator.token_count() == 40


@pytest.mark.parametrize(("quantization", "least"), [("int8", 0.9), ("int4", 0.4)])
def test_quantized_artifacts_stay_close(
    taught_model: Path, tmp_path: Path, quantization: str, least: float
) -> None:
    onnx.export(taught_model, tmp_path, quantization, 256)
    reference, artifact = TorchRuntime(taught_model), OnnxRuntime(tmp_path, 256, threads=1)
    prompt, reply = token_ids(40), token_ids(40, seed=1)
    expected = np.stack(teacher_forced(reference, prompt, reply)).argmax(-1)
    got = np.stack(teacher_forced(artifact, prompt, reply)).argmax(-1)
    assert (expected == got).mean() >= least
    assert (
        json.loads((tmp_path / "genai_config.json").read_text())["model"]["context_length"] == 256
    )


@pytest.mark.parametrize("quantization", ["fp32", "int4"])
def test_two_exports_are_byte_identical(
    taught_model: Path, tmp_path: Path, quantization: str
) -> None:
    for name in ("first", "second"):
        onnx.export(taught_model, tmp_path / name, quantization, 256)
    files = [
        {f.relative_to(tmp_path / name): f.read_bytes() for f in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    ]
    assert len(files[0]) >= 4
    assert files[0] == files[1]


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(InputError, match="family 'mamba' cannot be exported to ONNX"):
        onnx.export(tmp_path, tmp_path / "out", "fp32", 64)
