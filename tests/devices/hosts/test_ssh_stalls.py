"""Another computer that stalls is not waited for without end, by a program in ssh's place."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from srl_edge.devices.hosts import ssh
from srl_edge.devices.hosts.ssh import Ssh
from srl_edge.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no sh")
Put = Callable[[str], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a script in ssh's place, which knows the command as $command."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def write(script: str) -> None:
        file = programs / "ssh"
        file.write_text(f"#!/bin/sh\nfor command; do :; done\n{script}\n")
        file.chmod(0o755)

    return write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "theirs.gguf"
    with file.open("wb") as out:
        out.truncate(300 << 20)
    return file


def sleepers(seconds: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            found.append(process)
    return found


@pytest.mark.parametrize(
    ("script", "doing"),
    [
        ("exec sleep 987.1", "it was asked whether the model is there"),
        ('case "$command" in test*) exit 1;; esac; exec sleep 987.1', "theirs was sent"),
        (
            'case "$command" in test*) echo there; exit;; esac; exec sleep 987.1',
            "the runner was sent",
        ),
        (
            'case "$command" in test*) exit 1;; esac; cat > /dev/null; exec sleep 987.1',
            "theirs was sent",
        ),
    ],
)
def test_a_host_that_stalls_is_told_with_what_was_waited_for(
    put: Put, model: Path, script: str, doing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "STALLED", 1.5)
    put(script)
    start = time.monotonic()
    with pytest.raises(InputError, match=rf"^ssh:board: no answer in 2 s while {doing}\.$"):
        Ssh("board").open_session("theirs", "gguf:64", model, 1)
    assert time.monotonic() - start < 30
    assert not sleepers("987.1")


def test_what_a_host_says_without_end_is_not_kept(put: Put, model: Path) -> None:
    put("exec yes")
    with pytest.raises(InputError, match="ssh:board: "):
        Ssh("board").open_session("theirs", "gguf:64", model, 1)


def test_a_file_is_sent_a_part_at_a_time(put: Put, model: Path, tmp_path: Path) -> None:
    put(f"cat > {tmp_path / 'sent'}")
    tracemalloc.start()
    Ssh("board")._push("theirs", {"model.gguf": model}, "there")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "sent").stat().st_size > 300 << 20
    assert most < 20 << 20


def test_a_dead_connection_is_noticed(put: Put, tmp_path: Path) -> None:
    put(f'echo "$@" > {tmp_path / "asked"}')
    Ssh("board", options=["-p", "7"])._run("true", "")
    asked = (tmp_path / "asked").read_text()
    assert "-p 7" in asked and asked.index("ConnectTimeout=") < asked.index("board")
    assert "ServerAliveInterval=" in asked and "ServerAliveCountMax=" in asked


def test_the_code_and_the_words_of_ssh_come_through(put: Put) -> None:
    put("echo first >&2; echo why >&2; exit 255")
    with pytest.raises(InputError, match=r"^ssh:board: why$"):
        Ssh("board")._run("x", "")
    put("cat; exit 1")
    assert Ssh("board")._run("x", "") == b""
    with pytest.raises(InputError, match=r"^ssh:board: no message$"):
        Ssh("board")._run("x", "", lambda out: ssh._write_all(out, b"x" * 100))


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ("exec sleep 987.2", "987.2"),
        (
            'case "$command" in test*) echo there;; mkdir*) cat > /dev/null;; '
            "*) exec sleep 987.3;; esac",
            "987.3",
        ),
    ],
)
def test_a_killed_benchmark_leaves_no_ssh(put: Put, model: Path, script: str, seconds: str) -> None:
    put(script)
    code = (
        "from pathlib import Path; from srl_edge.devices.hosts.ssh import Ssh; "
        f"Ssh('board').open_session('theirs', 'gguf:64', Path({str(model)!r}), 1)"
    )
    benchmark = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 60
    while not sleepers(seconds) and time.monotonic() < until:
        time.sleep(0.05)
    assert sleepers(seconds)
    benchmark.send_signal(signal.SIGKILL)
    benchmark.wait()
    until = time.monotonic() + 10
    while sleepers(seconds) and time.monotonic() < until:
        time.sleep(0.05)
    left = sleepers(seconds)
    for process in left:
        process.kill()
    assert not left
