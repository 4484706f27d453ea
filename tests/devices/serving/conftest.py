"""An artifact of a model that was taught to solve in steps, and servers of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from srl_edge.devices.serving import running
from srl_edge.devices.serving.worker import Worker
from tests.helpers.artifacts import artifact_of

Serve = Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]


@pytest.fixture(scope="session")
def artifact(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artifact_of(taught_model, tmp_path_factory.mktemp("served"))


@contextmanager
def started(what: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server in a process of its own, as people start it: its URL, and the process."""
    command = [sys.executable, "-m", "srl_edge", "serve", str(what), "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--threads", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # Where this process was started to ignore Ctrl-C, a child would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["url"], process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def serve() -> Serve:
    return started


@contextmanager
def beside(what: Path, queue: int) -> Iterator[str]:
    """The URL of a server in a thread of this process."""
    bound = running.listening("127.0.0.1", 0)
    worker = Worker(what, 1, 0, queue)
    answers = running.server_of(worker, "127.0.0.1")
    thread = Thread(target=lambda: asyncio.run(answers.serve(sockets=[bound])), daemon=True)
    thread.start()
    yield running.url_of("127.0.0.1", bound)
    answers.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def url(artifact: Path) -> Iterator[str]:
    """A server of the artifact."""
    with beside(artifact, 8) as url:
        yield url


@pytest.fixture(scope="session")
def slow_url(tiny_model: Path) -> Iterator[str]:
    """A server that takes seconds for a long reply, at which one more request may wait."""
    with beside(tiny_model, 1) as url:
        yield url
