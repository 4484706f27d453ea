"""What is asked of adb ends with the question, whatever program the name leads to."""

import os
import time
from pathlib import Path

import psutil
import pytest

from srl_edge.devices.hosts.android import adb

WRAPPERS = {
    "a child": "sleep 600\n",
    "a child of a child": "sh -c 'sleep 600; echo'\necho after\n",
    "a pipe": "cat | sleep 600\n",
    "the program": "exec sleep 600\n",
}


@pytest.mark.skipif(os.name != "posix", reason="a shell's script")
@pytest.mark.parametrize("how", WRAPPERS)
def test_nothing_of_a_device_that_stalls_stays_behind(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "adb"
    wrapper.write_text(f"#!/bin/sh\n{WRAPPERS[how]}")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SRL_EDGE_TEST_OF", str(tmp_path))
    start = time.monotonic()
    done = adb("", ["get-serialno"], b"sent", timeout=0.5)
    assert time.monotonic() - start < 10
    assert (done.returncode, done.stderr) == (1, b"error: no answer from the device")
    until = time.monotonic() + 5
    while (left := started(tmp_path)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def started(folder: Path) -> list[str]:
    """What runs with the environment that the test gave, by its command."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("SRL_EDGE_TEST_OF") == str(
                folder
            ):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.skipif(os.name != "posix", reason="a shell's script")
def test_what_adb_says_and_is_sent_comes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "adb"
    wrapper.write_text('#!/bin/sh\necho "$@"; cat; echo no >&2; exit 7\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = adb("phone", ["shell", "ls"], b"sent\xff")
    assert (done.returncode, done.stdout, done.stderr) == (
        7,
        b"-s phone shell ls\nsent\xff",
        b"no\n",
    )
