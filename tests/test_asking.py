"""Answers over HTTP come within a time and a size, or not at all."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import psutil
import pytest

from srl_edge.asking import Late, Unfit, Unreached, ask, is_loopback, require_address
from tests.helpers.listening import listening

Say = Callable[[Any], None]
MIB = 1 << 20


@contextmanager
def saying(say: Say, seen: list[dict[str, str]] | None = None) -> Iterator[str]:
    """The URL of what answers as `say` does, which is given the handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with suppress(OSError):
                say(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield url


def begun(handler: Any, **headers: str) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def body_that_drips(handler: Any) -> None:
    begun(handler, Content_Length="100000")
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.2)


def chunks_that_drip(handler: Any) -> None:
    begun(handler, Transfer_Encoding="chunked")
    while True:
        handler.wfile.write(b"1\r\n \r\n")
        handler.wfile.flush()
        time.sleep(0.2)


def headers_that_drip(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.2)


def silence(handler: Any) -> None:
    time.sleep(4)


@pytest.mark.parametrize("say", [body_that_drips, chunks_that_drip, headers_that_drip, silence])
def test_a_time_holds_for_the_whole_answer(say: Say) -> None:
    start = time.monotonic()
    with saying(say) as url, pytest.raises(Late, match="no whole answer within 1 s"):
        ask(url, b"{}", 1, MIB)
    assert time.monotonic() - start < 3


def endless(handler: Any) -> None:
    begun(handler)
    while True:
        handler.wfile.write(bytes(MIB))


def bomb(packed: int) -> Say:
    def say(handler: Any) -> None:
        begun(handler, Content_Encoding="gzip" if packed == 31 else "deflate")
        making = zlib.compressobj(9, wbits=packed)
        for _ in range(2000):
            handler.wfile.write(making.compress(b" " * MIB))
        handler.wfile.write(making.flush())

    return say


@pytest.mark.parametrize("say", [endless, bomb(31), bomb(15)])
def test_a_size_holds_also_once_it_is_unpacked(say: Say) -> None:
    before = psutil.Process().memory_info().rss
    with saying(say) as url, pytest.raises(Unfit, match="an answer of more than 2 MiB"):
        ask(url, b"{}", 60, 2 * MIB)
    assert psutil.Process().memory_info().rss - before < 200 * MIB


def test_what_comes_in_time_is_whole() -> None:
    text = bytes(range(256)) * 4000
    packed: list[tuple[bytes, dict[str, str]]] = [
        (text, {}),
        (text, {"Content_Length": str(len(text))}),
        (gzip.compress(text, mtime=0), {"Content_Encoding": "gzip"}),
        (zlib.compress(text), {"Content_Encoding": "deflate"}),
        (gzip.compress(text, mtime=0) + bytes(100), {"Content_Encoding": "GZip"}),
    ]
    for body, headers in packed:

        def say(handler: Any, body: bytes = body, headers: dict[str, str] = headers) -> None:
            begun(handler, **headers)
            handler.wfile.write(body)

        with saying(say) as url:
            answer = ask(url, None, 30, MIB)
        assert answer.ok and answer.body == text


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        (b"{", {"Content_Length": "9"}, "cut off"),
        (gzip.compress(b"x" * 9, mtime=0)[:-9], {"Content_Encoding": "gzip"}, "cut off"),
        (b"not packed", {"Content_Encoding": "gzip"}, "cannot be unpacked"),
        (b"x", {"Content_Encoding": "br"}, "packed as 'br'"),
    ],
)
def test_half_an_answer_is_none(body: bytes, headers: dict[str, str], why: str) -> None:
    def say(handler: Any) -> None:
        begun(handler, **headers)
        handler.wfile.write(body)

    with saying(say) as url, pytest.raises(Unfit, match=why):
        ask(url, b"{}", 30, MIB)


def test_a_fault_is_told_by_its_status_and_words() -> None:
    def say(handler: Any) -> None:
        handler.send_response(503)
        handler.end_headers()
        handler.wfile.write(b"busy" * MIB)

    with saying(say) as url:
        answer = ask(url, b"{}", 30, 10)
    assert answer.status == 503 and not answer.ok
    assert answer.body.startswith(b"busy") and len(answer.body) <= 1 << 16


def test_a_key_goes_to_no_other_address() -> None:
    seen: list[dict[str, str]] = []

    with saying(lambda handler: begun(handler), seen) as other:

        def elsewhere(handler: Any) -> None:
            handler.send_response(302)
            handler.send_header("Location", other)
            handler.end_headers()

        with saying(elsewhere) as url:
            assert ask(url, None, 30, MIB, {"Authorization": "Bearer k"}).status == 302
    assert not seen


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://127.0.0.1:x", "http://[::1", "file:///a"]
)
def test_what_cannot_be_reached_is_said(url: str) -> None:
    with pytest.raises(Unreached):
        ask(url, None, 5, MIB)


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "ftp://a", "http://", "http://a:x", "http://a/\u00fc", "http://a/ b", "a", ""],
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        require_address(url)


def test_this_computer_is_known() -> None:
    ours = ("http://127.0.0.1:80/v1", "http://127.9.9.9", "http://[::1]:8000", "http://LOCALHOST")
    assert all(map(is_loopback, ours))
    others = ("http://192.168.0.7", "http://localhost.evil.org", "http://[::2]", "http://0.0.0.0")
    assert not any(map(is_loopback, others))
