"""Headless Chromium with one page, through the pipe of its DevTools protocol."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, _NAMES)), "")


class Page:
    """A page; `requests` are the URLs that it asked for, `errors` what its console had to say."""

    def __init__(self, told: IO[bytes], heard: IO[bytes]) -> None:
        self._told, self._heard, self._number = told, heard, 0
        self._session = ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        found = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to a URL, and wait until it is there."""
        self.run("window.old = true")
        self._ask("Page.navigate", url=url)
        self.wait("!window.old && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, or of what it promises."""
        found = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 20.0) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + seconds
        while not self.run(f"Promise.resolve({condition}).then(Boolean)"):
            assert time.monotonic() < end, f"{condition}: {self.errors}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        self._ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        self._ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def size(self, width: int, dark: bool = False) -> None:
        """The window's width in px, and whether it is dark."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def _ask(self, method: str, **values: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        self._told.write(json.dumps(message).encode() + b"\0")
        self._told.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        text = b""
        while (byte := self._heard.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            text += byte
        found: dict[str, Any] = json.loads(text)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        values = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.errors.append(json.dumps(values))
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "warning"):
                self.errors.append(json.dumps(values))


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A page of a browser whose profile is in a folder."""
    read_told, write_told = os.pipe()
    read_heard, write_heard = os.pipe()
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-pipe",
        "--no-first-run",
        f"--user-data-dir={folder}",
    ]
    # The protocol's pipes are the descriptors 3 and 4.
    connected = f'exec "$@" 3<&{read_told} 4>&{write_heard}'
    process = subprocess.Popen(
        ["bash", "-c", connected, "bash", BROWSER, *options],
        pass_fds=(read_told, write_heard),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_told)
    os.close(write_heard)
    try:
        with open(write_told, "wb") as told, open(read_heard, "rb") as heard:
            yield Page(told, heard)
    finally:
        process.kill()
        process.wait()
