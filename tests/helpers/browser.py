"""A headless Chromium, driven by its debugging protocol over a pipe."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Page:
    """A tab, and the addresses that it asked for."""

    def __init__(self, told: int, heard: int) -> None:
        self._told, self._heard = told, heard
        self._number, self._held, self._session = 0, b"", None
        self.asked: list[str] = []
        self.errors: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """A command's result."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        said |= {"sessionId": self._session} if self._session else {}
        os.write(self._told, json.dumps(said).encode() + b"\0")
        while True:
            got = self._message()
            if got.get("id") == self._number:
                assert "error" not in got, got
                return got["result"]
            match got.get("method"):
                case "Network.requestWillBeSent":
                    self.asked.append(got["params"]["request"]["url"])
                case "Runtime.exceptionThrown":
                    self.errors.append(json.dumps(got["params"])[:500])
                case "Log.entryAdded":
                    self.errors.append(got["params"]["entry"]["text"])

    def _message(self) -> Any:
        while b"\0" not in self._held:
            self._held += os.read(self._heard, 1 << 16)
        one, _, self._held = self._held.partition(b"\0")
        return json.loads(one)

    def value(self, script: str) -> Any:
        """What a script gives."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20.0) -> None:
        """Until a script gives something that holds."""
        end = time.monotonic() + seconds
        while not self.value(f"Promise.resolve({script}).then(Boolean)"):
            assert time.monotonic() < end, f"{script} never held: {self.errors}"
            time.sleep(0.05)

    def open(self, url: str, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Go to a page, in a window of a size and a scheme of colours."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def picture(self, file: Path) -> None:
        """Write what is seen."""
        shot = self.send("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(shot))


@contextmanager
def browser() -> Iterator[Page]:
    """A tab of a new Chromium."""
    assert CHROMIUM
    to_it, told = os.pipe()
    heard, from_it = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless=new", "--disable-gpu", "--no-sandbox", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update",
                   "--remote-debugging-pipe", f"--user-data-dir={profile}"]  # fmt: skip
        # It reads from 3 and writes to 4.
        line = f'exec "$@" 3<&{to_it} 4>&{from_it}'
        process = subprocess.Popen(
            ["bash", "-c", line, "bash", *command], pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_it)
        os.close(from_it)
        try:
            yield Page(told, heard)
        finally:
            process.kill()
            process.wait()
            os.close(told)
            os.close(heard)
