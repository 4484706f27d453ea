"""Exact answers: is the final answer of a solution the right one?"""

import contextlib
import json
import re
import sys
from queue import Empty, Queue
from subprocess import DEVNULL, PIPE, Popen
from threading import Lock, Thread

from srl_edge.trajectories import ANSWER_MARK

SECONDS = 5.0  # for one comparison
MEMORY = 4 << 30  # bytes, of the process that compares
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def final_answer(solution: str) -> str | None:
    r"""What a solution gives as its answer: after `####`, in \boxed{}, else its last number."""
    marked = [part.strip() for part in solution.split(ANSWER_MARK)[1:] if part.strip()]
    if marked:
        return marked[-1].splitlines()[0].strip()
    boxed = re.findall(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", solution)
    if boxed:
        return str(boxed[-1])
    found = _NUMBER.findall(solution)
    return found[-1] if found else None


def is_correct(solution: str, answer: str) -> bool:
    """Whether the final answer of `solution` equals `answer`, by math-verify."""
    given = final_answer(solution)
    return given is not None and same_value(given, answer)


def same_value(given: str, answer: str) -> bool:
    """Whether two answers are mathematically equal, by math-verify; False if that takes too long.

    A model may well sample `9^{9^{9}}`, on which no library comes to an end: SECONDS are enough for
    any answer that a person would write.
    """
    pair = [_plain(given), _plain(answer)]
    if pair[0] == pair[1]:
        return True
    with _one_at_a_time:
        return _comparer().equal(pair)


class _Comparer:
    """A process that compares answers, since a computation in C can be ended in no other way."""

    def __init__(self) -> None:
        self.process = Popen(
            [sys.executable, "-m", "srl_edge.verifiers"], text=True, encoding="utf-8",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        self.lines: Queue[str] = Queue()
        Thread(target=self._read, daemon=True).start()
        self.lines.get()  # it has imported what it needs

    def equal(self, pair: list[str]) -> bool:
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(pair) + "\n")
            self.process.stdin.flush()
            return self.lines.get(timeout=SECONDS) == "true\n"
        except (Empty, BrokenPipeError):
            self.process.kill()
            self.process.wait()
            return False

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")  # it has ended: killed, or out of memory


_one_at_a_time = Lock()
_running: list[_Comparer] = []


def _comparer() -> _Comparer:
    if not _running or _running[0].process.poll() is not None:
        _running[:] = [_Comparer()]
    return _running[0]


def _serve() -> None:
    """Compare pairs of answers, a line each, until there are no more."""
    from math_verify import parse, verify

    with contextlib.suppress(ImportError, ValueError, OSError):  # where memory can be bounded
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            # Its own timeouts are signals, which do not interrupt what is computed in C.
            guess, gold = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
            equal = bool(verify(gold, guess, timeout_seconds=None))
        except (MemoryError, RecursionError):
            equal = False
        print(json.dumps(equal), flush=True)


def _plain(answer: str) -> str:
    """Without currency, percent signs, thousands separators and the name of what is counted."""
    bare = re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip(" $€£%.")
    return re.sub(r"(?<=\d)\s+(?!pi\b)[A-Za-z]{2,}[A-Za-z .]*$", "", bare)


if __name__ == "__main__":
    _serve()
