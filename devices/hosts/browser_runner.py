"""An ONNX artifact in a browser, with the conversation of a runner.

Called as a module with FOLDER THREADS WHERE HOST PORT SCRATCH, and TOKEN in the environment. Serves
a page, onnxruntime-web and the artifact under `http://HOST:PORT/TOKEN/`, opens a headless Chromium
on the page unless WHERE is `link`, and hands it each line of stdin; its answer is printed as a
line. What Chromium writes is in the folder SCRATCH, which whoever called removes.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from srl_edge import attended, processes
from srl_edge.devices.hosts.energy import open_meter
from srl_edge.devices.hosts.machine import describe, peak_mib_below, state
from srl_edge.errors import InputError
from srl_edge.files import cache_folder, scratch_folder

TOKEN = "SRL_EDGE_BROWSER_TOKEN"  # the variable that holds it
VERSION = "1.30.0"
_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Where they lie that are on no PATH: on macOS, and on Windows, which has Edge at least.
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
)
_FLAGS = {
    "wasm": ["--disable-gpu"],
    "webgpu": ["--enable-unsafe-webgpu", "--enable-features=Vulkan"],
}
# What a page cannot tell of the device that it is on.
_UNTOLD = {"load": None, "celsius": None, "battery": None, "governor": None}
_TYPES = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm"}
# A page may use threads only where nothing of another origin can look in.
_ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


def main() -> None:
    folder, threads, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    host, port, token = sys.argv[4], int(sys.argv[5]), os.environ.pop(TOKEN)
    try:
        browser = "" if where == "link" else _browser()
        web = onnxruntime_web()
    except InputError as error:
        sys.exit(str(error))
    processes.listen()
    questions: Queue[str] = Queue()
    roots = {"": Path(__file__).parent, "ort": web, "model": folder}
    server = serve(roots, threads, where, questions, (host, port), token)
    url = f"http://{host}:{server.server_port}/{token}/"
    page = browser and _opened(browser, _FLAGS[where], url, Path(sys.argv[6]))
    try:
        for line in processes.lines(sys.stdin):
            questions.put(line)
    finally:
        if page:
            page.kill()
            page.wait()


def _opened(
    browser: str, flags: Sequence[str], url: str, scratch: Path
) -> "subprocess.Popen[bytes]":
    """A browser on a page. Where it ends, so does this process, with its last words."""
    # Everybody on this computer may read a command, and this folder only its owner.
    start, errors = scratch / "start.html", scratch / "errors.txt"
    start.write_text(f'<meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
    with errors.open("wb") as said:
        page = subprocess.Popen(
            [
                browser,
                "--headless=new",
                "--no-first-run",
                "--disable-sync",
                "--disable-background-networking",
                "--disable-component-update",
                f"--user-data-dir={scratch}",
                *flags,
                *(["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),
                start.as_uri(),
            ],
            # Its temporary files, too; by a short name, since a socket's may have 107 characters.
            cwd=scratch,
            env=os.environ | {"TMPDIR": "."},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    Thread(target=_end_with, args=(page, errors), daemon=True).start()
    return page


def _end_with(page: "subprocess.Popen[bytes]", errors: Path) -> None:
    code = page.wait()
    lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    # Chromium's other processes complain after what ended it: [1:1:1130/120000.1:FATAL:a.cc:1] …
    fatal = (line for line in lines if ":FATAL:" in line)
    last = re.sub(r"^\[[^]]*\] ", "", next(fatal, (lines or ["no message"])[-1]))
    print(f"the browser ended (exit code {code}): {last}", file=sys.stderr, flush=True)
    os._exit(1)


def onnxruntime_web() -> Path:
    """The folder of onnxruntime-web, fetched with npm once a machine.

    Raises InputError where npm is missing, cannot fetch it, or fetched something else.
    """
    folder, npm = _web(), _require_npm()
    if folder.is_dir():
        return folder
    with scratch_folder(folder.parent, folder.name) as scratch:
        command = [npm, "pack", "--silent", f"onnxruntime-web@{VERSION}"]
        done = attended.run(command, folder=scratch)
        packed = next(scratch.glob("*.tgz"), None)
        if done.returncode or packed is None:
            raise InputError(f"onnxruntime-web {VERSION} could not be fetched with npm.")
        if hashlib.sha256(packed.read_bytes()).hexdigest() != _SHA256:
            raise InputError(f"onnxruntime-web {VERSION} from npm is not the one known (sha256).")
        with tarfile.open(packed) as archive:
            archive.extractall(scratch, filter="data")
        (scratch / "package" / "dist").rename(folder)
    return folder


def require_browser(where: str) -> None:
    """Raise InputError where no browser is found that could be started, or nothing to run in it."""
    if where != "link":
        _browser()
    _require_npm()


def _require_npm() -> str:
    """The path of npm; any text where it is not needed any more."""
    npm = shutil.which("npm")
    if npm is None and not _web().is_dir():
        raise InputError("the browser needs onnxruntime-web, which npm fetches: install npm.")
    return npm or ""


def _web() -> Path:
    return cache_folder() / f"onnxruntime-web-{VERSION}"


def _browser() -> str:
    places = map(os.path.expandvars, _PLACES)
    found = next(filter(None, map(shutil.which, (*_BROWSERS, *places))), None)
    if found is None:
        raise InputError(f"no browser on the PATH ({', '.join(_BROWSERS)}); install Chromium.")
    return os.path.abspath(found)


def serve(
    roots: Mapping[str, Path],
    threads: int,
    where: str,
    questions: "Queue[str]",
    address: tuple[str, int],
    token: str,
) -> ThreadingHTTPServer:
    """Serve the folders `roots` and the conversation under the path `token`, and nothing else."""
    meter = open_meter()
    before: list[float | None] = [None]
    settings = {"threads": threads, "backend": "webgpu" if where == "webgpu" else "wasm"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
            if not secrets.compare_digest(first.encode(), token.encode()):
                self.send_error(404)
            elif path == "question":
                question = questions.get()
                before[0] = meter()
                self._send(question.encode(), "application/json")
            elif path == "settings":
                self._send(json.dumps(settings).encode(), "application/json")
            else:
                self._file(path)

        def do_POST(self) -> None:
            if self.path != f"/{token}/answer":
                self.send_error(404)
                return
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(b"", "text/plain")
            if error := said.get("error"):
                print(f"in the browser: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            machine = said.get("machine", {})
            if where == "link":
                machine["processor"] = machine.get("browser")
                said |= {"peak_memory_mib": None, "state": _UNTOLD, "energy_joules": None}
            else:
                machine |= describe(threads) | {"tools": machine.get("tools")}
                start, end = before[0], meter()
                said |= {
                    "peak_memory_mib": peak_mib_below(os.getpid()),
                    "state": state(),
                    "energy_joules": None if start is None or end is None else end - start,
                }
            print(json.dumps(said), flush=True)

        def _file(self, path: str) -> None:
            root, _, name = path.rpartition("/")
            file = roots.get(root, Path()) / (Path(name).name or "browser_page.html")
            if root not in roots or not file.is_file() or file.suffix == ".py":
                self.send_error(404)
                return
            self._send(file.read_bytes(), _TYPES.get(file.suffix, "application/octet-stream"))

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            for name, value in {**_ISOLATED, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(address, Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
