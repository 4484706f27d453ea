"""A browser, on this computer or by a link: the ONNX artifact through onnxruntime-web."""

import os
import secrets
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge import processes
from srl_edge.devices.hosts.browser_runner import TOKEN
from srl_edge.devices.hosts.session import Session
from srl_edge.errors import InputError
from srl_edge.files import read_json, scratch_folder
from srl_edge.models.families import family_of
from srl_edge.terminal import progress


class Browser:
    """Headless Chromium with onnxruntime-web's WASM or WebGPU backend; or, as `link`, any browser.

    A link is served to the local network, and says where; its page is opened by hand and runs WASM.
    """

    def __init__(self, where: str = "wasm") -> None:
        self._where = where
        self._host = _address() if where == "link" else "127.0.0.1"
        self._token = secrets.token_urlsafe(9)
        self._port = 0
        if where == "link":
            # One address for all of a run's sessions, so that the page is opened once.
            with socket.socket() as free:
                free.bind((self._host, 0))
                self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """What to open, for a link."""
        return f"http://{self._host}:{self._port}/{self._token}/"

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        """Load an ONNX artifact in a browser; raises InputError for what it cannot take."""
        if kind != "artifact" or artifacts.load(folder).format != "onnx":
            raise InputError(f"{folder}: the browser runs ONNX artifacts alone, of srl-edge.")
        model_type = read_json(folder / "config.json", "ModelConfig")["model_type"]
        family_of(model_type, "browser", folder, "run in a browser")
        if self._where == "link":
            progress.say(f"{name}: open {self.url} on the device, and leave it open.")
        held = ExitStack()
        scratch = held.enter_context(scratch_folder(Path(tempfile.gettempdir()), "browser"))
        command = processes.python(
            "srl_edge.devices.hosts.browser_runner",
            str(folder),
            str(threads),
            self._where,
            self._host,
            str(self._port),
            str(scratch),
        )
        return Session(name, command, os.environ | {TOKEN: self._token}, held)


def _address() -> str:
    """This computer's address on the local network; loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: a route is chosen, no more
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
