"""A request over HTTP whose whole answer comes within a time and a size."""

import io
import ssl
import time
import zlib
from collections.abc import Mapping
from functools import cache, partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    ProxyHandler,
    Request,
    build_opener,
)

from srl_edge import __version__

_PART = 1 << 16  # bytes that are read at a time
_OF_A_FAULT = 1 << 16  # of what is said with a status that is none of success


class Answer(NamedTuple):
    """What was answered: a status, and the body as it was before it was packed."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300


class Unreached(Exception):
    """Why there is no answer, in a few words."""


class Late(Unreached):
    """The answer was not there in time."""


class Unfit(Unreached):
    """There is one, which cannot be taken."""


def require_address(url: str) -> None:
    """Raise ValueError for what is no URL of HTTP."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it begins with http:// or https:// and a computer's name")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a character that no address has")
    parts.port  # noqa: B018 - raises for one that is no number


def is_loopback(url: str) -> bool:
    """Whether an address is this computer's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ask(
    url: str,
    body: bytes | None,
    seconds: float,
    most: int,
    headers: Mapping[str, str] = MappingProxyType({}),
    proxies: bool = True,
) -> Answer:
    """POST a body of JSON, or GET where it is None; the answer, within `seconds` in all.

    most: bytes of the answer, packed or not. headers: more of them; they go to that address alone,
    since no redirection is followed. proxies: those that the environment names are used. Raises
    Unreached.
    """
    until = time.monotonic() + seconds
    said = {"User-Agent": f"srl-edge/{__version__}", "Content-Type": "application/json", **headers}
    opener = build_opener(
        ProxyHandler(None if proxies else {}), _Stays(), _Http(until), _Https(until)
    )
    try:
        request = Request(url, body, said)
        try:
            with opener.open(request, timeout=seconds) as answer:
                return Answer(answer.status, _all(answer, most), dict(answer.headers))
        except HTTPError as refused:
            with refused:
                text = _all(refused, _OF_A_FAULT, cut=True)
                return Answer(refused.code, text, dict(refused.headers))
    except Unreached:
        raise
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError) or time.monotonic() >= until:
            raise Late(f"no whole answer within {seconds:.0f} s") from None
        raise Unreached(str(reason) or type(reason).__name__) from None


def _all(answer: Any, most: int, cut: bool = False) -> bytes:
    """The body, unpacked; raises Unfit beyond `most` bytes, unless it may be cut there."""
    packed = (answer.headers.get("Content-Encoding") or "identity").lower()
    if packed not in ("identity", "gzip", "deflate"):
        raise Unfit(f"an answer that is packed as {packed[:20]!r}")
    unpacking = None if packed == "identity" else zlib.decompressobj(47 if packed == "gzip" else 15)
    found = bytearray()
    while len(found) <= most and (part := answer.read1(_PART)):
        if unpacking is None:
            found += part
            continue
        try:
            while part and len(found) <= most and not unpacking.eof:
                found += unpacking.decompress(part, _PART)
                part = unpacking.unconsumed_tail
        except zlib.error:
            raise Unfit("an answer that cannot be unpacked") from None
        if unpacking.eof:
            break
    if len(found) > most and not cut:
        raise Unfit(f"an answer of more than {most >> 20} MiB")
    # Unlike read, read1 says nothing of a body that ends too early.
    whole = unpacking.eof if unpacking and found else not answer.length
    if not (whole or cut):
        raise Unfit("an answer that was cut off")
    return bytes(found[:most])


class _Stays(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follows nowhere: a key is meant for one address."""


class _Until(io.RawIOBase):
    """What a socket receives, until a moment; each read has what is left of the time."""

    def __init__(self, sock: Any, until: float) -> None:
        self._sock, self._until = sock, until
        self._received = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if (left := self._until - time.monotonic()) <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        read: int | None = self._received.readinto(buffer)
        return read

    def close(self) -> None:
        self._received.close()
        super().close()


class _Timed:
    """A socket, as far as a response asks for one."""

    def __init__(self, sock: Any, until: float) -> None:
        self._sock, self._until = sock, until

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Until(self._sock, self._until))


def _response(until: float, sock: Any, *args: Any, **options: Any) -> HTTPResponse:
    return HTTPResponse(_Timed(sock, until), *args, **options)  # type: ignore[arg-type]


def _connected(of: type[HTTPConnection], until: float, *args: Any, **options: Any) -> Any:
    made = of(*args, **options)
    made.response_class = partial(_response, until)  # type: ignore[assignment]
    return made


class _Http(HTTPHandler):
    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(_connected, HTTPConnection, self._until), request)


class _Https(HTTPSHandler):
    def __init__(self, until: float) -> None:
        super().__init__(context=_certificates())
        self._until = until

    def https_open(self, request: Request) -> HTTPResponse:
        made = partial(_connected, HTTPSConnection, self._until)
        return self.do_open(made, request, context=_certificates())


@cache
def _certificates() -> ssl.SSLContext:
    """The system's, and those of `certifi` where it is installed: some Pythons find none."""
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context
