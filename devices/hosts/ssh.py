"""Another computer that ssh reaches, such as a Raspberry Pi: with Python, numpy and a runtime."""

import io
import shlex
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import srl_edge
from srl_edge.artifact import MANIFEST, load
from srl_edge.devices.hosts.session import Session
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, fingerprint, text_sha256

FOLDER = ".cache/srl-edge/bench"  # on the device, in the user's home
SENT = "model"  # what a single file is called there, whatever its name is here


class Ssh:
    """A host by the name that ssh knows it by; `options` are ssh's own."""

    def __init__(self, host: str, python: str = "python3", options: Sequence[str] = ()) -> None:
        self._host, self._python = host, python
        self._ssh = ["ssh", "-o", "BatchMode=yes", *options, host]

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Push an artifact or what others made, unless it is there, and the runner; then load it.

        Raises InputError where the host cannot be reached or has no room.
        """
        files = _files(kind, folder)
        target = f"{FOLDER}/{_hash(kind, folder, files)[:16]}"
        if self._run(f"test -f {target}/.complete && echo there").strip() != b"there":
            self._push(_tar(files), target)
        sent = target.rpartition("/")[2]
        place = f"{sent}/{SENT}{folder.suffix}" if folder.is_file() else sent
        self._run(f"mkdir -p {FOLDER} && cat > {FOLDER}/srl_edge.zip", _runner())
        command = (
            f"cd {FOLDER} && OMP_NUM_THREADS={threads} PYTHONPATH=srl_edge.zip "
            f"exec {shlex.quote(self._python)} -m srl_edge.devices.hosts.runner "
            f"{kind} {place} {threads}"
        )
        return Session(name, [*self._ssh, command])

    def _push(self, packed: bytes, target: str) -> None:
        self._run(
            f"rm -rf {target} && mkdir -p {target} && tar -xf - -C {target} && "
            f"touch {target}/.complete",
            packed,
        )

    def _run(self, command: str, sent: bytes = b"") -> bytes:
        done = subprocess.run([*self._ssh, command], input=sent, capture_output=True, check=False)
        if done.returncode and (done.returncode == 255 or sent):
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise InputError(f"ssh:{self._host}: {said}")
        return done.stdout


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


def _tar(files: Mapping[str, Path]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for name, file in files.items():
            archive.add(file, name)
    return packed.getvalue()


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
