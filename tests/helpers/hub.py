"""A stand-in for a hub on loopback, as far as huggingface_hub and datasets ask it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.helpers.listening import listening

TOKEN = "hf_of_a_test"
COMMIT = "1" * 40


@dataclass
class Hub:
    """What it was asked and what it holds: files by repository and path.

    refuse: the status with which it answers a commit.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    refuse: int = 0


def _hash(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _entries(files: dict[str, bytes], folder: str, whole: bool) -> Iterator[dict[str, Any]]:
    """What is in a folder, and in the folders of it where all is asked for."""
    seen = set()
    for name, content in files.items():
        inner = name.removeprefix(f"{folder}/" if folder else "")
        if folder and inner == name:
            continue
        if "/" in inner and not whole:
            name = name[: len(name) - len(inner)] + inner.split("/")[0]
            if name not in seen:
                yield {"type": "directory", "path": name, "oid": _hash(name.encode())}
            seen.add(name)
        else:
            yield {"type": "file", "path": name, "size": len(content), "oid": _hash(content)}


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that takes every name, for a while."""
    kept = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            kept.asked.append(f"{self.command} {self.path}")
            if found := re.fullmatch(
                r"(?:/datasets)?/([\w.-]+/[\w.-]+)/resolve/[^/]+/([^?]+).*", self.path
            ):
                self._file(found[1], found[2])
                return
            found = re.fullmatch(
                r"/api/(?:models|datasets)/([\w.-]+/[\w.-]+)(/revision/[^/?]+|/tree/.*)?(?:\?.*)?",
                self.path,
            )
            if not found or found[1] not in kept.files:
                self._answer(404, {"error": "no such repository"}, "RepoNotFound")
                return
            names = kept.files[found[1]]
            if tree := re.match(r"/tree/[^/]+/?(.*)", found[2] or ""):
                whole = "recursive=true" in self.path.lower()
                self._answer(200, list(_entries(names, tree[1].partition("?")[0], whole)))
                return
            self._answer(
                200,
                {
                    "id": found[1],
                    "sha": COMMIT,
                    "private": kept.private.get(found[1], False),
                    "siblings": [{"rfilename": name} for name in names],
                },
            )

        def _file(self, repository: str, name: str) -> None:
            content = kept.files.get(repository, {}).get(name)
            if content is None:
                self._answer(404, {"error": "no such file"}, "EntryNotFound")
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{_hash(content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_POST(self) -> None:
            kept.asked.append(f"POST {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, {"error": "Invalid token"})
            elif self.path == "/api/repos/create":
                self._create(json.loads(body))
            elif self.path == "/api/validate-yaml":
                kept.cards.append(json.loads(body)["content"])
                self._answer(200, {"errors": [], "warnings": []})
            elif self.path.endswith("/preupload/main"):
                self._answer(
                    200,
                    {
                        "files": [
                            {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                            for each in json.loads(body)["files"]
                        ]
                    },
                )
            elif found := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
                self._commit(found[1], body)
            else:
                self._answer(404, {"error": self.path})

        def _create(self, asked: dict[str, Any]) -> None:
            owner = asked.get("organization") or "me"
            name = asked["name"] if "/" in asked["name"] else f"{owner}/{asked['name']}"
            if name in kept.files:
                self._answer(409, {"error": "it is there", "url": f"{kept.url}/{name}"})
                return
            kept.files[name] = {".gitattributes": b""}
            visible = asked.get("visibility")
            kept.private[name] = bool(asked.get("private")) or visible == "private"
            self._answer(200, {"url": f"{kept.url}/{name}", "name": name, "id": name})

        def _commit(self, name: str, body: bytes) -> None:
            if kept.refuse:
                self._answer(kept.refuse, {"error": "you may not write here"})
                return
            for line in body.decode().splitlines():
                if (row := json.loads(line))["key"] == "file":
                    content = base64.b64decode(row["value"]["content"])
                    kept.files[name][row["value"]["path"]] = content
            self._answer(
                200,
                {
                    "commitUrl": f"{kept.url}/{name}/commit/{'0' * 40}",
                    "commitOid": "0" * 40,
                    "pullRequestUrl": None,
                    "success": True,
                },
            )

        def _answer(self, status: int, value: Any, code: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        kept.url = url
        yield kept
