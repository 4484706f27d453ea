# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Whether two formulas are equal, by math-verify, in a process that can be ended."""

import contextlib
import json
import re
import signal
import sys
from queue import Empty, Queue
from subprocess import DEVNULL, PIPE, Popen
from threading import Lock, Thread

from srl_edge.method.quantities import plain
from srl_edge.processes import lines, python

SECONDS = 5.0  # for one comparison
MEMORY = 4 << 30  # bytes, of the process that compares
LONGEST = 4000  # characters


def equal(given: str, answer: str) -> bool:
    """Whether two formulas are equal; False if that takes too long to compute.

    A model may well sample `9^{9^{9}}`, on which no library comes to an end: SECONDS are enough for
    any answer that a person would write.
    """
    pair = [_latex(given), _latex(answer)]
    if pair[0].replace(" ", "") == pair[1].replace(" ", ""):
        return True
    if max(map(len, pair)) > LONGEST:
        return False
    with _one_at_a_time:
        return _comparer().equal(pair)


class _Comparer:
    """A process that compares answers, since a computation in C can be ended in no other way."""

    def __init__(self) -> None:
        self.process = Popen(
            python("srl_edge.method.mathematics"),
            text=True,
            encoding="utf-8",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
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


_SIGNS = {
    "π": r"\pi ",
    "∞": r"\infty ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "±": r"\pm ",
    "∈": r"\in ",
    "×": r"\times ",
    "·": r"\cdot ",
    "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ",
    "**": "^",
}


def _latex(text: str) -> str:
    """A formula as math-verify reads it, whole: intervals and sets keep their brackets."""
    text = re.sub(r"\s(?:or|and)\s", ", ", plain(text))
    text = text.replace("∅", r"\emptyset ").replace(r"\varnothing", r"\emptyset")
    text = re.sub(r"√\s*(\d+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*(?=[({])|(?<![A-Za-z\\])sqrt\s*(?=[({])", r"\\sqrt", text)
    text = re.sub(r"\\sqrt\(([^()]*)\)", r"\\sqrt{\1}", text)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return re.sub(r"(?<![A-Za-z\\])(pi|sin|cos|tan|log|ln|infty)(?![A-Za-z])", r"\\\1", text)


def _serve() -> None:
    """Compare pairs of answers, a line each, until there are no more."""
    from math_verify import parse, verify

    with contextlib.suppress(ImportError, ValueError, OSError):  # where memory can be bounded
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print("ready", flush=True)
    for line in lines(sys.stdin):
        if hasattr(signal, "alarm"):  # the system ends it where C code lets no thread of ours run
            signal.alarm(int(SECONDS) + 1)
        try:
            # Its own timeouts are signals, which do not interrupt what is computed in C.
            guess, gold = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
            same = bool(verify(gold, guess, timeout_seconds=None))
        except (MemoryError, RecursionError):
            same = False
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    _serve()
