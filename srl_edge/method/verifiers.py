"""Exact answers: is the final answer of a solution the right one?"""

import contextlib
import json
import re
import signal
import sys
from collections.abc import Iterator
from queue import Empty, Queue
from subprocess import DEVNULL, PIPE, Popen
from threading import Lock, Thread
from typing import Any

import regex

from srl_edge.errors import InputError
from srl_edge.processes import lines, python

SECONDS = 5.0  # for one comparison
MEMORY = 4 << 30  # bytes, of the process that compares
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_NUMBERED = re.compile(r"^(?:(?:step|part|case)\s*\d+\b|\d+[.:)](?=\s+\S))", re.IGNORECASE)
_AFTER_HASHES = re.compile(r"####[ \t]*([^#\s][^\n]*)")


def final_answer(solution: str, pattern: str = "") -> str | None:
    """What a solution gives as its answer: what it marks as one, else its last number.

    pattern: a regular expression of the prompt's own, whose first group is the answer.
    """
    marked = marked_answer(solution, pattern)
    if marked is not None:
        return marked
    found = _NUMBER.findall(solution)
    return found[-1] if found else None


def marked_answer(solution: str, pattern: str = "") -> str | None:
    r"""The last answer that is marked as one: by the pattern, after `####`, or in \boxed{}.

    A `####` that opens a Markdown heading marks nothing.
    """
    if pattern and (own := _matches(pattern, solution)):
        return str(own[-1]).strip()
    hashes = [(m.start(), m[1].strip(" *")) for m in _AFTER_HASHES.finditer(solution)]
    marked = [*_boxes(solution), *((at, text) for at, text in hashes if _is_value(text))]
    if marked:
        return max(marked)[1]
    # Words alone: a heading is longer, or announces something.
    words = [text for _, text in hashes if re.fullmatch(r"[^\d\s:]+(?: [^\d\s:]+){0,2}", text)]
    return words[-1] if words else None


def _matches(pattern: str, text: str) -> list[Any]:
    """What a pattern of a recipe or an artifact finds; raises InputError where it takes long."""
    try:
        return list(regex.findall(pattern, text, timeout=SECONDS))
    except (TimeoutError, regex.error) as error:
        why = "takes too long" if isinstance(error, TimeoutError) else f"is none ({error})"
        raise InputError(f"prompt.answer: the pattern {pattern!r} {why}.") from None


def _is_value(line: str) -> bool:
    """Whether a line has a figure beside those that number a heading, as in `Step 2: Add`."""
    return any(map(str.isdigit, _NUMBERED.sub("", line)))


def _boxes(text: str) -> Iterator[tuple[int, str]]:
    r"""Where each \boxed{…} begins, and what it holds, braces matched."""
    for match in re.finditer(r"\\(?:boxed|fbox)\s*\{", text):
        depth = 1
        for at in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if not depth:
                yield match.start(), text[match.end() : at].strip()
                break


def is_correct(solution: str, answer: str, pattern: str = "") -> bool:
    """Whether the final answer of `solution` equals `answer`, by math-verify."""
    given = final_answer(solution, pattern)
    return given is not None and same_value(given, answer)


def is_marked_correct(solution: str, answer: str, pattern: str = "") -> bool:
    """The same, strictly: the answer must be marked as one."""
    given = marked_answer(solution, pattern)
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
            python("srl_edge.method.verifiers"), text=True, encoding="utf-8",
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
    for line in lines(sys.stdin):
        if hasattr(signal, "alarm"):  # the system ends it where C code lets no thread of ours run
            signal.alarm(int(SECONDS) + 1)
        try:
            # Its own timeouts are signals, which do not interrupt what is computed in C.
            guess, gold = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
            equal = bool(verify(gold, guess, timeout_seconds=None))
        except (MemoryError, RecursionError):
            equal = False
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        print(json.dumps(equal), flush=True)


def _plain(answer: str) -> str:
    """Without currency, percent signs, thousands separators and the name of what is counted."""
    answer = re.sub(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}", r" \1", answer)
    answer = re.sub(r"\\[,;! ]|\\(?=[%$])", "", answer)
    bare = re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip(" $€£%.*")
    return re.sub(r"(?<=\d)\s+(?!pi\b)[A-Za-z]{2,}[A-Za-z .]*$", "", bare)


if __name__ == "__main__":
    _serve()
