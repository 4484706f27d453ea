"""An OpenSSH server on this machine's loopback."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from srl_edge.devices.hosts.ssh import FOLDER

# Where it can be confined in /run/sshd, as on Linux: the folder is there, or can be made.
CONFINED = Path("/run/sshd").is_dir() or os.access("/run", os.W_OK)
SSHD = (shutil.which("sshd") or shutil.which("/usr/sbin/sshd")) if CONFINED else None


@contextmanager
def tidied() -> Iterator[None]:
    """What is pushed meanwhile is removed."""
    home = Path.home() / FOLDER
    before = set(home.glob("*")) if home.is_dir() else set()
    yield
    for pushed in set(home.glob("*")) - before:
        shutil.rmtree(pushed) if pushed.is_dir() else pushed.unlink()


@contextmanager
def served(folder: Path, port: int, largest: int = -1) -> Iterator[None]:
    """A server whose users can write no file of more than `largest` bytes."""
    import resource  # not on Windows

    server = subprocess.Popen(
        [str(SSHD), "-D", "-e", "-p", str(port), "-f", str(folder / "sshd_config")],
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield
    stop_connections(port)
    server.kill()
    server.wait()


def stop_connections(port: int) -> None:
    """End a server's connections, as an unplugged cable would."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(connection.pid)
                if connection.status == psutil.CONN_ESTABLISHED:
                    process.kill()
