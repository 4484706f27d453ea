"""An ONNX folder of anybody's that is cut off or damaged: one sentence, wherever it is opened."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from srl_edge.devices.runtimes import open as opening
from srl_edge.devices.runtimes.contract import Damaged
from srl_edge.devices.serving.model import Model
from srl_edge.errors import InputError
from tests.helpers.command_line import srl_edge
from tests.helpers.foreign import genai_folder
from tests.helpers.models import make_model


@pytest.fixture(scope="module")
def genai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    return genai_folder(make_model("qwen2", folder / "qwen"), folder / "genai")


def half_a_graph(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: len(whole) // 2])


def half_the_weights(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    (folder / "model.onnx.data").write_bytes((folder / "model.onnx.data").read_bytes()[:1000])


def no_weights(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    (folder / "model.onnx.data").unlink()


def unknown_operator(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    graph = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(
        graph.replace(b"GroupQueryAttention", b"GroupQueryAttentioX")
    )


def another_input(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    text = (folder / "genai_config.json").read_text()
    (folder / "genai_config.json").write_text(text.replace('"input_ids":', '"input_idz":'))


def a_larger_vocabulary(folder: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["vocab_size"] *= 8
    (folder / "genai_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (half_a_graph, "Protobuf parsing failed"),
        (half_the_weights, "out of bounds or can not be read in full"),
        (no_weights, "model.onnx.data"),
        (unknown_operator, "GroupQueryAttentioX"),
        (another_input, "input_idz"),
        (a_larger_vocabulary, "invalid dimensions for output: logits"),
    ],
)
def test_an_onnx_folder_that_does_not_load_is_one_sentence(
    make: Any,
    said: str,
    genai: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As `chat` opens it, which `serve` does alike; and nothing else is printed."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    make(folder, genai)
    with pytest.raises(InputError) as caught:
        Model(folder).reply("Hi")
    sentence = str(caught.value)
    assert sentence.startswith(f"{folder}: ONNX Runtime does not ") and said in sentence
    assert sentence.endswith("; fetch or export it again.") and "onnxruntime_src" not in sentence
    assert "\n" not in sentence and "E:onnxruntime" not in capfd.readouterr().err


def test_nor_is_that_a_traceback_of_the_process_that_measures(
    genai: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    half_a_graph(folder, genai)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out"
    rows.write_text("".join(json.dumps(row) + "\n" for row in word_problems[:2]))
    done = srl_edge("bench-tasks", folder, "--tasks", "animals", "--data", rows, "--out", out)
    assert done.returncode and "ONNX Runtime does not load it: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["onnx", "optimum"])
def test_whatever_a_runtimes_library_raises_is_told(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise KeyError("graph")

    monkeypatch.setattr(opening, "_kind", lambda format_: damaged)
    with pytest.raises(Damaged, match="ONNX Runtime does not load it: 'graph'; fetch"):
        opening.open_model(f"{kind}:512", tmp_path)


def test_a_cut_off_graph_of_optimum_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12")
    with pytest.raises(Damaged, match=r"ONNX Runtime does not load it: Load model from .* failed"):
        opening.open_model("optimum:512", tmp_path)
