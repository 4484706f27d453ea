"""An artifact from anywhere: it names its own files alone, and runs no code."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from srl_edge import artifact
from srl_edge.devices.runtimes.genai_config import read_config
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.errors import InputError
from srl_edge.files import file_sha256
from tests.helpers.artifacts import artifact_of


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artifact_of(tiny_model, tmp_path_factory.mktemp("artifact"))


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    folder = tmp_path / made.name
    folder.mkdir()
    for file in made.iterdir():
        os.link(file, folder / file.name)
    return folder


def change(file: Path, **fields: Any) -> None:
    """Write a JSON file anew, and not through its hard link."""
    changed = json.loads(file.read_text(encoding="utf-8")) | fields
    file.unlink()
    file.write_text(json.dumps(changed), encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "/etc/victim", "quantization": "lock"}, "'/etc/victim-lock' is no artifact"),
        ({"format": "../onnx"}, "is no artifact that this version knows"),
        ({"quantization": "int8/../../x"}, "is no artifact that this version knows"),
        ({"files": {}}, "not of the export; move it elsewhere"),
        ({"files": 5}, "files: input should be"),
    ],
)
def test_a_manifest_says_neither_more_nor_less_than_the_table_and_the_folder(
    fields: dict[str, Any], words: str, copied: Path
) -> None:
    artifact.load(copied)
    change(copied / "manifest.json", **fields)
    with pytest.raises(InputError, match=words):
        artifact.load(copied)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..\\secret"])
def test_a_manifest_names_no_file_outside(name: str, copied: Path) -> None:
    (copied.parent / "secret").write_text("x")
    manifest = json.loads((copied / "manifest.json").read_text())
    entry = {"bytes": 1, "sha256": file_sha256(copied.parent / "secret")}
    change(copied / "manifest.json", files=manifest["files"] | {name: entry})
    with pytest.raises(InputError, match="names a file outside of the artifact"):
        artifact.load(copied)


def test_a_link_may_lead_into_the_hubs_cache_alone(copied: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes((copied / "config.json").read_bytes())
    (copied / "config.json").unlink()
    (copied / "config.json").symlink_to(secret)
    with pytest.raises(InputError, match="a link to a file outside of the artifact"):
        artifact.load(copied)
    blobs, snapshot = tmp_path / "repo" / "blobs", tmp_path / "repo" / "snapshots" / "a1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in copied.iterdir():
        (blobs / f"{file.name}.blob").write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blobs / f"{file.name}.blob")
    assert artifact.load(snapshot).format == "onnx"


def test_what_hubs_put_beside_an_artifact_does_no_harm(copied: Path) -> None:
    (copied / "README.md").write_text("a card")
    (copied / "training.svg").write_text("<svg/>")
    (copied / ".gitattributes").touch()
    assert artifact.load(copied).name == "onnx-fp32"
    (copied / "evil.so").touch()
    with pytest.raises(InputError, match=r"evil\.so: not of the export"):
        artifact.load(copied)


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("session_options", "custom_ops_library", "evil.so"),
        ("session_options", "custom_ops_library", "/elsewhere/evil.so"),
        ("session_options", "provider_options", [{"cuda": {}}]),
        ("session_options", "optimized_model_filepath", "/elsewhere/out.onnx"),
        ("session_options", "enable_profiling", "/elsewhere/profile"),
        ("session_options", "config_entries", {"ep.context_file_path": "/elsewhere/x"}),
        ("decoder", "filename", "../../elsewhere.onnx"),
        ("decoder", "filename", "/etc/elsewhere.onnx"),
        ("decoder", "pipeline", [{"filename": "x.onnx"}]),
        ("model", "vision", {"filename": "x.onnx"}),
        ("model", "speech", {"config_filename": "/etc/passwd"}),
        ("search", "chunk", "x"),
    ],
)
def test_a_genai_folder_runs_no_code_and_names_no_file(
    where: str, key: str, value: Any, copied: Path
) -> None:
    file = copied / "genai_config.json"
    assert read_config(copied)["model"]["type"] == "llama"
    config = json.loads(file.read_text())
    decoder = config["model"]["decoder"]
    places = {
        "session_options": decoder["session_options"],
        "decoder": decoder,
        "model": config["model"],
        "search": config["search"],
    }
    places[where][key] = value
    change(file, **config)
    with pytest.raises(InputError, match=f"{key}.*it is not loaded, since such files can run code"):
        OnnxRuntime(copied, 512)


@pytest.mark.parametrize("length", [10**12, (1 << 24) + 1, 0])
def test_a_context_that_no_model_has_is_refused(length: int, copied: Path) -> None:
    change(copied / "manifest.json", context_length=length)
    with pytest.raises(InputError, match=r"manifest\.json: context_length: input should be"):
        artifact.load(copied)


def test_a_context_is_no_longer_than_its_runtime_is_told(copied: Path) -> None:
    pytest.importorskip("onnxruntime_genai")
    change(copied / "manifest.json", context_length=1 << 24)
    with pytest.raises(InputError, match=r"context of 16777216 tokens, and its genai_config\.json"):
        open_runtime(artifact.load(copied))
