"""What others made, sent to another computer: all but the network, by a program in ssh's place."""

import os
import sys
from pathlib import Path

import pytest

from srl_edge.devices.bench import what
from srl_edge.devices.hosts import ssh
from srl_edge.devices.hosts.ssh import FOLDER, Ssh
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.recipe import Bench
from tests.helpers.artifacts import token_ids
from tests.helpers.foreign import genai_folder, gguf_file
from tests.helpers.models import make_model

# ssh OPTIONS HOST COMMAND, run by a shell in a home of its own.
SHELL = '#!/bin/sh\nfor command; do :; done\ncd {home} && exec sh -c "$command"\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    (programs / "ssh").write_text(SHELL.format(home=home))
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return home


@pytest.mark.skipif(sys.platform == "win32", reason="no sh")
def test_a_folder_and_a_file_are_sent_once_and_answer_there(home: Path, tmp_path: Path) -> None:
    model = make_model("qwen2", tmp_path / "model")
    folder = genai_folder(model, tmp_path / "theirs", 256)
    file = gguf_file(model, tmp_path / "a name with spaces.gguf")
    prompt = token_ids(30)
    expected = greedy(TorchRuntime(model), prompt, 12, [2])
    board = Ssh("board", sys.executable)
    for each in what.models_of([folder, file], False, Bench()):
        session = board.open_session(*each[:3], 1)
        assert session.generate([prompt], 12, [2])[0].ids == expected
        session.close()
    sent = {path.name: path for path in (home / FOLDER).glob("*/*")}
    assert sent["model.gguf"].stat().st_size == file.stat().st_size
    assert sent["genai_config.json"].read_bytes() == (folder / "genai_config.json").read_bytes()
    when = sent["model.gguf"].stat().st_mtime_ns
    board.open_session("again", "gguf:64", file, 1).close()
    assert sent["model.gguf"].stat().st_mtime_ns == when
    assert ssh._hash("gguf:64", file, ssh._files("gguf:64", file)) != ssh._hash(
        "onnx:64", folder, ssh._files("onnx:64", folder)
    )
