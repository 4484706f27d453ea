"""Optimum's ONNX exporter, in packages of its own, against transformers in every family."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from srl_edge import artifact, owned, recipe
from srl_edge.cli import main
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, StageError
from srl_edge.exporters.converters import optimum
from srl_edge.exporters.parity.logits import teacher_forced
from tests.helpers.artifacts import COPIED, make_run, seal, token_ids


def test_fp32_equals_transformers_past_the_sliding_window(
    family_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "optimum-fp32"
    folder.mkdir()
    optimum.export(family_model, folder, "fp32")
    for name in COPIED:
        shutil.copy(family_model / name, folder / name)
    seal(folder)
    runtime, reference = open_runtime(artifact.load(folder), 1), TorchRuntime(family_model)
    prompt, reply = token_ids(60), token_ids(20, seed=1)
    expected = np.stack(teacher_forced(reference, prompt, reply))
    got = np.stack(teacher_forced(runtime, prompt, reply))
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert greedy(runtime, prompt, 30, [2]) == greedy(reference, prompt, 30, [2])
    runtime.prefill([*prompt[:25], 7, 8])
    np.testing.assert_allclose(runtime.prefill(prompt), expected[0], atol=2e-3)
    with pytest.raises(InputError, match="600 tokens do not fit"):
        runtime.prefill(token_ids(600))


def test_what_it_cannot_do_is_one_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(StageError, match="optimum fp32: optimum failed: "):
        optimum.export(broken, tmp_path / "out", "fp32")
    monkeypatch.setattr(optimum, "_PACKAGES", ("optimum-onnx==0.0.99",))
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"optimum could not be installed into .*0\.0\.99"):
        optimum.export(tiny_model, tmp_path / "out", "fp32")
    assert not list((tmp_path / "optimum").glob("*"))


def test_the_command_exports_and_the_gate_passes(
    trained: Path,
    taught_model: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
) -> None:
    settings = make_run(tmp_path, trained, taught_model, word_problems[:6])
    shutil.rmtree(tmp_path / "artifacts")
    (tmp_path / owned.MARKER).write_text('{"purpose": "run", "files": {}}')
    owned.write(tmp_path / "recipe.toml", recipe.dumps(settings))
    for command in (["export", str(tmp_path), "--via", "optimum"], ["check", str(tmp_path)]):
        with pytest.raises(SystemExit) as end:
            main(command)
        assert end.value.code == 0
    found = json.loads((tmp_path / "parity" / "optimum-fp32.json").read_text())
    assert found["passed"] and found["agreement_but_ties"] == 1
