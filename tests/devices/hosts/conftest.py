"""What tests of hosts share."""

import getpass
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ssh import served


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ssh's configuration for a server that lets this user in by a key of its own."""
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPermitRootLogin yes\n"
    )
    (folder / "ssh_config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
        f" IdentityFile {folder}/user\n UserKnownHostsFile {folder}/known\n"
        " StrictHostKeyChecking accept-new\n LogLevel ERROR\n"
        f"Host nobody\n HostName 127.0.0.1\n Port {port}\n User nobody\n"
        f" IdentityFile {folder}/host\n UserKnownHostsFile {folder}/known\n LogLevel ERROR\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # where it wants to be confined
    with served(folder, port):
        yield folder / "ssh_config"
