"""The benchmark in a real browser: headless Chromium with onnxruntime-web."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench.artifacts import bench_artifacts, device_named
from srl_edge.devices.hosts import session as sessions
from srl_edge.devices.hosts.browser import Browser
from srl_edge.devices.hosts.browser_runner import _BROWSERS, onnxruntime_web, serve
from srl_edge.devices.hosts.session import RunnerLost
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.recipe import Bench
from tests.helpers.artifacts import artifact_of, seal, token_ids


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    if not any(map(shutil.which, _BROWSERS)):
        pytest.skip("no Chromium on the PATH")
    try:
        onnxruntime_web()
    except InputError as error:
        pytest.skip(str(error))


def commands() -> str:
    """What everybody on this computer can read of this process's children."""
    children = psutil.Process().children(recursive=True)
    return "\n".join(" ".join(child.cmdline()) for child in children)


@pytest.fixture(scope="module")
def artifact(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artifact_of(tiny_model, tmp_path_factory.mktemp("artifact"))


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, with nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def become(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Chromium be a shell's program, which lies in a folder."""
    folder.mkdir(exist_ok=True)
    fake = folder / _BROWSERS[0]
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_it_answers_as_torch_does(family_model: Path, tmp_path: Path) -> None:
    folder = artifact_of(family_model, tmp_path)
    if "gemma" in (folder / "config.json").read_text():
        with pytest.raises(InputError, match="family 'gemma3_text' cannot be run in a browser"):
            Browser().open_session("page", "artifact", folder, 2)
        return
    prompts = [token_ids(40, 1), token_ids(20, 2)]
    reference = TorchRuntime(family_model)
    browser = Browser()
    session = browser.open_session("page", "artifact", folder, 2)
    try:
        found = session.generate(prompts, 12, [2], timeout=60)
        assert [reply.ids for reply in found] == [greedy(reference, p, 12, [2]) for p in prompts]
        assert all(0 < (reply.first_seconds or 0) <= reply.seconds for reply in found)
        drawn = [
            session.generate(prompts[:1], 12, [2], temperature=1.0, seeds=[seed])[0].ids
            for seed in (3, 3, 4)
        ]
        assert drawn[0] == drawn[1] != drawn[2]
        longer = [*prompts[0], *found[0].ids[:-1], 7, 8]
        (reply,) = session.generate([longer], 12, [2])  # goes on with the cache of its start
        assert reply.ids == greedy(reference, longer, 12, [2])
        session.generate(prompts[1:], 12, [2])
        (again,) = session.generate([longer], 12, [2], reuse=False)
        assert again.ids == reply.ids
        assert session.machine["isolated"] and "Chrome" in session.machine["browser"]
        assert browser._token not in commands()
        assert (session.peak_memory_mib or 0) > 20 and session.load_seconds > 0
    finally:
        session.close()


def test_the_benchmark_runs_there(
    taught_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    folder = artifact_of(taught_model, tmp_path)
    problems = list(parse_rows(word_problems[:2], ParseReport()))
    settings = Bench(max_steps=2, max_new_tokens=16, repeats=1, threads=1, decode_tokens=8)
    out = bench_artifacts([folder], {"animals": problems}, settings, Browser(), tmp_path / "out")
    assert "onnxruntime-web 1.30" in (out.parent / "report.md").read_text()


def test_what_goes_wrong_there_is_one_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="the browser runs ONNX artifacts alone"):
        Browser().open_session("page", "torch", tiny_model, 1)
    folder = artifact_of(tiny_model, tmp_path)
    (folder / "model.onnx").write_bytes(b"no model")
    seal(folder)
    with pytest.raises(RunnerLost, match=r"page: its process ended \(exit code 1\): in the browse"):
        Browser().open_session("page", "artifact", folder, 1)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunnerLost, match="no browser on the PATH"):
        Browser().open_session("page", "artifact", folder, 1)


def test_nobody_else_can_drive_it_and_nothing_of_it_is_left(
    artifact: Path, temporary: Path
) -> None:
    session = Browser().open_session("page", "artifact", artifact, 1)
    try:
        runner = psutil.Process(session._runner.pid)
        family = [runner, *runner.children(recursive=True)]
        listening = [
            each.pid
            for each in family
            for connection in each.net_connections("all")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(family) > 3 and listening == [runner.pid]
        assert "--remote-debugging" not in commands()
        assert list(temporary.rglob("SingletonSocket"))
    finally:
        session.close()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("No usable sandbox!", "No usable sandbox!"),
        (
            "[7:7:1130/120000.1:ERROR:bus.cc:5] no bus\n[7:7:1130/120000.2:FATAL:a.cc:1] Too long"
            "\n[8:8:1130/120000.3:ERROR:zygote.cc:2] write: Broken pipe",
            "Too long",
        ),
        ("", "no message"),
    ],
)
def test_a_browser_that_does_not_start_says_why_at_once(
    words: str,
    last: str,
    artifact: Path,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "LOADING", 30)
    become(f"echo '{words}' >&2; exit 3", tmp_path / "bin", monkeypatch)
    with pytest.raises(RunnerLost) as lost:
        Browser().open_session("page", "artifact", artifact, 1)
    assert str(lost.value) == (
        f"page: its process ended (exit code 1): the browser ended (exit code 3): {last}"
    )
    assert not list(temporary.iterdir())


def test_a_browser_that_ends_midway_is_noticed(artifact: Path) -> None:
    session = Browser().open_session("page", "artifact", artifact, 1)
    try:
        (browser,) = psutil.Process(session._runner.pid).children()
        browser.kill()
        with pytest.raises(RunnerLost, match=r"ended \(.*the browser ended \(exit code -9\): "):
            session.generate([token_ids(20, 1)], 4, timeout=20)
    finally:
        session.close()


OPENS = """
import signal, sys, time
from pathlib import Path
from srl_edge import processes
from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.hosts.browser import Browser
signal.signal(signal.SIGINT, signal.default_int_handler)
processes.listen()
with Connection(Browser(), 1) as device, device.session("page", "artifact", Path(sys.argv[1])):
    (Path(sys.argv[2]) / "open").touch()
    time.sleep(600)
"""


@pytest.mark.parametrize("when", ["while it loads", "when it is open"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_what_is_ended_leaves_nothing_of_a_browser(
    name: str,
    when: str,
    artifact: Path,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is killed cannot tidy up: the next one does."""
    monkeypatch.setattr(sessions, "LOADING", 30)
    if loads := when == "while it loads":
        become("exec sleep 600", tmp_path / "bin", monkeypatch)
    command = [sys.executable, "-c", OPENS, str(artifact), str(tmp_path)]
    opens = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(temporary.rglob("start.html") if loads else tmp_path.glob("open")):
        assert opens.poll() is None
        time.sleep(0.1)
    below = psutil.Process(opens.pid).children(recursive=True)
    opens.send_signal(getattr(signal, name))
    opens.wait(timeout=30)
    if name == "SIGKILL":
        psutil.wait_procs(below, timeout=10)
        become("exit 1", tmp_path / "bin", monkeypatch)
        with pytest.raises(RunnerLost):
            Browser().open_session("page", "artifact", artifact, 1)
    assert not list(temporary.iterdir())


def test_webgpu_answers_as_torch_does(taught_model: Path, tmp_path: Path) -> None:
    folder = artifact_of(taught_model, tmp_path)
    # Replies without near ties: sums on a GPU are rounded otherwise.
    prompts = [token_ids(40, 3), token_ids(20, 4)]
    reference = TorchRuntime(taught_model)
    try:
        session = Browser("webgpu").open_session("page", "artifact", folder, 1)
    except RunnerLost as error:
        pytest.skip(f"this browser has no WebGPU: {error}")
    try:
        found = session.generate(prompts, 12, [2], timeout=60)
        assert [reply.ids for reply in found] == [greedy(reference, p, 12, [2]) for p in prompts]
        assert session.machine["gpu"].strip()
    finally:
        session.close()


def test_a_phone_opens_a_link_once(
    taught_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    """The page of one address answers for every session of a benchmark; other paths are closed."""
    folder = artifact_of(taught_model, tmp_path)
    device = Browser("link")
    chromium = next(filter(None, map(shutil.which, _BROWSERS)))
    phone = subprocess.Popen(
        [
            chromium,
            "--headless=new",
            "--disable-gpu",
            "--no-sandbox",
            f"--user-data-dir={tmp_path}/profile",
            device.url,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        problems = list(parse_rows(word_problems[:2], ParseReport()))
        settings = Bench(max_steps=2, max_new_tokens=16, repeats=1, threads=1, decode_tokens=8)
        bench_artifacts([folder], {"animals": problems}, settings, device, tmp_path / "out")
    finally:
        phone.kill()
        phone.wait()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (row,) = results["rows"]
    assert row["tasks"]["animals"]["lost"] == 0 and row["decode_tokens_per_second"]["mean"] > 0
    assert row["peak_memory_mib"] is None and row["state"]["after"]["celsius"] is None
    assert "Chrome" in results["device"]["processor"] and results["device"]["threads"] == 1


def test_only_the_page_of_the_token_is_served(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("no")
    (tmp_path / "model.onnx").write_text("yes")
    roots = {"": tmp_path, "model": tmp_path}
    server = serve(roots, 1, "wasm", Queue(), ("127.0.0.1", 0), "token")
    base = f"http://127.0.0.1:{server.server_port}"

    def status(path: str) -> int:
        try:
            with urlopen(f"{base}/{path}") as found:
                return int(found.status)
        except HTTPError as error:
            return error.code

    assert status("token/model/model.onnx") == 200
    closed = (
        "",
        "model/model.onnx",
        "other/model/model.onnx",
        "token/secret.py",
        "token/model/../secret.py",
        "token/etc/passwd",
    )
    assert [status(path) for path in closed] == [404] * len(closed)
    server.shutdown()


def test_the_devices_have_names() -> None:
    for name in ("browser", "browser:webgpu", "browser:link"):
        assert isinstance(device_named(name), Browser)
    with pytest.raises(InputError, match="device 'browser:safari' is not known"):
        device_named("browser:safari")
