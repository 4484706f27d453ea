"""The conversation with a runner: a model in a process of its own, on this machine or another."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import Any

from srl_edge.devices.hosts.last_words import LastWords
from srl_edge.errors import StageError
from srl_edge.files import parsed

LONGEST = 1 << 26  # characters of an answer
LOADING = 600.0  # seconds that a model may take to load


class RunnerLost(StageError):
    """A runner that ended, or that did not answer in time."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Token ids of a reply, its stop token included; seconds to the first of them, and in all.

    `first_seconds` is None where several replies were made at once.
    """

    ids: list[int]
    first_seconds: float | None
    seconds: float


class Session:
    """A loaded model that replies to prompts until `close`.

    Raises RunnerLost, with the runner's last words, where it ends or takes too long; it is of no
    more use then.

    held: what the runner needs, let go after it has ended. passed: files of ours that it has too.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        held: contextlib.ExitStack | None = None,
        passed: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._held = held or contextlib.ExitStack()
        self._runner = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,
            pass_fds=passed,
        )
        self._lines: Queue[str] = Queue()
        try:
            self._words = LastWords(self._runner.stderr)
            Thread(target=self._listen, daemon=True).start()
            first = self._hear(LOADING, "Loaded")
        except BaseException:  # Ctrl-C while it loads
            self.close()
            raise
        self.load_seconds, self.batch = float(first["load_seconds"]), int(first["batch"])
        self.machine: dict[str, Any] = first["machine"]
        self.state: dict[str, Any] = first["state"]
        self.peak_memory_mib: float | None = None
        self.energy_joules: float | None = None  # of the last answer

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        stops: Sequence[int] = (),
        timeout: float | None = None,
        temperature: float = 0.0,
        seeds: Sequence[int] = (),
        reuse: bool = True,
    ) -> list[Generated]:
        """A reply to each prompt of token ids; `timeout` is in seconds, for each of them.

        seeds: one a prompt, where tokens are drawn.
        """
        question = {
            "prompts": [list(ids) for ids in prompts],
            "max_new_tokens": max_new_tokens,
            "stops": list(stops),
            "temperature": temperature,
            "reuse": reuse,
            "seeds": list(seeds) or [0] * len(prompts),
        }
        assert self._runner.stdin is not None
        try:
            self._runner.stdin.write(json.dumps(question) + "\n")
            self._runner.stdin.flush()
        except OSError:
            raise self._lost("ended") from None
        answer = self._hear(timeout and timeout * len(prompts), "Answered")
        if len(answer["replies"]) != len(prompts):
            raise self._lost(f"gave {len(answer['replies'])} replies to {len(prompts)} prompts")
        self.peak_memory_mib, self.state = answer["peak_memory_mib"], answer["state"]
        self.energy_joules = answer["energy_joules"]
        return [Generated(**reply) for reply in answer["replies"]]

    def close(self) -> None:
        """Let the runner go, and what it has started."""
        self._kill()
        self._held.close()

    def _kill(self) -> int:
        if sys.platform == "win32":  # where processes have no groups
            tree = ["taskkill", "/f", "/t", "/pid", str(self._runner.pid)]
            subprocess.run(tree, capture_output=True, check=False)
            return self._runner.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._runner.pid, signal.SIGKILL)
        return self._runner.wait()

    def _listen(self) -> None:
        assert self._runner.stdout is not None
        while line := self._runner.stdout.readline(LONGEST):
            self._lines.put(line)
        self._lines.put("")

    def _hear(self, timeout: float | None, shape: str) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout)
        except Empty:
            self._kill()
            raise self._lost(f"did not answer in {timeout:.0f} s") from None
        try:
            answer: dict[str, Any] = parsed(line, shape)
        except ValueError as error:
            if not line.endswith("\n"):  # it is ending, with a code of its own
                raise self._lost("ended") from None
            self._kill()
            said = f"said what is no answer ({error}): {line[:100].strip()!r}"
            raise self._lost(said) from None
        return answer

    def _lost(self, what: str) -> RunnerLost:
        try:
            code = self._runner.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = self._kill()
        self._kill()  # what it has started may live on
        return RunnerLost(
            f"{self.name}: its process {what} (exit code {code}): {self._words.line()}"
        )
