"""An OpenAI-compatible endpoint on loopback, whose replies a function gives."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.helpers.listening import listening

# Chats so far -> a reply; a number is a status, None no reply for long, bytes the whole body.
Brain = Callable[[list[dict[str, str]]], str | int | bytes | None]


@contextmanager
def endpoint(brain: Brain) -> Iterator[str]:
    """The URL of one that answers as `brain` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = brain(asked["messages"])
            if reply is None:
                time.sleep(3)
            if isinstance(reply, str):
                said: dict[str, Any] = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": asked["model"],
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": "stop",
                            "message": {"role": "assistant", "content": reply},
                        }
                    ],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
                }
                reply = json.dumps(said).encode()
            self.send_response(reply if isinstance(reply, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(reply if isinstance(reply, bytes) else b"{}")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield f"{url}/v1"
