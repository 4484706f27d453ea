"""Limits of time and memory for what a model brings along and has to be run: its chat template."""

import ctypes
import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 5.0
LAST = 3 * SECONDS
BYTES = 1 << 30


class TooLong(Exception):
    """It took more than SECONDS."""


@contextmanager
def limited() -> Iterator[None]:
    """End what runs inside with TooLong after SECONDS, or MemoryError beyond BYTES more.

    Memory is bounded where the system can (Linux). A step in C that goes on for LAST seconds heeds
    nothing: it ends the process, with exit code 1 and where it stood.
    """
    lock, over = threading.Lock(), threading.Event()
    caller = ctypes.c_ulong(threading.get_ident())

    def end() -> None:
        with lock:
            if not over.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TooLong))

    timer = threading.Timer(SECONDS, end)
    timer.daemon = True
    timer.start()
    _bound_memory()
    watched = _watched()
    try:
        yield
    finally:
        if watched:
            faulthandler.cancel_dump_traceback_later()
        with lock:
            over.set()
        timer.cancel()
        _free_memory()


# The limit is the process's, so of several at a time the first sets it and the last takes it off.
_memory = threading.Lock()
_inside = 0
_before: tuple[int, int] | None = None


def _bound_memory() -> None:
    global _inside, _before
    with _memory:
        if not _inside:
            _before = _limit_memory()
        _inside += 1


def _free_memory() -> None:
    global _inside
    with _memory:
        _inside -= 1
        if not _inside:
            _set_limit(_before)


def _watched() -> bool:
    if sys.__stderr__ is None:
        return False
    try:
        faulthandler.dump_traceback_later(LAST, exit=True, file=sys.__stderr__)
    except (AttributeError, OSError, RuntimeError, ValueError):  # no stream to say it on
        return False
    return True


def _limit_memory() -> tuple[int, int] | None:
    try:
        import resource

        size = (
            int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
            * resource.getpagesize()
        )
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = size + BYTES
        if soft != resource.RLIM_INFINITY and soft < wanted:
            return None
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    except (ImportError, OSError, ValueError):
        return None
    return soft, hard


def _set_limit(limits: tuple[int, int] | None) -> None:
    if limits:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, limits)
