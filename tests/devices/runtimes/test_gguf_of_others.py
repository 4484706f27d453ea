"""A GGUF file of anybody's: refused by its sizes before anything is made, and read alone."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from srl_edge.devices.bench import facts
from srl_edge.devices.runtimes.gguf import GgufRuntime
from srl_edge.errors import InputError
from srl_edge.models import loading
from tests.helpers.foreign import gguf_file
from tests.helpers.models import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("qwen2", tmp_path_factory.mktemp("qwen") / "model")


SIZES = [
    ("block_count", 200_000_000),
    ("block_count", 0),
    ("embedding_length", 1_000_000_000),
    ("feed_forward_length", 2_000_000_000),
    ("head_count", 1_000_000_000),
    ("head_count", 0),
    ("head_count_kv", 1_000_000_000),
    ("head_count_kv", [1_000_000_000, 2]),
]


@pytest.mark.parametrize(("name", "value"), SIZES)
def test_sizes_that_no_model_has_are_refused(
    name: str, value: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    add = getattr(gguf.GGUFWriter, f"add_{name}")
    monkeypatch.setattr(gguf.GGUFWriter, f"add_{name}", lambda writer, _: add(writer, value))
    file = gguf_file(model, tmp_path / "model.gguf")
    for opened in (facts.of_gguf, loading.of_gguf):
        with pytest.raises(InputError, match=rf"{name} is \d+, and no model has that") as caught:
            opened(file)
        assert str(caught.value).startswith(f"{file}: qwen2.")


def test_sizes_that_its_bytes_cannot_have_are_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = gguf.GGUFWriter.add_feed_forward_length
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_feed_forward_length", lambda writer, _: add(writer, 1 << 24)
    )
    file = gguf_file(model, tmp_path / "model.gguf")
    with pytest.raises(InputError, match=r"tells of .* weights and more"):
        loading.of_gguf(file)


def adapter(folder: Path) -> None:
    """Which transformers would ask the hub for the base of."""
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
    said |= {"base_model_name_or_path": "someone/elsewhere", "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")


def settings(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "auto_map": {}}))
    (folder / "generation_config.json").write_text("{")


def tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "theirs"}))
    (folder / "chat_template.jinja").write_text("theirs")


def pipes(folder: Path) -> None:
    for name in ("adapter_config.json", "tokenizer_config.json", "chat_template.jinja"):
        os.mkfifo(folder / name)


@pytest.mark.parametrize("beside", [adapter, settings, tokenizer, pipes])
def test_what_lies_beside_it_is_not_taken(
    beside: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if beside is pipes and not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no such pipes")
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    alone = gguf_file(model, tmp_path / "alone" / "model.gguf")
    (tmp_path / "among").mkdir()
    file = Path(shutil.copy(alone, tmp_path / "among" / "model.gguf"))
    beside(file.parent)
    _, made = facts.of_gguf(file)
    template = "chat_template.jinja"
    assert (made / template).read_text() == (model / template).read_text()
    expected, found = (GgufRuntime(each, 512).prefill([3, 4, 5]) for each in (alone, file))
    assert np.array_equal(expected, found)


def ending(model: Path, folder: Path, special: list[str]) -> dict[str, int]:
    """A model whose configuration ends replies at further special tokens; their ids."""
    shutil.copytree(model, folder)
    tokenizer = loading.tokenizer(folder)
    tokenizer.add_tokens(special, special_tokens=True)
    tokenizer.save_pretrained(folder)
    ids = {text: tokenizer.convert_tokens_to_ids(text) for text in special}
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, *ids.values()]}))
    gguf_file(folder, folder / "model.gguf")
    return ids


ENDS = ["<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<EOT>", "_<EOT>", "[EOT]", "<eos>"]
ENDS += ["<end_of_utterance>", "<turn|>", "</s>", "<\uff5cend\u2581of\u2581sentence\uff5c>"]


@pytest.mark.parametrize(
    ("special", "none"),
    [
        (ENDS, {"<|no end|>"}),
        (["<|end|>", "<|return|>", "<|call|>"], {"<|end|>"}),
        (["<|end|>", "<|calls|>", "<|flush|>"], {"<|end|>"}),
        (["<|tool_response>", "</s>"], {"</s>"}),
    ],
)
def test_replies_end_where_llama_cpp_ends_them(
    special: list[str], none: set[str], model: Path, tmp_path: Path
) -> None:
    ids = ending(model, tmp_path / "model", sorted({*special} | none))
    expected = sorted(id_ for text, id_ in ids.items() if text not in none)
    assert GgufRuntime(tmp_path / "model", 512).stop_ids() == [2, *expected]


def test_replies_end_where_the_file_says(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turns(writer: Any, _: int) -> None:
        writer.add_eot_token_id(len(loading.tokenizer(model)))

    monkeypatch.setattr(gguf.GGUFWriter, "add_pad_token_id", turns)
    ids = ending(model, tmp_path / "model", ["<|my turn|>", "<|no end|>"])
    assert GgufRuntime(tmp_path / "model", 512).stop_ids() == [2, ids["<|my turn|>"]]
