"""A folder in which commands of an agent run, and nothing else of the machine that they can change.

Bubblewrap shows them that folder and the system's programs, without a network. Where it is missing
they run under limits alone, as nobody if we are root, and paths outside are refused by their text;
`confinement` says which. Either way: bounded seconds, memory, files and processes.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from srl_edge.errors import StageError

SECONDS = 10.0
_NOBODY = 65534
_SHOWN = 600  # characters of an output
# CPU seconds, KiB of memory, blocks of a file, processes, open files.
_LIMITS = "ulimit -t 10; ulimit -v 2000000; ulimit -f 16384; ulimit -u 64; ulimit -n 256"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_OUTSIDE = re.compile(r"""(?:^|[\s'"=:(<>|;&`])(?:/(?!dev/null\b)|~|\.\.(?:/|\s|$))""")
BUBBLEWRAP, LIMITS = "bubblewrap", "limits alone"


class Outcome(NamedTuple):
    """What a command wrote, cut in the middle where it is long, and its exit status."""

    output: str
    status: int


class Sandbox:
    """A new folder `root`, removed with all that runs in it when its context is left."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="srl-edge-agent-"))
        self.root = self._home / "work"
        self.root.mkdir()
        self.owned()

    def owned(self) -> None:
        """Give what was put into the folder to whom its commands run as."""
        if _user() is not None:
            self._home.chmod(0o711)
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, command: str, seconds: float = SECONDS) -> Outcome:
        """Run a line of bash; status 124 where it took too long, 126 where it is refused."""
        if "\0" in command:
            return Outcome("refused: a NUL character", 126)
        if confinement() == LIMITS and _OUTSIDE.search(command):
            return Outcome("refused: a path outside of the folder", 126)
        limited = f'{_LIMITS}; exec bash -c "$1"'
        inside = ["bash", "-c", limited, "bash", command]
        with tempfile.TemporaryFile() as written:
            process = subprocess.Popen(
                [*_around(self.root), *inside],
                stdin=subprocess.DEVNULL, stdout=written, stderr=written, cwd=self.root,
                env=_environment(self.root), start_new_session=True, **_as_user(),
            )  # fmt: skip
            try:
                status = process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                status = 124
            finally:
                _end(process)
            written.seek(0)
            output = written.read(1 << 20).decode("utf-8", "replace")
        return Outcome(_shown(output, self.root), 124 if status == -signal.SIGKILL else status)


@cache
def confinement() -> str:
    """What keeps commands in their folder here: `bubblewrap`, or `limits alone`."""
    if os.name != "posix" or not shutil.which("bash"):
        raise StageError("agents: commands of a shell need bash, as Linux and macOS have it.")
    if not shutil.which("bwrap"):
        return LIMITS
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tried = subprocess.run(
            [*_bubblewrap(Path(folder)), "true"], capture_output=True, **_as_user()
        )
    return LIMITS if tried.returncode else BUBBLEWRAP


def _around(root: Path) -> list[str]:
    return _bubblewrap(root) if confinement() == BUBBLEWRAP else []


def _bubblewrap(root: Path) -> list[str]:
    made = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    made += ["--tmpfs", "/tmp"]
    for path in _SYSTEM:
        if os.path.islink(path):
            made += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            made += ["--ro-bind", path, path]
    if not sys.base_prefix.startswith("/usr") and _user() is None:
        made += ["--ro-bind", sys.base_prefix, sys.base_prefix]
    for path in ("/etc/alternatives", "/etc/ld.so.cache"):
        made += ["--ro-bind-try", path, path]
    return [*made, "--bind", str(root), str(root), "--chdir", str(root)]


def _environment(root: Path) -> dict[str, str]:
    own = [] if _user() is not None else [str(Path(sys.base_prefix) / "bin")]
    return {
        "PATH": os.pathsep.join([*own, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(root), "TMPDIR": "/tmp" if confinement() == BUBBLEWRAP else str(root),
        "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat",
    }  # fmt: skip


def _user() -> int | None:
    """Whom commands run as, where that is not us: root's are nobody's."""
    return _NOBODY if os.name == "posix" and os.geteuid() == 0 else None


def _as_user() -> dict[str, Any]:
    user = _user()
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what a command has left running."""
    try:
        left = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        left = []
    for each in left:
        with contextlib.suppress(psutil.Error):
            each.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _shown(output: str, root: Path) -> str:
    """An output without the folder's own name, cut in its middle where it is long."""
    text = output.replace(f"{root}/", "").replace(str(root), ".").rstrip()
    if len(text) <= _SHOWN:
        return text
    half = _SHOWN // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
