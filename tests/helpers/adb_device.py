"""A device double: what adbd says on adb's own wire, with this machine's shell behind it.

A message has a header of six words: command, two arguments, length, checksum and the command's
complement; a shell's streams go in packets of a byte and a length. Android's paths are folders
under `root`, and Android's commands are programs in `root/bin`.
"""

import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import BinaryIO

BANNER = b"device::ro.product.name=double;ro.product.model=double;features=shell_v2,cmd"
LARGEST = 256 * 1024
SHELL = shutil.which("mksh") or "/bin/sh"  # mksh is Android's
STDIN, STDOUT, STDERR, EXIT = range(4)
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  status: 3
  level: 81
  scale: 100
  voltage: 4000
  temperature: 315
"""
PROPERTIES = {
    "ro.product.manufacturer": "Acme",
    "ro.product.model": "Double",
    "ro.build.version.release": "14",
}


class Device:
    """On loopback until `unplug`; `room` is how many bytes may still be pushed."""

    def __init__(self, root: Path) -> None:
        self.root, self.room = root, 10**9
        self._links: list[socket.socket] = []
        _furnish(root)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = free.getsockname()
        self.serial = f"127.0.0.1:{self._address[1]}"
        self.plug()

    def plug(self) -> None:
        """Listen, and have the adb server connect."""
        self._listener = socket.create_server(self._address)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        for command in ("disconnect", "connect"):
            subprocess.run(["adb", command, self.serial], capture_output=True, check=False)

    def unplug(self) -> None:
        """Cut the connection, and take no other."""
        # Closing alone would not wake the thread that waits in `accept`.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def here(self, text: str) -> str:
        """A text with Android's paths where they are on this machine."""
        for name in ("/data/local/tmp", "/sys/class"):
            text = text.replace(name, f"{self.root}{name}")
        return text

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                self._links.append(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        streams: dict[int, _Stream] = {}
        with suppress(OSError, EOFError):
            while True:
                command, arg0, arg1, length, _, _ = struct.unpack("<4s5I", _read(link, 24))
                data = _read(link, length)
                match command:
                    case b"CNXN":
                        _send(link, b"CNXN", 0x01000001, LARGEST, BANNER)
                    case b"OPEN":
                        streams[arg0] = _Stream(self, link, arg0, data.rstrip(b"\0").decode())
                    case b"WRTE" if arg0 in streams:
                        _send(link, b"OKAY", arg1, arg0)
                        streams[arg0].received.put(data)
                    case b"OKAY" if arg0 in streams:
                        streams[arg0].ready.release()
                    case b"CLSE" if arg0 in streams:
                        streams.pop(arg0).close()
        for stream in streams.values():
            stream.close()


class _Stream:
    """A service that was opened, `shell` or `sync`; its number is the other side's."""

    def __init__(self, device: Device, link: socket.socket, number: int, service: str) -> None:
        self._device, self._link, self._number = device, link, number
        self.received: Queue[bytes] = Queue()
        self.ready = threading.Semaphore(1)
        self._closed = False
        self._rest = b""
        _send(link, b"OKAY", number, number)
        kind, _, command = service.partition(":")
        serve = self._sync if kind == "sync" else self._shell
        threading.Thread(target=serve, args=(device.here(command),), daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self.received.put(b"")
        self.ready.release()

    def _write(self, data: bytes) -> None:
        self.ready.acquire()
        if self._closed:
            self.ready.release()
            raise BrokenPipeError
        _send(self._link, b"WRTE", self._number, self._number, data)

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            more = self.received.get()
            if not more:
                raise EOFError
            self._rest += more
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _shell(self, command: str) -> None:
        pipe = subprocess.PIPE
        path = f"{self._device.root}/bin:{os.environ['PATH']}"
        process = subprocess.Popen(
            [SHELL, "-c", command],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=os.environ | {"PATH": path},
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        threading.Thread(target=self._feed, args=(process.stdin,), daemon=True).start()
        told = [
            threading.Thread(target=self._tell, args=each)
            for each in ((STDOUT, process.stdout), (STDERR, process.stderr))
        ]
        for thread in told:
            thread.start()
        for thread in told:
            thread.join()
        code = process.wait()
        with suppress(OSError):
            self._write(struct.pack("<BIB", EXIT, 1, code & 255))
            _send(self._link, b"CLSE", self._number, self._number)

    def _feed(self, stdin: BinaryIO) -> None:
        with suppress(OSError, EOFError), stdin:
            while True:
                kind, length = struct.unpack("<BI", self._take(5))
                data = self._take(length)
                if kind != STDIN:
                    break
                stdin.write(data)

    def _tell(self, kind: int, stream: BinaryIO) -> None:
        # Where nobody listens the pipe is closed, and the shell's next word breaks it.
        with suppress(OSError), stream:
            while data := os.read(stream.fileno(), 4096):
                self._write(struct.pack("<BI", kind, len(data)) + data)

    def _sync(self, _: str) -> None:
        with suppress(OSError, EOFError):
            while True:
                name, length = struct.unpack("<4sI", self._take(8))
                path = self._device.here(self._take(length).decode())
                if name == b"QUIT":
                    break
                if name == b"STAT":
                    found = os.stat(path) if os.path.exists(path) else None
                    told = (found.st_mode, found.st_size, 0) if found else (0, 0, 0)
                    self._write(struct.pack("<4s3I", b"STAT", *told))
                elif name == b"SEND":
                    self._store(Path(path.rpartition(",")[0]))
            _send(self._link, b"CLSE", self._number, self._number)

    def _store(self, file: Path) -> None:
        failed = ""
        with file.open("wb") as out:
            while True:
                name, length = struct.unpack("<4sI", self._take(8))
                if name == b"DONE":
                    break
                data = self._take(length)
                self._device.room -= length
                if self._device.room < 0:
                    failed = f"write failed: {os.strerror(errno.ENOSPC)}"
                else:
                    out.write(data)
        said = failed.encode()
        self._write(struct.pack("<4sI", b"FAIL" if failed else b"OKAY", len(said)) + said)


def _read(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _send(link: socket.socket, name: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
    word = int.from_bytes(name, "little")
    header = struct.pack("<4s5I", name, arg0, arg1, len(data), sum(data), word ^ 0xFFFFFFFF)
    link.sendall(header + data)


def _furnish(root: Path) -> None:
    battery = root / "sys/class/power_supply/battery"
    zone = root / "sys/class/thermal/thermal_zone0"
    for folder in (battery, zone, root / "bin", root / "data/local/tmp"):
        folder.mkdir(parents=True)
    (battery / "voltage_now").write_text("4000000\n")
    (battery / "current_now").write_text("-500000\n")
    (zone / "temp").write_text("38400\n")
    (root / "battery").write_text(BATTERY)
    known = "".join(f"{name}) echo '{value}';;\n" for name, value in PROPERTIES.items())
    programs = {
        "getprop": f'case "$1" in\n{known}*) echo;;\nesac',
        "dumpsys": f"case $1 in\nbattery) cat {root}/battery;;\n"
        "thermalservice) echo 'Thermal Status: 1';;\nesac",
        "cmd": "echo 'cmd: Can'\"'\"'t find service: battery' >&2; exit 20",
    }
    for name, text in programs.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / "bin" / name).chmod(0o755)
    program = root / "data/local/tmp/llama_main"
    source = Path(__file__).with_name("llama_main.py").read_text()
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(0o755)
