"""The real server in a process of its own, asked by OpenAI's client, by curl, and by strangers."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from srl_edge.devices.serving.guard import Guard
from srl_edge.devices.serving.model import Model, Sampling
from srl_edge.devices.serving.server import LARGEST
from srl_edge.errors import InputError
from tests.helpers.command_line import called

ASK: dict[str, Any] = {
    "model": "onnx-fp32",
    "messages": [{"role": "user", "content": "Ann has 12 cats and 30 dogs."}],
    "max_tokens": 30,
}


def client(url: str) -> Any:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30)


def send(
    url: str, path: str, body: bytes | None = None, method: str = "", **headers: str
) -> tuple[int, Any]:
    """The status and the JSON of a reply."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def asked(url: str, path: str = "/v1/chat/completions", **changes: Any) -> tuple[int, Any]:
    body = {k: v for k, v in (ASK | changes).items() if v is not ...}
    return send(url, path, json.dumps(body).encode())


def test_openais_client_is_answered_as_the_model_answers(url: str, artifact: Path) -> None:
    api = client(url)
    (listed,) = api.models.list()
    assert listed.id == "onnx-fp32" == api.models.retrieve("onnx-fp32").id
    found = api.chat.completions.create(**ASK)
    expected = Model(artifact, 1).reply(ASK["messages"], Sampling(max_new_tokens=30))
    choice = found.choices[0]
    assert choice.message.content == expected.text and choice.message.role == "assistant"
    assert choice.finish_reason == expected.finish_reason
    assert found.usage.prompt_tokens == expected.prompt_tokens
    assert found.usage.completion_tokens == expected.completion_tokens
    assert found.id.startswith("chatcmpl-") and found.object == "chat.completion"


def test_a_stream_has_the_same_text_and_its_usage_at_the_end(url: str) -> None:
    api = client(url)
    whole = api.chat.completions.create(**ASK)
    usage = {"include_usage": True}
    *chunks, last = api.chat.completions.create(**ASK, stream=True, stream_options=usage)
    assert chunks[0].choices[0].delta.role == "assistant" and len(chunks) > 5
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices == [] and last.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks)
    plain = list(api.chat.completions.create(**ASK, stream=True))
    assert all(chunk.choices for chunk in plain)


def test_a_seed_draws_the_same_and_others_draw_others(url: str) -> None:
    ways = ASK | {"temperature": 2, "top_p": 0.95}
    texts = [
        asked(url, **ways, seed=seed)[1]["choices"][0]["message"]["content"]
        for seed in (7, 7, -8, 9)
    ]
    assert texts[0] == texts[1] and len(set(texts)) == 3


def test_stops_and_limits_end_a_reply(url: str) -> None:
    whole = asked(url)[1]["choices"][0]["message"]["content"]
    stop = whole[5:9]
    for said in (stop, ["nowhere", stop]):
        choice = asked(url, stop=said)[1]["choices"][0]
        assert choice["message"]["content"] == whole[: whole.index(stop)]
        assert choice["finish_reason"] == "stop"
    found = asked(url, max_tokens=..., max_completion_tokens=3)[1]
    assert found["usage"]["completion_tokens"] == 3
    assert found["choices"][0]["finish_reason"] == "length"


def test_a_request_may_leave_the_model_out(url: str) -> None:
    status, found = asked(url, model=...)
    assert status == 200 and found["choices"] == asked(url)[1]["choices"]


def test_curl_is_answered(url: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    command = [
        "curl",
        "-sN",
        f"{url}/v1/chat/completions",
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps(ASK | {"stream": True}),
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    events = [line.removeprefix("data: ") for line in out.split("\n\n") if line]
    assert events[-1] == "[DONE]" and all(json.loads(event)["choices"] for event in events[:-1])


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"model": "gpt-4"}, 404, "the model 'gpt-4' is not here; 'onnx-fp32' is"),
        ({"messages": []}, 400, "messages: "),
        ({"messages": "hello"}, 400, "messages: "),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages.0.role: "),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, 400, "messages.0.content: a user's turn has one"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "'text'"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "[1"}}],
                    }
                ]
            },
            400,
            "JSON object",
        ),
        ({"n": 2}, 400, "n: not supported"),
        ({"logprobs": True}, 400, "logprobs: not supported"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format: not supported"),
        ({"temperature": "hot"}, 400, "temperature: "),
        ({"temperature": -1}, 400, "temperature: "),
        ({"temperature": float("nan")}, 400, "temperature: "),
        ({"top_p": 0}, 400, "top_p: "),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"max_tokens": True}, 400, "max_tokens: "),
        ({"seed": 1.5}, 400, "seed: "),
        ({"stop": [""]}, 400, "stop: "),
        ({"stop": 5}, 400, "stop"),
        ({"stream": "yes"}, 400, "stream: "),
        ({"tools": [{"type": "function"}]}, 400, "tools.0.function: field required"),
        ({"tool_choice": "required"}, 400, "tool_choice: "),
        ({"messages": [{"role": "user", "content": "cats " * 600}]}, 400, "takes 512 of prompt"),
        ({"messages": [{"role": "user", "content": "cats " * 600}], "stream": True}, 400, "512"),
    ],
)
def test_wrong_input_is_told_in_openais_shape(
    url: str, changes: dict[str, Any], status: int, said: str
) -> None:
    got, body = asked(url, **changes)
    error = body["error"]
    assert got == status and said in error["message"], body
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_what_is_not_known_is_left_alone(url: str) -> None:
    more: dict[str, Any]
    more = {
        "user": "ann",
        "metadata": {"a": "b"},
        "n": 1,
        "logprobs": False,
        "logit_bias": None,
        "frequency_penalty": 0.0,
        "response_format": {"type": "text"},
        "store": True,
        "parallel_tool_calls": True,
        "tools": [],
        "tool_choice": "auto",
    }
    parts = [{"type": "text", "text": "Ann has 12 cats "}, {"type": "text", "text": "and 30 dogs."}]
    turns = [{"role": "user", "content": parts, "name": "ann", "cache_control": {}}]
    assert asked(url, **more, messages=turns)[1]["usage"] == asked(url)[1]["usage"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b"\xff\xfe{", b"[" * 100_000, b'{"model": "\\ud800"}']
)
def test_a_body_that_is_no_request_is_refused(url: str, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/solve"):
        status, said = send(url, path, body)
        assert status == 400 and said["error"]["message"]


def test_addresses_methods_and_types_have_their_status(url: str) -> None:
    assert send(url, "/v1/nothing")[0] == 404
    assert send(url, "/v1/models/other")[1]["error"]["code"] == "model_not_found"
    assert send(url, "/../../etc/passwd")[0] == 404
    assert send(url, "/v1/chat/completions")[0] == 405
    assert send(url, "/health", b"{}")[0] == 405
    body = json.dumps(ASK).encode()
    assert send(url, "/v1/chat/completions", body, Content_Type="text/plain")[0] == 415
    form = "application/x-www-form-urlencoded"
    assert send(url, "/solve", body, Content_Type=form)[0] == 415


def test_a_huge_body_is_refused_before_it_is_read(url: str) -> None:
    address = urlsplit(url)
    head = f"POST /solve HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    for more, body in (
        (f"Content-Length: {10**12}\r\n\r\n", b"{"),
        ("Transfer-Encoding: chunked\r\n\r\n", (b"10000\r\n" + b" " * 65536 + b"\r\n") * 40),
    ):
        with socket.create_connection((address.hostname, address.port), timeout=10) as to:
            to.sendall((head + more).encode())
            try:
                to.sendall(body)
            except OSError:
                assert len(body) > LARGEST
            assert b"413" in to.recv(1000).split(b"\r\n")[0]
    assert send(url, "/health")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8080"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "192.168.1.9"}, 403),
        ({"Host": "localhost:99"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:8080", "Origin": "http://localhost:8080"}, 200),
    ],
)
def test_foreign_names_and_pages_are_refused(
    url: str, headers: dict[str, str], status: int
) -> None:
    assert send(url, "/health", None, "", **headers)[0] == status
    if status != 200:
        body = json.dumps(ASK).encode()
        assert send(url, "/v1/chat/completions", body, "", **headers)[0] == 403


def test_a_server_for_a_network_is_reached_by_its_addresses_and_names() -> None:
    guard = Guard("0.0.0.0")
    assert not guard.refusal({"host": "192.168.1.9:8080"})
    assert not guard.refusal({"host": f"{socket.gethostname()}:8080"})
    assert guard.refusal({"host": "evil.example"}) and guard.refusal({})
    assert not Guard("box.example").refusal({"host": "BOX.example:8080"})


# Greedily the tiny random model goes round in circles, and never ends by itself.
LONG: dict[str, Any] = {"messages": [{"role": "user", "content": "Ann"}], "max_tokens": 1900}


def name_of(url: str) -> str:
    name: str = send(url, "/health")[1]["model"]
    return name


def idle(url: str, seconds: float = 20.0) -> float:
    """How long it takes until nothing is asked any more."""
    start = time.monotonic()
    while send(url, "/health")[1]["load"]:
        assert time.monotonic() - start < seconds
        time.sleep(0.01)
    return time.monotonic() - start


def test_requests_wait_in_a_queue_that_has_a_limit(slow_url: str) -> None:
    ask = LONG | {"model": name_of(slow_url), "max_tokens": 150}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asked(slow_url, **ask), range(8)))
    statuses = [status for status, _ in found]
    assert statuses.count(200) >= 2 and statuses.count(429) >= 2
    assert set(statuses) == {200, 429}
    texts = {body["choices"][0]["message"]["content"] for status, body in found if status == 200}
    assert len(texts) == 1
    error = next(body["error"] for status, body in found if status == 429)
    assert error["type"] == "rate_limit_error" and error["code"] == "queue_full"
    assert asked(slow_url, **ask)[0] == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_model(slow_url: str, stream: bool) -> None:
    address = urlsplit(slow_url)
    body = json.dumps(LONG | {"model": name_of(slow_url), "stream": stream}).encode()
    idle(slow_url)
    going = http.client.HTTPConnection(address.netloc, timeout=30)
    going.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    if stream:
        going.getresponse().read(300)
    else:
        time.sleep(0.3)
    waiting = http.client.HTTPConnection(address.netloc, timeout=30)
    waiting.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    while send(slow_url, "/health")[1]["load"] < 2:
        time.sleep(0.01)
    waiting.close()  # one that only waits leaves the queue
    while send(slow_url, "/health")[1]["load"] > 1:
        time.sleep(0.01)
    if going.sock:
        going.sock.close()
    going.close()
    assert idle(slow_url) < 3.0


def test_a_problem_is_solved_step_by_step(
    url: str, artifact: Path, word_problems: list[dict[str, str]]
) -> None:
    problem = word_problems[3]["problem"]
    body = json.dumps({"problem": problem, "max_steps": 4, "max_tokens": 60}).encode()
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    connection.request("POST", "/solve", body, {"Content-Type": "application/json"})
    lines = connection.getresponse().read().decode().split("\n\n")
    events = [json.loads(line[6:]) for line in lines if line and line != "data: [DONE]"]
    expected = list(Model(artifact, 1).solve(problem, 4, Sampling(max_new_tokens=60)))
    replies = [event["reply"] for event in events if "reply" in event]
    assert [reply["text"] for reply in replies] == [reply.text for reply in expected]
    for step, reply in enumerate(replies, start=1):
        pieces = [
            event["text"] for event in events if event.get("step") == step and "text" in event
        ]
        assert "".join(pieces) == reply["text"]
    assert events[-1]["ended"] == "It gave its answer."
    assert send(url, "/solve", b'{"problem": ""}')[0] == 400
    assert send(url, "/solve", b'{"problem": "x", "max_steps": 0}')[0] == 400


def test_ctrl_c_ends_it_at_once_in_the_middle_of_a_reply(serve: Any, tiny_model: Path) -> None:
    with serve(tiny_model) as (url, process):
        body = json.dumps(LONG | {"model": name_of(url), "stream": True}).encode()
        going = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        going.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        going.getresponse().read(300)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130 and time.monotonic() - start < 3.0
        said = process.stderr.read()
        assert "srl-edge: interrupted; the server has stopped." in said and "Trace" not in said


def test_a_start_that_fails_is_one_sentence(tmp_path: Path, url: str) -> None:
    taken = str(urlsplit(url).port)
    for arguments, said in (
        ([str(tmp_path / "nothing.gguf"), "--port", "0"], "no such file"),
        ([str(tmp_path), "--port", "0"], "nothing here is a model"),
        ([str(tmp_path), "--port", taken], "choose another with --host or --port"),
        ([str(tmp_path), "--host", "no.such.host.invalid"], "choose another with --host"),
        ([str(tmp_path), "--port", "70000"], "--port: from 0 to 65535"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            called("serve", *arguments)
