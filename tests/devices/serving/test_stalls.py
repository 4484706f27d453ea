"""Clients that say nothing, do not read, do not end, or ask for what no model can read."""

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from srl_edge.devices.runtimes.chat import Chat
from srl_edge.devices.serving import running


def post(url: str, path: str, asked: bytes | dict[str, Any], **headers: str) -> tuple[int, Any]:
    """The status and the JSON of a reply."""
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST", path, body, {"Content-Type": "application/json"} | headers)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def health(url: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/health")
    return connection.getresponse().status


def test_connections_that_say_nothing_do_not_keep_others_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SILENT_SECONDS", 1.0)
    address = urlsplit(url)
    with ExitStack() as left:
        for said in (b"", b"GET / HTTP/1.1\r\nX-A: ") * (running.CONNECTIONS // 2):
            to = socket.create_connection((address.hostname, address.port), timeout=10)
            left.enter_context(to).sendall(said)
        assert health(url) == 503
        time.sleep(1.5)
        assert health(url) == 200


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("first", "then", "trickle"),
    [
        (GET + b"\r\n", GET, b""),
        (GET + b"Content-Length: 1000000000\r\n\r\n", b"", b"x"),
        (GET + b"\r\n", GET, b"X: y\r\n"),
        (GET + b"\r\n", (GET + b"\r\n") * 900, b""),  # and reads none of the replies
    ],
)
def test_a_connection_that_sends_no_whole_request_is_closed_whatever_it_sent_before(
    url: str, monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes, trickle: bytes
) -> None:
    monkeypatch.setattr(running, "SILENT_SECONDS", 0.7)
    address, start = urlsplit(url), time.monotonic()
    with socket.create_connection((address.hostname, address.port), timeout=1) as to:
        to.sendall(first)
        assert to.recv(4096).startswith(b"HTTP/1.1 200")
        try:
            to.sendall(then)
            while time.monotonic() - start < 2.5:
                time.sleep(0.1)
                to.sendall(trickle)
            while to.recv(1 << 20):
                pass
        except TimeoutError:
            pytest.fail("it is still open")
        except ConnectionError:
            pass


def test_a_connection_whose_reply_is_being_written_or_waits_stays(
    slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SILENT_SECONDS", 0.05)
    ask = {"messages": [{"role": "user", "content": "Ann"}], "max_tokens": 300}
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: post(slow_url, "/v1/chat/completions", ask)[0], range(2)))
    assert found == [200, 200] and time.monotonic() - start > 0.3


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 413), ({"Content-Type": "text/plain"}, 415), ({"Host": "x"}, 403)]
)
def test_a_client_that_still_sends_reads_why_it_is_refused(
    url: str, headers: dict[str, str], status: int
) -> None:
    got, said = post(url, "/solve", b" " * (24 << 20), **headers)
    assert got == status and said["error"]["message"]


@pytest.mark.parametrize(
    ("path", "asked", "said"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a" * 99_999}]}, "cha"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": ""}] * 600},
            "600 turns",
        ),
        ("/solve", {"problem": "a" * 99_999}, "characters"),
    ],
)
def test_a_prompt_that_no_context_holds_is_refused_before_it_is_read(
    url: str, monkeypatch: pytest.MonkeyPatch, path: str, asked: dict[str, Any], said: str
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("it was rendered")

    monkeypatch.setattr(Chat, "render", never)
    status, body = post(url, path, asked)
    assert status == 400 and said in body["error"]["message"]
    assert "takes 512 tokens" in body["error"]["message"]


@pytest.mark.parametrize(
    "field",
    [
        '"messages": [%s]',
        '"messages": [{"role": "user", "content": [%s]}]',
        '"messages": [{"role": "assistant", "tool_calls": [%s]}]',
        '"messages": [{"role": "user", "content": "x"}], "tools": [%s]',
        '"messages": [{"role": "user", "content": "x"}], "stop": [%s]',
    ],
)
@pytest.mark.parametrize("value", ["0", "{}"])
def test_of_many_values_that_are_wrong_the_first_is_enough(
    url: str, field: str, value: str
) -> None:
    many = ",".join([value] * ((2 << 20) // (len(value) + 1) - 100))
    start = time.process_time()
    status, said = post(url, "/v1/chat/completions", ("{" + field % many + "}").encode())
    assert status == 400 and said["error"]["message"] and time.process_time() - start < 3
