"""An Android device that adb reaches: ExecuTorch artifacts through ExecuTorch's own llama_main."""

import shlex
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge import processes
from srl_edge.artifact import MANIFEST
from srl_edge.devices.hosts.android import adb, said, shell
from srl_edge.devices.hosts.session import LOADING, RunnerLost, Session
from srl_edge.errors import InputError
from srl_edge.files import file_sha256

# adb's user may run programs under /data/local/tmp alone.
FOLDER = "/data/local/tmp/srl-edge"
LLAMA_MAIN = "/data/local/tmp/llama_main"


class Adb:
    """A device by its serial as `adb devices` lists it; "" is ANDROID_SERIAL's or the only one."""

    def __init__(self, serial: str = "", llama_main: str = "") -> None:
        self._serial, self._llama_main = serial, llama_main or LLAMA_MAIN
        self._met = False

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Push what is missing of an ExecuTorch artifact, and load it there.

        Raises InputError for another artifact, and where the device, llama_main or room is missing;
        RunnerLost where a device is gone that was there before.
        """
        if kind != "artifact" or artifacts.load(folder).format != "executorch":
            raise InputError(
                f"{folder}: adb runs ExecuTorch artifacts alone; export executorch-8da4w, or run "
                "ONNX in the phone's browser (--device browser:link)."
            )
        self._reach()
        adapter = artifacts.load(folder).adapter
        files = ["model.pte", "tokenizer.json", *([adapter.name] if adapter else [])]
        target = f"{FOLDER}/{file_sha256(folder / MANIFEST)[:16]}"
        there = shell(self._serial, f"mkdir -p {target}; ls {target}").stdout.decode().split()
        for file in files:
            if file not in there:
                self._push(folder / file, f"{target}/{file}")
        command = processes.python(
            "srl_edge.devices.hosts.adb_runner",
            self._serial,
            self._llama_main,
            target,
            str(folder),
            str(threads),
            *([adapter.name] if adapter else []),
        )
        return Session(name, command)

    def _reach(self) -> None:
        try:
            found = adb(self._serial, ["get-serialno"])
            if not found.returncode:
                self._serial = found.stdout.decode().strip()
                found = adb(self._serial, ["get-state"])
        except FileNotFoundError:
            raise InputError("adb is not on the PATH; install Android's platform tools.") from None
        if found.returncode:
            named = f"adb:{self._serial}" if self._serial else "adb"
            lost = f"{named}: {said(found.stderr)}"
            if self._met:
                raise RunnerLost(lost)
            raise InputError(f"{lost}; choose from what `adb devices` lists as `device`.")
        if shell(self._serial, f"test -x {shlex.quote(self._llama_main)}").returncode:
            raise InputError(
                f"adb:{self._serial}: no program {self._llama_main}; build ExecuTorch's llama_main "
                "for Android, `adb push` it there and `chmod +x` it, or name it with --llama-main."
            )
        self._met = True

    def _push(self, file: Path, target: str) -> None:
        """Send a file, which has its name only once it is whole."""
        part = f"{target}.part"
        sent = adb(self._serial, ["push", str(file), part], timeout=LOADING)
        if sent.returncode:
            shell(self._serial, f"rm -f {part}")
            why = said(sent.stdout + sent.stderr)  # which of the two depends on adb's version
            raise InputError(
                f"adb:{self._serial}: {why}; make room (earlier artifacts are in {FOLDER}) or "
                "attach the device again, then --resume."
            )
        shell(self._serial, f"mv {part} {target}")
