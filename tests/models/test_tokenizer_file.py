"""Tokenizers and settings of others that would take all memory, all time, or end in a panic."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from srl_edge import cli
from srl_edge.devices.bench import facts
from srl_edge.devices.runtimes.chat import Asked, Chat
from srl_edge.devices.runtimes.mlx import MlxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.devices.serving.worker import Worker
from srl_edge.errors import InputError
from srl_edge.models import loading
from srl_edge.models.tokenizer import stop_ids
from srl_edge.models.tokenizer_file import require_bounded

DOUBLED = {"type": "Replace", "pattern": {"String": "e"}, "content": "ee"}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
EVERYWHERE = {"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 40}
LONGER: dict[str, dict[str, Any]] = {
    "replacing": {"normalizer": {"type": "Sequence", "normalizers": [DOUBLED] * 40}},
    "nested": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Sequence", "normalizers": [DOUBLED] * 5}] * 8,
        }
    },
    "between": {"normalizer": {"type": "Sequence", "normalizers": [EVERYWHERE] * 4}},
    "bytes": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 40}},
    "before": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 40}},
    "after": {"decoder": {"type": "Sequence", "decoders": [DOUBLED] * 40}},
}
ENDLESS = r"(?:(?:\w|\s|.)*)*[^\x00-\x{10ffff}]"
PANICS = {
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": ENDLESS},
                "behavior": "Isolated",
                "invert": False,
            },
            BYTES,
        ],
    }
}


def changed(model: Path, folder: Path, file: str, **fields: Any) -> Path:
    shutil.copytree(model, folder)
    found = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(found | fields))
    return folder


OPENED: dict[str, Callable[[Path], Any]] = {
    "transformers": loading.tokenizer,
    "chat": lambda folder: Chat(folder, Asked(plain=True)),
    "program": lambda folder: facts.require_vocabulary(folder, 10**6, folder),
}


@pytest.mark.parametrize("how", OPENED)
@pytest.mark.parametrize("what", LONGER)
def test_a_tokenizer_that_makes_texts_longer_without_bounds_is_not_opened(
    what: str, how: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = changed(tiny_model, tmp_path / "model", "tokenizer.json", **LONGER[what])
    with pytest.raises(InputError, match=r"tokenizer\.json: its \w+ can make a text .* as long"):
        OPENED[how](folder)


def test_what_families_have_is_bounded(family_model: Path, tmp_path: Path) -> None:
    require_bounded(family_model)
    word = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    parts = [{"type": "Precompiled", "precompiled_charsmap": ""}, word, {"type": "Prepend"}]
    known = {"normalizer": {"type": "Sequence", "normalizers": parts}}
    require_bounded(changed(family_model, tmp_path / "model", "tokenizer.json", **known))


def test_what_a_file_says_of_padding_is_left_out(tiny_model: Path, tmp_path: Path) -> None:
    padding: dict[str, Any] = {"strategy": {"Fixed": 10**12}, "direction": "Right"}
    padding |= {"pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    more = {"padding": padding, "truncation": cut}
    folder = changed(tiny_model, tmp_path / "model", "tokenizer.json", **more)
    plain, padded = (Chat(each, Asked(plain=True)) for each in (tiny_model, folder))
    assert padded.encode("one and two") == plain.encode("one and two")
    assert stop_ids(folder) == stop_ids(tiny_model)


def test_a_tokenizer_that_gives_up_is_one_sentence(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = changed(tiny_model, tmp_path / "model", "tokenizer.json", **PANICS)
    with pytest.raises(InputError, match=r"cannot be used for this text \(Onig: .*over\)"):
        Chat(folder, Asked(plain=True)).encode("a" * 60)
    with pytest.raises(SystemExit) as ended:  # transformers' own, wherever it is asked
        cli_of(lambda: loading.tokenizer(folder).encode("a" * 60))
    assert ended.value.code == 2
    assert "srl-edge: the tokenizer cannot be used for a text (Onig" in capfd.readouterr().err


def cli_of(deed: Callable[[], Any]) -> None:
    def command(_: object) -> int:
        deed()
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_command", command)
        cli.main(["chat", "x"])


def test_nor_does_it_end_the_thread_of_a_server(tiny_model: Path, tmp_path: Path) -> None:
    """Whatever is raised there that is no Exception, such as a panic of Rust's."""
    import asyncio
    from collections.abc import Iterator

    folder = changed(tiny_model, tmp_path / "model", "tokenizer.json", **PANICS)
    worker = Worker(folder, 1, 0, 4)

    class Panic(BaseException): ...

    def panics(_: object) -> Iterator[str]:
        raise Panic("over")
        yield ""

    def chats(model: Any) -> Iterator[Any]:
        yield from model.stream("a" * 60)

    async def asked(ask: Any) -> str:
        try:
            return "".join([str(each) async for each in worker.submit(ask).events()])
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    said = [asyncio.run(asked(ask)) for ask in (panics, chats, lambda model: iter(["sound"]))]
    assert said[0] == "RuntimeError: Panic: over" and "cannot be used for this text" in said[1]
    assert said[2] == "sound" and worker.alive


SIZES = [
    ("num_hidden_layers", 10**9),
    ("num_hidden_layers", 1e9),
    ("num_hidden_layers", -1),
    ("num_attention_heads", 0),
    ("hidden_size", 0),
    ("vocab_size", 10**12),
    ("intermediate_size", 10**12),
    ("num_key_value_heads", 10**9),
    ("n_layer", 10**9),  # as older families name it
]


@pytest.mark.parametrize(("name", "value"), SIZES)
def test_sizes_that_no_model_has_are_refused(
    name: str, value: float, tiny_model: Path, tmp_path: Path
) -> None:
    folder = changed(tiny_model, tmp_path / "model", "config.json", **{name: value})
    runtimes = [MlxRuntime] if find_spec("mlx_lm") else []
    for opened in (TorchRuntime, loading.settings, loading.tokenizer):
        with pytest.raises(InputError, match=rf"config\.json: {name} is .*no model has that"):
            opened(folder)
    for runtime in runtimes:
        with pytest.raises(InputError, match="no model has that"):
            runtime(folder, 512)
