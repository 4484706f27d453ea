"""Another computer that ssh reaches, such as a Raspberry Pi: with Python, numpy and a runtime."""

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import srl_edge
from srl_edge.artifact import MANIFEST, load
from srl_edge.devices.hosts.last_words import LastWords
from srl_edge.devices.hosts.session import Session
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, fingerprint, text_sha256
from srl_edge.terminal import progress

FOLDER = ".cache/srl-edge/bench"  # on the device, in the user's home
SENT = "model"  # what a single file is called there, whatever its name is here
STALLED = 60.0  # seconds in which a host takes nothing of what is sent, or does not answer
_MOST = 1 << 16  # bytes of an answer to what is asked before a model is loaded
# A host that is gone is noticed in a minute, and not by TCP alone, which takes hours.
_ALIVE = ("ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4")
# ssh ends with this process, even if that is killed: then a pipe of ours ends, the first word here.
_LEASHED = (
    'leash=$1; shift; exec 4<&0; "$@" <&4 & ssh=$!; exec 4<&-; '
    "{ cat /dev/fd/$leash; kill $ssh; } </dev/null >/dev/null 2>&1 & watch=$!; "
    "wait $ssh; code=$?; kill $watch 2>/dev/null; exit $code"
)


class Ssh:
    """A host by the name that ssh knows it by; `options` are ssh's own."""

    def __init__(self, host: str, python: str = "python3", options: Sequence[str] = ()) -> None:
        self._host, self._python = host, python
        alive = [word for setting in _ALIVE for word in ("-o", setting)]
        self._ssh = ["ssh", "-o", "BatchMode=yes", *options, *alive, host]

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Push an artifact or what others made, unless it is there, and the runner; then load it.

        Raises InputError where the host cannot be reached, has no room, or stalls.
        """
        files = _files(kind, folder)
        target = f"{FOLDER}/{_hash(kind, folder, files)[:16]}"
        asked = f"test -f {target}/.complete && echo there"
        if self._run(asked, "it was asked whether the model is there").strip() != b"there":
            self._push(name, files, target)
        sent = target.rpartition("/")[2]
        place = f"{sent}/{SENT}{folder.suffix}" if folder.is_file() else sent
        self._run(
            f"mkdir -p {FOLDER} && cat > {FOLDER}/srl_edge.zip",
            "the runner was sent",
            lambda out: _write_all(out, _runner()),
        )
        command = (
            f"cd {FOLDER} && OMP_NUM_THREADS={threads} PYTHONPATH=srl_edge.zip "
            f"exec {shlex.quote(self._python)} -m srl_edge.devices.hosts.runner "
            f"{kind} {place} {threads}"
        )
        with contextlib.ExitStack() as held:
            words, passed = held.enter_context(_leashed([*self._ssh, command]))
            return Session(name, words, held=held.pop_all(), passed=passed)

    def _push(self, name: str, files: Mapping[str, Path], target: str) -> None:
        size = sum(file.stat().st_size for file in files.values())
        progress.say(f"ssh:{self._host}: {name} is sent there ({size / 1e6:.0f} MB)")
        self._run(
            f"rm -rf {target} && mkdir -p {target} && tar -xf - -C {target} && "
            f"touch {target}/.complete",
            f"{name} was sent",
            lambda out: _tar(files, out),
        )

    def _run(
        self, command: str, doing: str, send: Callable[[IO[bytes]], None] | None = None
    ) -> bytes:
        """What a command says there; doing: what a host that stalls is told to have stalled at.

        send: writes what the command reads.
        """
        with _leashed([*self._ssh, command]) as (words, passed):
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=passed,
            )
            assert process.stdin and process.stdout
            try:
                said = LastWords(process.stderr)
                with _Watched(process) as watched:
                    # Why it takes no more, it says itself.
                    with contextlib.suppress(BrokenPipeError), process.stdin as into:
                        if send:
                            send(_Noted(into, watched))  # type: ignore[arg-type]
                    found = process.stdout.read(_MOST)
                    code = process.wait() if len(found) < _MOST else 255
            finally:
                if process.poll() is None:
                    _kill(process)
                    process.wait()
        if watched.stalled:
            raise InputError(f"ssh:{self._host}: no answer in {STALLED:.0f} s while {doing}.")
        if code and (code == 255 or send):
            raise InputError(f"ssh:{self._host}: {said.line()}")
        return found


class _Watched:
    """Kills a process in which nothing moves for `STALLED` seconds, until its context is left."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self._done, self._moved = process, Event(), time.monotonic()
        self.stalled = False
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def moved(self) -> None:
        """Something was taken."""
        self._moved = time.monotonic()

    def _watch(self) -> None:
        while not self._done.wait(max(0.05, self._moved + STALLED - time.monotonic())):
            if time.monotonic() - self._moved >= STALLED:
                self.stalled = True
                _kill(self._process)
                return


class _Noted(io.RawIOBase):
    """What is written into a pipe, each part of which is noted once it was taken."""

    def __init__(self, into: IO[bytes], watched: _Watched) -> None:
        self._into, self._watched = into, watched

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        written = self._into.write(part)
        self._into.flush()
        self._watched.moved()
        return written


@contextlib.contextmanager
def _leashed(command: Sequence[str]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """A command that ends with this process, and the files that it is to be passed."""
    if sys.platform == "win32":  # no sh
        yield list(command), ()
        return
    ours, theirs = os.pipe()
    try:
        yield ["sh", "-c", _LEASHED, "sh", str(ours), *command], (ours,)
    finally:
        os.close(ours)
        os.close(theirs)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it has started."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _write_all(out: IO[bytes], sent: bytes) -> None:
    for at in range(0, len(sent), _MOST):
        out.write(sent[at : at + _MOST])


def _files(kind: str, path: Path) -> dict[str, Path]:
    """What is sent, by its name there: an artifact's own files, a file, or a folder's."""
    if kind == "artifact":
        return {name: path / name for name in (MANIFEST, *load(path).manifest["files"])}
    if path.is_file():
        return {f"{SENT}{path.suffix}": path}
    return {file.name: file for file in sorted(path.iterdir()) if file.is_file()}


def _hash(kind: str, path: Path, files: Mapping[str, Path]) -> str:
    if kind == "artifact":
        return file_sha256(path / MANIFEST)  # which has those of the others
    return text_sha256("".join(f"{name} {fingerprint(file)}\n" for name, file in files.items()))


def _tar(files: Mapping[str, Path], out: IO[bytes]) -> None:
    with tarfile.open(fileobj=out, mode="w|", dereference=True) as archive:
        for name, file in files.items():
            archive.add(file, name)


def _runner() -> bytes:
    """The modules of this package that a runner may need, as a zip file that Python imports."""
    packed = io.BytesIO()
    package, devices = Path(srl_edge.__file__).parent, Path(__file__).parents[1]
    # In a checkout `devices` is a link, or a text file where git makes no links, and lies beside
    # the package: a walk of the package does not reach it.
    sent = {
        f"srl_edge/{name}": file
        for file in package.rglob("*.py")
        if (name := file.relative_to(package)).parts[0] not in ("trainers", "exporters")
    } | {f"srl_edge/devices/{file.relative_to(devices)}": file for file in devices.rglob("*.py")}
    with zipfile.ZipFile(packed, "w") as archive:
        for place, file in sorted(sent.items()):
            archive.write(file, place)
    return packed.getvalue()
