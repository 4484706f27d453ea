"""Processes of ours: how one is started, and how it ends.

It ends when it is told to, or when the one that started it is gone: soon, and in a word. A signal
is an exception at the next line of Python. Where the process is inside a library's long
computation, it ends after a moment all the same; what it leaves half-written are scratch folders.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import NoReturn, TextIO

GRACE = 1.0  # seconds to end by itself
STARTED_BY = "SRL_EDGE_STARTED_BY"  # who holds the other end of a child's standard input
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_said, _has_child, _takes_interrupts = threading.Event(), threading.Event(), threading.Event()
GOES_ON = "the same command goes on from where it was"
_then = ["the same command begins anew"]
_ends = False  # a signal has come that ends this process; an Event may wait for its own lock


class Ended(BaseException):
    """A signal, other than Ctrl-C's, that ends this process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module, with none of the current folder's in its way."""
    return [sys.executable, "-P", "-m", module, *arguments]


def pip(verb: str, *arguments: str) -> list[str]:
    """The command that lets pip fetch what is named as wheels alone, without what they ask for.

    Of a source package, pip would run the code to build it.
    """
    return python("pip", verb, "--quiet", "--no-deps", "--only-binary=:all:", *arguments)


def cores() -> int:
    """The processor cores that this process may use, as `taskset` and containers say it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def started_by_ours() -> bool:
    """Whether `run_child` started this process, and that one is still there."""
    starter = os.environ.get(STARTED_BY)
    if sys.platform != "win32" or starter is None:
        return starter == str(os.getppid())
    import psutil

    # An environment's python.exe there is a launcher, whose child is the Python that runs.
    return starter in {str(above.pid) for above in psutil.Process().parents()[:2]}


def say(number: int) -> int:
    """Say, once, by which signal this process ends; return its exit code."""
    if not _said.is_set():
        _said.set()
        by = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        print(f"srl-edge: {by}; {_then[0]}.", file=sys.stderr, flush=True)
    return 128 + number


def leave_with(words: str) -> None:
    """Say something else of what a signal that ends this process leaves behind."""
    _then[0] = words


def take_interrupts() -> None:
    """Let Ctrl-C be no more than KeyboardInterrupt, which whoever calls this sees to."""
    _takes_interrupts.set()


def end(number: int) -> NoReturn:
    """End this process and what it has started at once, and say by which signal.

    Libraries take seconds to take leave, and code in C takes no notice.
    """
    import psutil

    code = say(number)
    sys.stdout.flush()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(code)


def kill_with_children(number: int) -> None:
    """Kill a process and all that it has started, by the id of that one."""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(number)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                each.kill()


def listen() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does; call it once, in the main thread.

    One that is ignored, as under nohup, stays so. A process that `run_child` started ends with the
    one that started it, too. Raises KeyboardInterrupt for a Ctrl-C that came before.
    """
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(heard, told), daemon=True).start()
    if sys.platform != "win32" and STARTED_BY in os.environ:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # one may have come already
    if started_by_ours():
        threading.Thread(target=list, args=(lines(sys.stdin),), daemon=True).start()


def lines(stream: TextIO) -> Iterator[str]:
    """The lines of a pipe, as they come; this process ends once the other end is closed.

    However long what it does with a line takes.
    """
    read: SimpleQueue[str] = SimpleQueue()

    def wait() -> None:
        for line in stream:
            read.put(line)
        if sys.platform != "win32" and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGTERM)  # with what it has started
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    return iter(read.get, None)


def run_child(command: Sequence[str]) -> int:
    """Run a process of ours that ends with this one, its output dropped; return its exit code.

    A signal that ends this process ends the child first, which says so itself.
    """
    environment = os.environ | {STARTED_BY: str(os.getpid())}
    with _interrupts_wait():
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )
    _has_child.set()
    try:
        return child.wait()
    except (KeyboardInterrupt, Ended) as end:
        ask = child.terminate
        if isinstance(end, Ended):
            ask()
        elif sys.platform != "win32":  # a terminal's Ctrl-C reaches both, and `kill -INT` one
            ask = partial(child.send_signal, signal.SIGINT)
        for tell in (ask, child.kill):
            try:
                child.wait(timeout=GRACE * 0.75)
                break
            except subprocess.TimeoutExpired:
                tell()
        if child.wait() > 128:
            _said.set()
        raise
    finally:
        _has_child.clear()


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C comes when this is left; in a process that is started, once it listens.

    One that is still importing Python's own modules would end in a traceback.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(number: int, _: object) -> None:
    """Raise for the first signal alone: a second one would end what the first lets end."""
    global _ends
    if _ends:
        return
    _ends = number != signal.SIGINT or not _takes_interrupts.is_set()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Ended(number)


def _end_late(heard: socket.socket, told: socket.socket) -> None:
    """Where a signal has not ended this process a moment later, end it."""
    del told  # open for as long as this thread lives
    ending = {getattr(signal, name, None) for name in _NAMES}
    while True:
        number = heard.recv(1)[0]
        if number == signal.SIGINT and _takes_interrupts.is_set():
            continue
        if number in ending:
            time.sleep(GRACE * 1.8 if _has_child.is_set() else GRACE)
            end(number)
