"""The benchmark over a real OpenSSH server on this machine's loopback."""

import json
import re
import socket
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench import measure
from srl_edge.devices.bench.artifacts import bench_artifacts, device_named
from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.hosts import local, ssh
from srl_edge.devices.hosts.session import RunnerLost
from srl_edge.devices.hosts.ssh import FOLDER, Ssh
from srl_edge.errors import InputError
from srl_edge.recipe import Bench
from tests.helpers.artifacts import artifact_of, token_ids
from tests.helpers.ssh import SSHD, served, stop_connections, tidied

pytestmark = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")


@pytest.fixture
def board(config: Path) -> Iterator[Ssh]:
    with tidied():
        yield Ssh("board", sys.executable, ["-F", str(config)])


def test_it_answers_as_this_computer_does(board: Ssh, tiny_model: Path, tmp_path: Path) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    found = []
    for place in (local, board):
        session = place.open_session("onnx", "artifact", folder, 1)
        found.append([reply.ids for reply in session.generate([token_ids(30)], 12, [2])])
        assert (session.peak_memory_mib or 0) > 10 and session.machine["cores"] > 0
        session.close()
    assert found[0] == found[1]
    (pushed,) = [f for f in (Path.home() / FOLDER).glob("*/.complete")][-1:]
    when = pushed.stat().st_mtime_ns
    board.open_session("again", "artifact", folder, 1).close()
    assert pushed.stat().st_mtime_ns == when  # it was not sent a second time


def test_the_benchmark_runs_there(
    board: Ssh, taught_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    folder = artifact_of(taught_model, tmp_path)
    problems = list(parse_rows(word_problems[:4], ParseReport()))
    settings = Bench(max_steps=3, max_new_tokens=24, repeats=1, threads=1)
    out = bench_artifacts([folder], {"animals": problems}, settings, board, tmp_path / "out")
    assert "| onnx-fp32 | 4 | " in (out.parent / "report.md").read_text()
    model = measure.Model("onnx", "artifact", folder)
    with Connection(local, 1) as connection:
        here = list(chain.from_iterable(measure.solved(model, problems, settings, connection)))
    lines = next(out.parent.glob("onnx-fp32/samples_*.jsonl")).read_text().splitlines()
    there = [json.loads(line)["steps"] for line in lines]
    assert there == [[a.steps for a in sample.attempts] for sample in here]


def test_a_lost_connection_costs_what_is_left_and_resume_completes_it(
    config: Path,
    board: Ssh,
    taught_model: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = artifact_of(taught_model, tmp_path)
    tasks = {"animals": list(parse_rows(word_problems[:4], ParseReport()))}
    settings = Bench(max_steps=3, max_new_tokens=24, repeats=1, threads=1, step_prompts=0)
    port = int(re.findall(r"Port (\d+)", config.read_text(encoding="utf-8"))[0])
    samples, asked = measure.samples, []

    def unplugged(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) > 1:
            stop_connections(port)
        return samples(*arguments)

    opened = board.open_session

    def one_at_a_time(*arguments: Any) -> Any:
        session = opened(*arguments)
        session.batch = 1
        return session

    with monkeypatch.context() as patch:
        patch.setattr(measure, "samples", unplugged)
        patch.setattr(board, "open_session", one_at_a_time)
        bench_artifacts([folder], tasks, settings, board, tmp_path / "out")
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert row["tasks"]["animals"]["lost"] == 3 and row["decode_tokens_per_second"]
    (file,) = (tmp_path / "out").glob("onnx-fp32/samples_*.jsonl")
    first, *rest = map(json.loads, file.read_text().splitlines())
    assert not first["lost"] and "onnx-fp32: its process ended (exit code 255)" in rest[0]["lost"]
    bench_artifacts([folder], tasks, settings, board, tmp_path / "out", resume=True)
    again = [json.loads(line) for line in file.read_text().splitlines()]
    assert again[0] == first and not any(sample["lost"] for sample in again)


def test_no_room_there_is_one_sentence(
    config: Path, tiny_model: Path, tmp_path: Path, board: Ssh
) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(config.parent, port, largest=100_000):
        small = Ssh("board", sys.executable, ["-F", str(config), "-p", str(port)])
        with pytest.raises(InputError, match=r"^ssh:board: .*size limit exceeded"):
            small.open_session("onnx", "artifact", folder, 1)
    board.open_session("onnx", "artifact", folder, 1).close()  # nothing half-sent is taken for it


def test_what_goes_wrong_there_is_one_sentence(
    config: Path, board: Ssh, tiny_model: Path, tmp_path: Path
) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    options = ["-F", str(config)]
    with pytest.raises(InputError, match=r"^ssh:nobody: .*Permission denied"):
        Ssh("nobody", options=options).open_session("onnx", "artifact", folder, 1)
    with pytest.raises(RunnerLost, match=r"onnx: its process ended \(exit code 127\): .*snake"):
        Ssh("board", "snake", options).open_session("onnx", "artifact", folder, 1)
    with pytest.raises(
        InputError, match="device 'usb' is not known; choose local, ssh:HOST, adb:SERIAL,"
    ):
        device_named("usb")


def test_an_artifact_of_links_is_sent_as_files(tiny_model: Path, tmp_path: Path) -> None:
    """As a hub's cache lays it out."""
    made = artifact_of(tiny_model, tmp_path)
    blobs, snapshot = tmp_path / "repo" / "blobs", tmp_path / "repo" / "snapshots" / "a1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in made.iterdir():
        file.rename(blobs / file.name)
        (snapshot / file.name).symlink_to(blobs / file.name)
    packed = BytesIO()
    ssh._tar(ssh._files("artifact", snapshot), packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        members = archive.getmembers()
    assert {m.name for m in members} == {file.name for file in snapshot.iterdir()}
    assert all(m.isfile() for m in members)
