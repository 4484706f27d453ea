"""What comes from anywhere is read where it can do no harm, and ends in a sentence."""

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from srl_edge import processes
from srl_edge.devices.bench import facts
from srl_edge.devices.runtimes.genai_config import FILE, read_config
from srl_edge.errors import InputError
from srl_edge.files import parsed

CONFIG = {"model": {"decoder": {"filename": "model.onnx", "session_options": {}}}}


def test_a_setting_that_stands_twice_is_not_loaded(tmp_path: Path) -> None:
    text = json.dumps(CONFIG)
    (tmp_path / FILE).write_text(text)
    assert read_config(tmp_path) == CONFIG
    twice = text.replace(
        '"session_options": {}',
        '"session_options": {"custom_ops_library": "evil.so"}, "session_options": {}',
    )
    (tmp_path / FILE).write_text(twice)
    with pytest.raises(InputError, match=r"session_options.* stands there twice"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["evil.so", "evil.DLL", "libevil.so.1", "deep/evil.dylib"])
def test_a_library_of_code_beside_it_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(CONFIG))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\x7fELF")
    with pytest.raises(InputError, match="a library of code"):
        read_config(tmp_path)


def gguf(*fields: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields)) + b"".join(fields)


def named(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


UINT8, STRING, ARRAY = 0, 8, 9
ENDLESS = named("a") + struct.pack("<IIQ", ARRAY, UINT8, 1 << 60)
ODD_ARCHITECTURE = named("general.architecture") + struct.pack("<IIQ", ARRAY, UINT8, 2) + b"\1\2"
NO_UTF_8 = named("general.architecture") + struct.pack("<IQ", STRING, 2) + b"\xff\xfe"


@pytest.mark.parametrize("field", [ENDLESS, ODD_ARCHITECTURE, NO_UTF_8])
def test_a_gguf_is_read_apart_and_within_limits(
    field: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf(field))
    with pytest.raises(InputError, match="not a GGUF file, or a damaged one") as caught:
        facts.of_gguf(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", [facts.of_pte, facts.of_gguf])
def test_a_program_that_never_ends_is_not_waited_for(
    asked: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(facts, "SECONDS", 0.5)
    never = [sys.executable, "-c", "while True: pass"]
    monkeypatch.setattr(processes, "python", lambda *_: never)
    (tmp_path / "model").write_bytes(b"GGUF")
    with pytest.raises(InputError, match="its reader does not end within"):
        asked(tmp_path / "model")


def test_an_end_that_was_changed_in_a_large_gguf_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(facts, "_require_architecture", lambda *_: None)
    monkeypatch.setattr(facts, "_make", _noted)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    os.truncate(tmp_path / "model.gguf", 65 << 20)
    for end in (7, 8):
        with (tmp_path / "model.gguf").open("r+b") as file:
            file.seek(2 << 20)
            file.write(bytes([end]))
        monkeypatch.setattr(
            facts, "_read_gguf", lambda _, end=end: {"architecture": "llama", "stops": [end]}
        )
        for _ in range(2):
            assert facts.of_gguf(tmp_path / "model.gguf")[0]["stops"] == [end]


def _noted(made: Path, read: object, said: object) -> None:
    made.mkdir(parents=True)
    (made / "gguf.json").write_text(json.dumps(said))


@pytest.mark.parametrize(
    "changed",
    [
        {"ids": [-1]},
        {"ids": [10**12]},
        {"seconds": float("nan")},
        {"first_seconds": 0.0},
        {"seconds": float("inf")},
        {"seconds": -1.0},
    ],
)
def test_a_runner_that_lies_about_its_replies_is_not_believed(changed: dict[str, object]) -> None:
    reply = {"ids": [1], "first_seconds": 0.1, "seconds": 0.2}
    untold = dict.fromkeys(("load", "celsius", "battery", "governor"))
    answered = {"replies": [reply], "peak_memory_mib": 1.0, "state": untold, "energy_joules": None}
    assert parsed(json.dumps(answered), "Answered") == answered
    with pytest.raises(ValueError, match="replies"):
        parsed(json.dumps(answered | {"replies": [reply | changed]}), "Answered")
