# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Whether two formulas are equal, by math-verify, in a process that can be ended.

A formula is read whole or not at all: what its parser does not read has no value, and not that of
its last number.
"""

import contextlib
import json
import re
import signal
import sys
from queue import Empty, Queue
from subprocess import DEVNULL, PIPE, Popen
from threading import Lock, Thread
from typing import Any

from srl_edge.method.answers.plain import plain
from srl_edge.method.answers.typed import as_tex
from srl_edge.processes import lines, python

SECONDS = 5.0  # of work, for one comparison
PATIENCE = 60.0  # seconds until its answer, which may be late where others have the processors
MEMORY = 4 << 30  # bytes, of the process that compares
LONGEST = 4000  # characters
DIGITS = 60  # of two irrational numbers that are compared


def equal(given: str, answer: str) -> bool:
    """Whether two formulas are equal; False if that takes too long to compute.

    A model may well sample `9^{9^{9}}`, on which no library comes to an end: SECONDS are enough for
    any answer that a person would write.
    """
    pair = [plain(given), plain(answer)]
    if ("°" in pair[0]) != ("°" in pair[1]) and not any(map(_ANGLES.search, pair)):
        pair = [text.replace("°", "") for text in pair]  # a unit, which may be left out
    pair = [_latex(text) for text in pair]
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
            python("srl_edge.method.answers.mathematics"),
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
            self.process.stdin.write(json.dumps([SECONDS, *pair]) + "\n")
            self.process.stdin.flush()
            said = self.lines.get(timeout=PATIENCE if _COUNTED else SECONDS)
            if not said:
                self.process.wait()  # so that the next comparison knows that it has ended
            return said == "true\n"
        except (Empty, BrokenPipeError):
            self.process.kill()
            self.process.wait()
            return False

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")  # it has ended: killed, or out of memory


_COUNTED = hasattr(signal, "setitimer")  # whether the system counts a process's own time
_one_at_a_time = Lock()
_running: list[_Comparer] = []


def _comparer() -> _Comparer:
    if not _running or _running[0].process.poll() is not None:
        _running[:] = [_Comparer()]
    return _running[0]


_ANGLES = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_SIGNS = {
    "°": r"^{\circ}",
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
    "**": "^",
}


def as_list(text: str) -> str:
    """A text whose items are parted by commas alone, whatever people write before the last."""
    return text if r"\begin" in text else _BETWEEN.sub(", ", text)


_BETWEEN = re.compile(r"[,;]?\s(?:or|and|&)\s|;\s?|\s?[或和、]\s?")
_NATURAL = re.compile(r"(?<![A-Za-z\\])\\?log ?_ ?(?:\{ ?e ?\}|e(?![A-Za-z]))")
# A decimal, whose logarithm would be rounded.
_LOGARITHM = re.compile(
    r"((?<![A-Za-z])\\?(?:ln|log)(?: ?_ ?(?:\{[^{}]*\}|\w))?[ ({]*)(\d{1,9})\.(\d{1,9})(?![\d.])"
)
_BARE = re.compile(r"\\frac\s*(\\(?!sqrt)[A-Za-z]+)\s*")  # \frac\pi4
_FRACTION_RAISED = re.compile(r"\^ ?(\\frac ?(?:\{[^{}]*\}|\d) ?(?:\{[^{}]*\}|\d))")
_SLASHED = re.compile(
    r"(?<![\w.}/)^])(?<![}/)^] )(\d+(?:\.\d+)?) ?/ ?(\d+(?:\.\d+)?)(?![\d.])(?= ?[A-Za-z(\\])"
)
_COMMANDS = re.compile(
    r"(?<![A-Za-z\\])(pi|sin|cos|tan|log|ln|infty|alpha|beta|gamma|delta|theta|lambda|sigma|omega"
    r"|arcsin|arccos|arctan)(?![A-Za-z])"
)
_PRIMES = re.compile(r"(?<![A-Za-z\\])([A-Za-z])('{1,4})(?![A-Za-z'])")


def _latex(text: str) -> str:
    """A plain formula as math-verify reads it: intervals and sets keep their brackets.

    `1/2x` is half of x, as `1/2 x` and `4/3π` are: what is under a slash and has several factors,
    people put in brackets.
    """
    text = as_list(as_tex(text)).replace("∅", r"\emptyset ").replace(r"\varnothing", r"\emptyset")
    text = re.sub(r"√\s*(\d+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*(?=[({])|(?<![A-Za-z\\])sqrt\s*(?=[({])", r"\\sqrt", text)
    text = re.sub(r"\\sqrt\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = _PRIMES.sub(lambda m: f" {m[1]}_{{{'p' * len(m[2])}}}", text)
    text = re.sub(r"\\[ij]math(?![a-z])", lambda dotless: f" {dotless[0][1]} ", text)
    text = _NATURAL.sub(r"\\ln ", text.replace("÷", "/"))
    text = _LOGARITHM.sub(
        lambda m: rf"{m[1]}\frac{{{int(m[2] + m[3])}}}{{{10 ** len(m[3])}}}", text
    )
    text = _FRACTION_RAISED.sub(r"^{\1}", _BARE.sub(r"\\frac{\1}", text))
    text = re.sub(r"(?<![A-Za-z\\])inf(?:inity)?(?![A-Za-z])", r"\\infty ", text)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    text = _COMMANDS.sub(r"\\\1", text)
    return _SLASHED.sub(r"\\frac{\1}{\2}", text)


def _whole(latex: str, is_complex: bool) -> Any:
    """What the whole of a formula means; raises an error where its parser does not read it.

    is_complex: its letters need not be real numbers, and i is the imaginary unit. math-verify's own
    `parse` goes on to the last number of such a text, and takes letters at the end for units. This
    one knows no units: they are taken off before.
    """
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    value = latex2sympy(
        latex,
        is_real=not is_complex,
        convert_degrees=True,
        normalization_config=None,
        conversion_config=ConversionConfig(lowercase_symbols=False),
    )
    units = _units(value) if is_complex else ()
    return value.subs(dict.fromkeys(units, "I")) if units else value


def _units(value: Any) -> list[Any]:
    """The symbols of a value that are named i."""
    return [each for each in getattr(value, "free_symbols", ()) if each.name == "i"]


def _same(given: str, answer: str) -> bool:
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig, normalize_latex
    from math_verify import verify
    from math_verify.grader import should_treat_as_complex

    tidy = NormalizationConfig(malformed_operators=True, nits=True, boxed="none")
    pair = [normalize_latex(text, tidy) for text in (given, answer)]
    # Of both, since a letter that is real on one side is another one than the other side's.
    is_complex = any(map(should_treat_as_complex, pair))
    guess, gold = (_whole(latex, is_complex) for latex in pair)
    if not is_complex and (_units(guess) or _units(gold)):  # 2i\sqrt{3}
        guess, gold = (_whole(latex, True) for latex in pair)
    try:
        exact = guess.doit(), gold.doit()
    except (AttributeError, TypeError, ValueError):
        exact = guess, gold
    if all(getattr(value, "is_Rational", False) for value in exact):
        return bool(exact[0] == exact[1])  # 1/2004! is no 0
    # Its own timeouts are signals, which do not interrupt what is computed in C.
    return bool(verify([gold], [guess], numeric_precision=DIGITS, timeout_seconds=None))


def _serve() -> None:
    """Compare pairs of answers, a line each, until there are no more."""
    import math_verify  # noqa: F401 - before memory is bounded

    with contextlib.suppress(ImportError, ValueError, OSError):  # where memory can be bounded
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print("ready", flush=True)
    for line in lines(sys.stdin):
        seconds, *pair = json.loads(line)
        if _COUNTED:  # the system ends it where C code lets no thread of ours run
            signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            same = _same(*pair)
        except Exception:  # of a parser, which raises any: what cannot be read has no value
            same = False
        if _COUNTED:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    _serve()
