"""Rollouts from vLLM: a server of its own, which takes the adapter of each update from a folder."""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Any

from srl_edge.asking import Answer, Unreached, ask
from srl_edge.errors import InputError, StageError
from srl_edge.files import scratch_folder
from srl_edge.method.types import Rollout
from srl_edge.terminal import progress

LOADING = 900.0  # seconds that the server may take to load the model
ANSWER = 1800.0  # seconds that it may take to answer
AT_ONCE = 64  # requests, each for the completions of one prompt
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # the LoRA ranks that vLLM can be started for
# Its standard input ends with this process, even if that is killed, and then so does the server.
ENDS_WITH_US = (
    'exec 3<&0; "$@" </dev/null & server=$!; { cat <&3 >/dev/null; kill $server; } & wait $server'
)
_ERROR = re.compile(r"\b\w+(?:Error|Exception): .*")
_BYTES = (1 << 24, 1000)  # of an answer, and more for each token that it may have


class VllmSampler:
    """Samples completions from `vllm serve` on this computer, which lives as long as this process.

    Or, by `reached`, from one that runs already, on this computer or another.
    command: what starts the server, in words like `vllm serve`, more of its options among them.
    model: a local folder. dtype: of its weights there, `bfloat16` or `float32`. rank: of the
    adapters. seed: of all its draws. Raises InputError where the command is not found, and
    StageError with the server's first error where it ends.
    Source: vLLM's OpenAI-compatible server, with LoRA adapters that are loaded at run time.
    """

    def __init__(self, command: str, model: Path, dtype: str, rank: int, seed: int) -> None:
        words = require(command)
        allowed = [size for size in RANKS if size >= rank]
        if not allowed:
            raise InputError(f"trainer.lora_rank = {rank}: vLLM takes at most {RANKS[-1]}.")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self._url, self._updates = f"http://127.0.0.1:{port}", 0
        self._take_folder(Path(tempfile.gettempdir()))
        options = [
            str(model),
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--dtype",
            dtype,
            "--enable-lora",
            "--max-lora-rank",
            str(allowed[0]),
            "--max-loras",
            "1",
            "--seed",
            str(seed),
            # The probabilities of what was drawn from, and nothing else's idea of sampling.
            "--logprobs-mode",
            "processed_logprobs",
            "--generation-config",
            "vllm",
        ]
        environment = os.environ | {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with (self._folder / "log").open("w", encoding="utf-8") as log:
            self._server: subprocess.Popen[bytes] | None = subprocess.Popen(
                ["sh", "-c", ENDS_WITH_US, "sh", *words, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._wait()

    @classmethod
    def reached(cls, url: str, folder: str) -> "VllmSampler":
        """One that samples from a server which somebody else started.

        folder: where adapters are put for it, by the same path there and here. Raises InputError
        where nothing answers, or there is no such folder.
        """
        self = cls.__new__(cls)
        self._url, self._updates, self._server = _root(url), 0, None
        require_reached(url, folder)
        self._take_folder(Path(folder).resolve())
        for made in (self._folder, self._folder.parent):
            made.chmod(0o755)  # the server may be another user's
        return self

    def _take_folder(self, beside: Path) -> None:
        """Where adapters and the log go until this process ends."""
        name = f"srl-edge-{token_hex(4)}"  # of adapters too, and the server may have others'
        self._scratch = scratch_folder(beside, name)
        self._folder = self._scratch.__enter__()

    def load_adapter(self, save: Callable[[Path], None]) -> None:
        """Sample from now on with the adapter that `save` writes into a folder, as PEFT's."""
        old, self._updates = self._adapter, self._updates + 1
        save(self._adapter)
        name, path = self._adapter.name, str(self._adapter)
        self._ask("load_lora_adapter", {"lora_name": name, "lora_path": path})
        if old.is_dir():
            self._ask("unload_lora_adapter", {"lora_name": old.name})
            shutil.rmtree(old)

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        stop_ids: Sequence[int],
        seed: int,
        decode: Any,
    ) -> list[list[Rollout]]:
        """What `sampling.sample` does, but with the server's own draws, whatever the seed."""
        drawn = group_size if temperature else 1
        stops = list(stop_ids)

        def group(index: int) -> list[Rollout]:
            answer = self._ask(
                "completions",
                {
                    # Without a seed: one a request ends vLLM 0.32's CPU engine ("CPU Generator does
                    # not use offset") where a prompt comes in pieces.
                    "model": self._adapter.name,
                    "prompt": list(prompts[index]),
                    "n": drawn,
                    "max_tokens": max_new,
                    "temperature": temperature,
                    "logprobs": 0,
                    "stop_token_ids": stops,
                    "ignore_eos": True,
                    "return_token_ids": True,
                },
            )
            try:
                choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
                rollouts = [_rollout(prompts[index], choice, stops, decode) for choice in choices]
            except (KeyError, TypeError, ValueError, AttributeError):
                rollouts = []
            if len(rollouts) != drawn:
                raise self._lost(f"completions: an answer without them, {str(answer)[:200]!r}")
            return rollouts * (group_size // drawn)

        with ThreadPoolExecutor(min(AT_ONCE, len(prompts))) as pool:
            return list(pool.map(group, range(len(prompts))))

    @property
    def _adapter(self) -> Path:
        return self._folder / f"{self._folder.name}-{self._updates}"

    def _wait(self) -> None:
        progress.say("vLLM is loading the model.")
        until = time.monotonic() + LOADING
        while time.monotonic() < until and self._server and self._server.poll() is None:
            with contextlib.suppress(Unreached):
                if _asked(f"{self._url}/health", None, 5).ok:
                    return
            time.sleep(0.5)
        raise self._lost("it did not start")

    def _ask(self, verb: str, body: dict[str, Any]) -> Any:
        least, of_a_token = _BYTES
        most = least + of_a_token * body.get("max_tokens", 0) * body.get("n", 0)
        try:
            answer = _asked(f"{self._url}/v1/{verb}", json.dumps(body).encode(), ANSWER, most)
        except Unreached as error:
            raise self._lost(f"{verb}: {error}") from None
        if not answer.ok:
            reason = _reason(answer.body)
            if answer.status >= 500:  # what went wrong stands in its log alone
                raise self._lost(f"{verb}: {reason}")
            raise StageError(f"vLLM refused {verb}: {reason}")
        try:
            return json.loads(answer.body) if answer.body.startswith(b"{") else None
        except (ValueError, RecursionError):
            raise self._lost(f"{verb}: an answer that was cut off") from None

    def _lost(self, what: str) -> StageError:
        if self._server is None:
            return StageError(f"vLLM at {self._url}: {what}")
        lines = (self._folder / "log").read_text(errors="replace", encoding="utf-8").split("\n")
        # The first error is the cause: its other processes then tell of theirs.
        errors = [e[0] for x in lines if "WARN" not in x and (e := _ERROR.search(x))]
        words = (errors or [x for x in reversed(lines) if x.strip()] or ["nothing"])[0]
        return StageError(f"vLLM: {what}; it said: {words}")


def require_reached(url: str, folder: str) -> None:
    """Raise InputError where no server answers, or its folder for adapters is not there."""
    if not folder or not Path(folder).is_dir():
        raise InputError(
            f"trainer.vllm_folder = {folder!r}: no such folder; name one that the server sees "
            "by the same path, where adapters are put for it."
        )
    try:
        answer = _asked(f"{_root(url)}/health", None, 30)
        why = "" if answer.ok else f"status {answer.status}"
    except Unreached as error:
        why = str(error)
    if why:
        raise InputError(f"trainer.vllm_url = {url!r}: no vLLM answers there ({why}).")


def _asked(url: str, body: bytes | None, seconds: float, most: int = 1 << 20) -> Answer:
    """No proxy stands between two programs of one computer."""
    return ask(url, body, seconds, most, proxies=False)


def _root(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def require(command: str) -> list[str]:
    """The words of a command whose program is found; raises InputError for another one."""
    if os.name != "posix":
        raise InputError(
            "trainer.sampler = 'vllm': a server is started on Linux and macOS alone; name one that "
            "runs elsewhere with trainer.vllm_url."
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"trainer.vllm_command = {command!r}: {error}.") from None
    if not words or shutil.which(words[0]) is None:
        raise InputError(
            f"trainer.vllm_command = {command!r}: no such program; install vLLM in an environment "
            "of its own, and give the path of its `vllm` there, as in '/path/to/bin/vllm serve'."
        )
    return words


def _reason(body: bytes) -> str:
    text = body.decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"]["message"])
    return " ".join(text.split())[:500]


def _rollout(
    prompt: tuple[int, ...], choice: dict[str, Any], stops: Sequence[int], decode: Any
) -> Rollout:
    ids = choice.get("token_ids")
    if ids is None:
        raise StageError("vLLM gave no token ids; it must be version 0.10.2 or newer.")
    logprobs = tuple(map(float, choice["logprobs"]["token_logprobs"]))
    finished = bool(ids) and ids[-1] in stops
    return Rollout(prompt, tuple(ids), logprobs, decode(ids[:-1] if finished else ids), finished)
