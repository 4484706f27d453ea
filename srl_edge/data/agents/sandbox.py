"""A folder in which commands of an agent run, and nothing else of the machine that they can change.

Bubblewrap shows them that folder and the system's programs, without a network. Where it is missing
they run under limits alone, as nobody if we are root, and paths outside are refused by their text;
`confinement` says which. Either way: bounded seconds, memory, disk and processes.
"""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from srl_edge.data.values import is_text
from srl_edge.errors import InputError
from srl_edge.files import left_in, scratch_folder

SECONDS = 10.0
_NOBODY = 65534
_SEEN = "/home/agent"  # where bubblewrap shows the folder; /tmp has another of our own
_SHOWN = 600  # characters of an output
_LONGEST = 100_000  # bytes of a command; the system takes 128 KiB
_WATCHED = 0.2  # seconds between two looks at what a command takes
_MEMORY, _DISK = 3 << 30, 512 << 20  # bytes, of all its processes and of its folder
# Whom to end first where memory is short; CPU seconds, KiB of memory, blocks of a file, open files.
_LIMITS = (
    "echo 1000 2>/dev/null > /proc/self/oom_score_adj; "
    # macOS bounds no memory, and would say so to the agent.
    "ulimit -t 10; ulimit -v 2000000 2>/dev/null; ulimit -f 16384; ulimit -n 64"
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# A path from the root or of a home, one that goes up, and what ends processes of others.
_OUTSIDE = re.compile(
    r"""(?:^|[\s'"=:(<>|;&`{,])(?:/(?!dev/null\b)|~)|(?:^|[^\w.])\.\.(?![\w.])"""
    r"""|\b(?:p|s)?kill(?:all)?\b"""
)
BUBBLEWRAP, LIMITS = "bubblewrap", "limits alone"


class Outcome(NamedTuple):
    """What a command wrote, cut in the middle where it is long, and its exit status."""

    output: str
    status: int


class Sandbox:
    """A new folder `root`, removed with all that runs in it when its context is left."""

    def __init__(self) -> None:
        beside = Path(tempfile.gettempdir())
        _remove_left(beside)
        self._made = scratch_folder(beside, "agent")
        self._home = self._made.__enter__()
        self.root, self._scratch = self._home / "work", self._home / "tmp"
        self.root.mkdir()
        self._scratch.mkdir()
        self.owned()

    def owned(self) -> None:
        """Give what was put into the folder to whom its commands run as."""
        if _user() is not None:
            self._home.parent.chmod(0o711)
            self._home.chmod(0o711)
            for path in (self._scratch, self.root, *self.root.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder, however deep it is, and whatever in it may not be read."""
        if confinement() == LIMITS:
            self._end_detached()
        _remove(self._home)
        self._made.__exit__(None, None, None)

    def run(self, command: str, seconds: float = SECONDS) -> Outcome:
        """Run a line of bash.

        Its status is 124 where it took too long, 125 where too much memory or disk, and 126 where
        it is refused.
        """
        if not is_text(command):
            return Outcome("refused: a character that no command has", 126)
        if len(command.encode()) > _LONGEST:
            return Outcome("refused: a command that is too long", 126)
        if confinement() == LIMITS and _OUTSIDE.search(command):
            return Outcome("refused: a path outside of the folder, or an end of processes", 126)
        if _size(self._home) > _DISK:
            return Outcome("refused: the folder is full", 125)
        limited = f'{_LIMITS}; ulimit -u {_processes()} 2>/dev/null; exec bash -c "$1"'
        inside = ["bash", "-c", limited, "bash", command]
        with tempfile.TemporaryFile() as written:
            if (user := _user()) is not None:
                os.fchown(written.fileno(), user, user)  # /dev/stderr opens it again
            process = subprocess.Popen(
                [*_around(self.root, self._scratch), *inside],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                cwd=self.root,
                env=_environment(self.root),
                start_new_session=True,
                **_as_user(),
            )
            try:
                status = self._watched(process, seconds)
            finally:
                _end(process)
            written.seek(0)
            output = written.read(1 << 20).decode("utf-8", "replace")
        return Outcome(_shown(output, self.root), 124 if status == -signal.SIGKILL else status)

    def _end_detached(self) -> None:
        """End what left its group and has other parents, until a look finds none."""
        until = time.monotonic() + SECONDS
        while (found := self._detached()) and time.monotonic() < until:
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def _detached(self) -> list[psutil.Process]:
        """Processes in the folder, or with the home that it gave.

        One that is just starting has the folder, but shows no environment yet.
        """
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if (
                    Path(process.cwd()).is_relative_to(self._home)
                    or process.environ().get("HOME") == str(self.root)
                ) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _watched(self, process: "subprocess.Popen[bytes]", seconds: float) -> int:
        """The status of a process, once it ends or takes too much."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=min(left, _WATCHED))
            inside = _inside(process)
            if _memory(inside) > _MEMORY or _size(self._home) + _unnamed(inside) > _DISK:
                return 125
        return 124


def require_shell(what: str) -> None:
    """Raise InputError where commands of a shell cannot run here; `what` wants them."""
    if os.name != "posix" or not (shutil.which("bash") and shutil.which("git")):
        raise InputError(f"{what}: commands of a shell need bash and git, on Linux or macOS alone.")


@cache
def confinement() -> str:
    """What keeps commands in their folder here: `bubblewrap`, or `limits alone`."""
    require_shell("agents")
    if not shutil.which("bwrap"):
        return LIMITS
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tried = subprocess.run(
            [*_bubblewrap(Path(folder), Path(folder)), "true"], capture_output=True, **_as_user()
        )
    return LIMITS if tried.returncode else BUBBLEWRAP


@cache
def _remove_left(beside: Path) -> None:
    """Remove the folders of killed processes, which a plain removal may fail at; once is enough."""
    for folder in left_in(beside, deep=False):
        _remove(folder)


def _remove(folder: Path) -> None:
    remove = ["rm", "-rf", str(folder)]
    if subprocess.run(remove, capture_output=True).returncode:
        subprocess.run(["chmod", "-R", "u+rwX", str(folder)], capture_output=True)
        subprocess.run(remove, capture_output=True)


def is_weak() -> bool:
    """Whether a command of somebody who means harm could leave its folder here."""
    return confinement() != BUBBLEWRAP


def kept() -> str:
    """What keeps commands in their folder, as a sentence."""
    return f"commands are kept in their folder by {confinement()}"


def _around(root: Path, scratch: Path) -> list[str]:
    return _bubblewrap(root, scratch) if confinement() == BUBBLEWRAP else []


def _bubblewrap(root: Path, scratch: Path) -> list[str]:
    """What is there is read-only, but for two folders on disk: memory has no bound of ours."""
    made = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    made += ["--bind", str(scratch), "/tmp", "--bind", str(scratch), "/dev/shm"]
    for path in _SYSTEM:
        if os.path.islink(path):
            made += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            made += ["--ro-bind", path, path]
    if not sys.base_prefix.startswith("/usr") and _user() is None:
        made += ["--ro-bind", sys.base_prefix, sys.base_prefix]
    for path in ("/etc/alternatives", "/etc/ld.so.cache"):
        made += ["--ro-bind-try", path, path]
    made += ["--bind", str(root), _SEEN, "--chdir", _SEEN]
    return [*made, "--remount-ro", "/", "--remount-ro", "/dev"]


def _environment(root: Path) -> dict[str, str]:
    own = [] if _user() is not None else [str(Path(sys.base_prefix) / "bin")]
    confined = confinement() == BUBBLEWRAP
    return {
        "PATH": os.pathsep.join([*own, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": _SEEN if confined else str(root),
        "TMPDIR": "/tmp" if confined else str(root),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
    }


def _user() -> int | None:
    """Whom commands run as, where that is not us: root's are nobody's."""
    return _NOBODY if os.name == "posix" and os.geteuid() == 0 else None


def _as_user() -> dict[str, Any]:
    user = _user()
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _processes() -> int:
    """How many a user may have: nobody has no others, whereas we may have hundreds of threads."""
    return 4096 if _user() is None else 64


def _inside(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """A command's processes."""
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(inside: Iterable[psutil.Process]) -> int:
    """Bytes that processes have."""
    total = 0
    for each in inside:
        with contextlib.suppress(psutil.Error):
            total += each.memory_info().rss
    return total


def _unnamed(inside: Iterable[psutil.Process]) -> int:
    """Bytes of the files without a name that processes hold open, in memory or on disk (Linux)."""
    held = {}
    for each in inside:
        with contextlib.suppress(OSError):
            for file in os.scandir(f"/proc/{each.pid}/fd"):
                with contextlib.suppress(OSError):
                    found = os.stat(file.path)
                    if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                        held[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(held.values())


def _size(folder: Path) -> int:
    """Bytes on disk; `du` goes as deep as folders do."""
    try:
        used = subprocess.run(["du", "-sk", str(folder)], capture_output=True, timeout=SECONDS)
        return int(used.stdout.split()[0]) << 10
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return _DISK + 1


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what a command has left running."""
    for each in _inside(process)[1:]:
        with contextlib.suppress(psutil.Error):
            each.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _shown(output: str, root: Path) -> str:
    """An output without the folder's own name, cut in its middle where it is long."""
    for name in (str(root), _SEEN):
        output = output.replace(f"{name}/", "").replace(name, ".")
    text = output.replace("\0", "\ufffd").rstrip()
    if len(text) <= _SHOWN:
        return text
    half = _SHOWN // 2
    return f"{text[:half]}\n…\n{text[-half:]}"
