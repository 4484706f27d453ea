"""Rollouts from a vLLM server that somebody else started; here a stand-in that speaks its words."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from srl_edge.errors import InputError, StageError
from srl_edge.files import is_scratch
from srl_edge.trainers.torch_backend.decoding import vllm_sampler
from tests.helpers.listening import listening
from tests.helpers.policies import open_policy, trajectory_samples

PROMPTS = [s.prompt_ids for s in trajectory_samples(count=2)]


@contextmanager
def standing_in(
    asked: list[tuple[str, Any]],
    status: int = 200,
    instead: bytes = b"",
    length: int = 0,
    drips: bool = False,
) -> Iterator[str]:
    """Says token 7 and then ends, for each completion; notes what it is asked.

    instead: what it answers in the place of completions, and of what length it says that is.
    drips: completions come a sign at a time, without end.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            if "lora_path" in body:  # it is read at once
                assert (Path(body["lora_path"]) / "adapter_model.safetensors").is_file()
            choice = {"token_ids": [7, 2], "logprobs": {"token_logprobs": [-0.5, -0.1]}}
            said = {"choices": [{"index": n} | choice for n in range(body.get("n", 0))]}
            last = self.path.endswith("completions")
            self.send_response(status if last else 200)
            if last and length:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(OSError):
                while last and drips:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.2)
            self.wfile.write(instead if last and instead else json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield url


def test_each_update_sends_its_adapter(tiny_model: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = []
    with standing_in(asked) as url:
        policy = open_policy(
            tiny_model, sampler="vllm", vllm_url=f"{url}/v1", vllm_folder=str(tmp_path)
        )
        policy.stop_ids = [2]
        first, *_ = policy.sample(PROMPTS, 3, 8, 1.0, 0)
        assert [r.completion_ids for r in first] == [(7, 2)] * 3 and first[0].finished
        policy._adapter_changed()
        policy.sample(PROMPTS, 3, 8, 1.0, 1)
    loaded = [body["lora_name"] for path, body in asked if path == "/v1/load_lora_adapter"]
    gone = [body["lora_name"] for path, body in asked if path == "/v1/unload_lora_adapter"]
    models = [body["model"] for path, body in asked if path == "/v1/completions"]
    assert len(set(loaded)) == 2 and gone == loaded[:1]
    assert models == [loaded[0]] * len(PROMPTS) + [loaded[1]] * len(PROMPTS)
    assert [path.name for path in tmp_path.glob("*/*/*")] == loaded[1:]
    (ours,) = tmp_path.iterdir()
    assert is_scratch(ours)  # so that the next process removes it, where this one is killed


def test_a_server_that_fails_is_named(tiny_model: Path, tmp_path: Path) -> None:
    with standing_in([], status=500) as url:
        policy = open_policy(tiny_model, sampler="vllm", vllm_url=url, vllm_folder=str(tmp_path))
        with pytest.raises(StageError, match=rf"vLLM at {url}: completions: "):
            policy.sample(PROMPTS, 2, 8, 1.0, 0)


@pytest.mark.parametrize(
    ("instead", "length", "why"),
    [
        (b"{", 1000, "completions: an answer that was cut off"),
        (b'{"choices": [{"ind', 0, "completions: an answer that was cut off"),
        (b'{"error": "busy"}', 0, "an answer without them, .*busy"),
        (b"busy", 0, "an answer without them, 'None'"),
        (b'{"choices": []}', 0, "an answer without them"),
        (b'{"choices": [{"index": 0}, {"index": 1}]}', 0, "no token ids"),
        (b'{"choices": [7, 7]}', 0, "an answer without them"),
    ],
)
def test_what_is_no_answer_is_one_sentence(
    tiny_model: Path, tmp_path: Path, instead: bytes, length: int, why: str
) -> None:
    with standing_in([], instead=instead, length=length) as url:
        policy = open_policy(tiny_model, sampler="vllm", vllm_url=url, vllm_folder=str(tmp_path))
        with pytest.raises(StageError, match=why):
            policy.sample(PROMPTS, 2, 8, 1.0, 0)


def test_an_answer_has_a_time_and_a_size(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_sampler, "ANSWER", 1.0)
    with standing_in([], drips=True) as url:
        policy = open_policy(tiny_model, sampler="vllm", vllm_url=url, vllm_folder=str(tmp_path))
        with pytest.raises(StageError, match="completions: no whole answer within 1 s"):
            policy.sample(PROMPTS, 2, 8, 1.0, 0)
    with standing_in([], instead=b" " * (20 << 20)) as url:
        policy = open_policy(tiny_model, sampler="vllm", vllm_url=url, vllm_folder=str(tmp_path))
        with pytest.raises(StageError, match="completions: an answer of more than 16 MiB"):
            policy.sample(PROMPTS, 2, 8, 1.0, 0)


@pytest.mark.parametrize(
    ("url", "folder", "why"),
    [
        ("http://127.0.0.1:9", ".", "trainer.vllm_url = 'http://127.0.0.1:9': no vLLM answers"),
        ("http://127.0.0.1:abc", ".", "trainer.vllm_url = 'http://127.0.0.1:abc': no vLLM answers"),
        ("http://127.0.0.1:9", "", "trainer.vllm_folder = '': no such folder"),
        ("http://127.0.0.1:9", "absent", "trainer.vllm_folder = 'absent': no such folder"),
    ],
)
def test_nothing_there_is_one_sentence(tiny_model: Path, url: str, folder: str, why: str) -> None:
    policy = open_policy(tiny_model, sampler="vllm", vllm_url=url, vllm_folder=folder)
    with pytest.raises(InputError, match=why):
        policy.sample(PROMPTS, 2, 8, 1.0, 0)
