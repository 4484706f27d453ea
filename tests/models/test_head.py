"""A folder whose config.json says that its head is its embedding, and whose files have both."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.merging.merge import merge
from srl_edge.exporters.onnx import adapter as onnx_adapter
from srl_edge.exporters.onnx import build as onnx
from srl_edge.models import head, loading
from tests.helpers.artifacts import make_adapter, token_ids
from tests.helpers.models import make_model

PROMPT = token_ids(60)


def with_head(model: Path, noise: float) -> Path:
    """The model with a head beside its embedding, so much noise apart."""
    file = model / "model.safetensors"
    state = load_file(file)
    torch.manual_seed(3)
    own = state["model.embed_tokens.weight"].clone()
    own += noise * own.std() * torch.randn_like(own)
    save_file(state | {"lm_head.weight": own}, file, metadata={"format": "pt"})
    return model


def test_one_that_is_the_same_stays_tied(tmp_path: Path) -> None:
    model = with_head(make_model("llama", tmp_path / "model"), noise=0)
    assert not head.has_own(model) and loading.settings(model).tie_word_embeddings
    merged = merge(model, None, tmp_path / "merged")
    assert "lm_head.weight" not in load_file(merged / "model.safetensors")


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3"])
def test_one_of_its_own_is_taken_by_every_route(family: str, tmp_path: Path) -> None:
    model = with_head(make_model(family, tmp_path / "model"), noise=1)
    expected = TorchRuntime(model).prefill(PROMPT)
    tied = shutil.copytree(model, tmp_path / "tied")
    state = load_file(tied / "model.safetensors")
    del state["lm_head.weight"]
    save_file(state, tied / "model.safetensors", metadata={"format": "pt"})
    assert np.abs(TorchRuntime(tied).prefill(PROMPT) - expected).max() > 0.5
    assert not loading.settings(model).tie_word_embeddings
    merged = merge(model, None, tmp_path / "merged")
    assert json.loads((merged / "config.json").read_text())["tie_word_embeddings"] is False
    np.testing.assert_allclose(TorchRuntime(merged).prefill(PROMPT), expected, atol=1e-4)
    onnx.export(merged, tmp_path / "onnx", "fp32", 256)
    artifact = OnnxRuntime(tmp_path / "onnx", 256, threads=1)
    np.testing.assert_allclose(artifact.prefill(PROMPT), expected, atol=5e-3)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3"])
def test_mlx_takes_it_too(family: str, tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm")
    import mlx.core as mx

    from srl_edge.devices.runtimes.mlx import MlxRuntime
    from srl_edge.exporters.converters import mlx
    from srl_edge.trainers.mlx_backend.loading import load

    model = with_head(make_model(family, tmp_path / "model"), noise=1)
    expected = TorchRuntime(model).prefill(PROMPT)
    load(model, mx.float32, "none", checkpointed=False)  # held against what transformers computes
    (tmp_path / "out").mkdir()
    mlx.export(merge(model, None, tmp_path / "merged"), tmp_path / "out", "fp32")
    found = MlxRuntime(tmp_path / "out", 256).prefill(PROMPT)
    np.testing.assert_allclose(found, expected, atol=0.1 if family == "gemma3" else 5e-3)


def test_what_reads_the_folder_itself_is_told_before_it_starts(tmp_path: Path) -> None:
    model = with_head(make_model("llama", tmp_path / "model"), noise=1)
    with pytest.raises(InputError, match="write tie_word_embeddings = false there"):
        onnx.export(model, tmp_path / "onnx", "fp32", 256)
    adapter = make_adapter(model, tmp_path / "adapter", seed=0)
    with pytest.raises(InputError, match="write tie_word_embeddings = false there"):
        onnx_adapter.export_base(model, adapter, tmp_path / "sampler", "fp32")
    config = json.loads((model / "config.json").read_text()) | {"tie_word_embeddings": False}
    (model / "config.json").write_text(json.dumps(config))
    onnx.export(model, tmp_path / "onnx", "fp32", 256)
