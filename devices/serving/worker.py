"""One thread that owns the model, and the queue of what it is asked, which has a limit."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from srl_edge.devices.serving.model import Model

Ask = Callable[[Model], Iterator[Any]]
_END = object()


class Full(Exception):
    """So many wait already that no more may."""


class Gone(Exception):
    """The thread has ended, and nothing will be answered."""


class Job:
    """What one client asks; its events come in the client's event loop."""

    def __init__(self, ask: Ask) -> None:
        self._ask, self._loop = ask, asyncio.get_running_loop()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._left = threading.Event()

    @property
    def left(self) -> bool:
        """Whether its client is gone."""
        return self._left.is_set()

    def leave(self) -> None:
        """Want nothing more: the model is free at its next token."""
        self._left.set()

    async def events(self) -> AsyncIterator[Any]:
        """What the model gives, one after the other; what it raises is raised here."""
        try:
            while (each := await self._out.get()) is not _END:
                if isinstance(each, Exception):
                    raise each
                yield each
        finally:
            self.leave()

    def run(self, model: Model) -> None:
        """Answer, in the thread that owns the model."""
        try:
            for each in self._ask(model):
                if self.left:
                    break
                self._tell(each)
        except Exception as error:  # whose it is, is told to the client
            self._tell(error)
        except BaseException as error:  # what a library in Rust raises where it gives up
            self._tell(RuntimeError(f"{type(error).__name__}: {error}"))
        self._tell(_END)

    def _tell(self, each: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, as all does
            self._loop.call_soon_threadsafe(self._out.put_nowait, each)


class Worker:
    """The model in a thread of its own; at most `queue` jobs wait while one is answered."""

    def __init__(self, what: str | Path, threads: int, context: int, queue: int) -> None:
        self._most, self._changed = queue, threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        loaded: Future[Model] = Future()

        def work() -> None:
            try:
                model = Model(what, threads, context)
            except BaseException as error:
                loaded.set_exception(error)
                return
            loaded.set_result(model)
            while True:
                with self._changed:
                    self._running = None
                    self._changed.wait_for(lambda: self._waiting)
                    self._running = self._waiting.popleft()
                if not self._running.left:
                    self._running.run(model)

        self._thread = threading.Thread(target=work, name="model", daemon=True)
        self._thread.start()
        self.model = loaded.result()  # for what can be read of it; only the thread asks it

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    @property
    def load(self) -> int:
        """How many are answered or wait."""
        with self._changed:
            return self._load()

    def submit(self, ask: Ask) -> Job:
        """Queue a question; raises Full or Gone."""
        job = Job(ask)
        with self._changed:
            if not self.alive:
                raise Gone
            if self._load() > self._most:
                raise Full
            self._waiting.append(job)
            self._changed.notify()
        return job

    def _load(self) -> int:
        self._waiting = deque(job for job in self._waiting if not job.left)
        return len(self._waiting) + (self._running is not None)
