"""A tokenizer in the form that is read here, made once of what a folder holds."""

import json
import shutil
from pathlib import Path

import pytest

from srl_edge import files
from srl_edge.devices.bench import facts
from srl_edge.models import loading
from srl_edge.models.chat_template import ADDITIONAL, of_folder


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose tokenizer is a vocabulary and merges, as older ones have it."""
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    letters = [*"abcdefghijklmnopqrstuvwxyz", "<|end|>"]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    own = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|end|>", "unk_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    (folder / "chat_template.jinja").write_text("ONE {{ messages[0].content }}")
    return folder


def asked(folder: Path, **arguments: object) -> str:
    said = of_folder(facts.tokenizer_of(folder))
    return said.render([{"role": "user", "content": "hi"}], arguments=arguments)


def test_each_file_that_a_tokenizer_is_made_of_tells_it_from_others(
    model: Path, tmp_path: Path
) -> None:
    assert asked(model) == "ONE hi"
    (model / "chat_template.jinja").write_text("TWO {{ messages[0].content }}")
    assert asked(model) == "TWO hi"
    other = shutil.copytree(model, tmp_path / "other")
    (other / "chat_template.jinja").write_text("THREE {{ messages[0].content }}")
    assert (asked(other), asked(model)) == ("THREE hi", "TWO hi")
    tools = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    (model / ADDITIONAL).mkdir()
    for word in ("A", "B"):
        (model / ADDITIONAL / "tool_use.jinja").write_text(f"{word} {{{{ tools[0] }}}}")
        assert asked(model, **tools).startswith(word)
    made = facts.tokenizer_of(model)
    (model / "model.safetensors").write_bytes(b"other weights")
    assert facts.tokenizer_of(model) == made


def test_a_tokenizer_is_made_while_the_cache_is_free(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = loading.tokenizer
    monkeypatch.setattr(files, "_SAID", 0.1)
    monkeypatch.setattr(files, "_WAIT", 0.1)

    def meanwhile(folder: Path) -> object:
        with files.cache_lock():
            return made(folder)

    monkeypatch.setattr(loading, "tokenizer", meanwhile)
    assert asked(model) == "ONE hi"
