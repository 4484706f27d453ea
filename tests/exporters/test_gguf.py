"""GGUF files by llama.cpp's converter, read back by transformers."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from srl_edge.devices.runtimes.gguf import GgufRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, StageError
from srl_edge.exporters.converters import gguf
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer
from tests.helpers.artifacts import token_ids
from tests.helpers.models import make_model

CONVERTER = Path(sys.prefix, "gguf")  # where `make setup` puts it
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
TEXT = "<|im_start|>user\nWhat is 3 + 4? Ünïcode 🦊<|im_end|>\n"


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (CONVERTER / "bin").is_dir(), "run `make setup`"
    monkeypatch.setenv("PATH", str(CONVERTER / "bin"), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(CONVERTER))


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under SmolLM2's tokenizer, which the converter knows."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    for name in TOKENIZER:
        source = resolve("smollm2-135m-instruct") / name
        if source.is_file():
            shutil.copy(source, folder)
    return folder


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize(("quantization", "close"), [("fp32", 1e-4), ("fp16", 1e-2), ("q8_0", 0.1)])
def test_the_file_holds_the_model_and_its_tokenizer(
    quantization: str, close: float, small_llama: Path, tmp_path: Path
) -> None:
    gguf.export(small_llama, tmp_path, quantization)
    shutil.copy(small_llama / "config.json", tmp_path)
    expected, file = TorchRuntime(small_llama), GgufRuntime(tmp_path, 256)
    prompt = token_ids(30)
    np.testing.assert_allclose(file.prefill(prompt), expected.prefill(prompt), atol=close)
    tokenizer = load_tokenizer(resolve("smollm2-135m-instruct"))
    assert file.encode(TEXT) == tokenizer.encode(TEXT, add_special_tokens=False)
    assert 2 in file.stop_ids()


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize(("quantization", "close"), [("fp32", 0.02), ("q4_1", 0.4)])
def test_llama_cpp_answers_as_torch_does(
    quantization: str, close: float, small_llama: Path, tmp_path: Path
) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    from srl_edge.devices.runtimes.llama_cpp import LlamaCppRuntime

    gguf.export(small_llama, tmp_path, quantization)
    assert [f.name for f in tmp_path.iterdir()] == ["model.gguf"]
    for name in ("config.json", "generation_config.json"):
        shutil.copy(small_llama / name, tmp_path)
    expected, file = TorchRuntime(small_llama), LlamaCppRuntime(tmp_path, 256, 1)
    prompt = token_ids(30)
    np.testing.assert_allclose(file.prefill(prompt), expected.prefill(prompt), atol=close)
    np.testing.assert_allclose(file.decode(7), expected.decode(7), atol=close)
    longer = [*prompt[:20], 9, 11]
    reused = file.prefill(longer)
    np.testing.assert_allclose(reused, expected.prefill(longer), atol=close)
    np.testing.assert_allclose(file.prefill(longer, reuse=False), reused, atol=1e-3)
    tokenizer = load_tokenizer(resolve("smollm2-135m-instruct"))
    assert file.encode(TEXT) == tokenizer.encode(TEXT, add_special_tokens=False)
    assert 2 in file.stop_ids()


@pytest.mark.skipif(find_spec("llama_cpp") is not None, reason="llama-cpp-python is installed")
def test_a_missing_quantizer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip install llama-cpp-python"):
        gguf.export(tmp_path, tmp_path, "q4_0")


@pytest.mark.usefixtures("converter")
def test_an_unknown_tokenizer_is_refused_in_one_sentence(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model")
    with pytest.raises(StageError, match=r"gguf fp16: llama.cpp's converter failed: .*"):
        gguf.export(model, tmp_path, "fp16")
    assert not (tmp_path / "model.gguf").exists()


def test_a_missing_converter_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"needs llama\.cpp's converter"):
        gguf.export(tmp_path, tmp_path, "fp16")
