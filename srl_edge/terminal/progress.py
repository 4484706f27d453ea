"""A progress bar with an ETA in a terminal, a plain line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_EVERY = 15.0  # seconds between lines where there is no terminal

Advance = Callable[..., None]


class _Progress(Progress):
    above: Callable[[], RenderableType] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above:
            yield self.above()
        yield from super().get_renderables()


def say(sentence: str) -> None:
    """A sentence on the terminal, above a bar that may be running."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)


@contextlib.contextmanager
def bar(
    title: str, total: int, done: int = 0, above: Callable[[], RenderableType] | None = None
) -> Iterator[Advance]:
    """Yield `advance(note="", by=1)`; shows title, count, elapsed time, ETA and the newest note.

    above: makes what a terminal shows over the bar, anew with each refresh.
    """
    console = Console(stderr=True)
    with (
        _rich(console, title, total, done, above)
        if console.is_terminal
        else _plain(title, total, done) as advance
    ):
        yield advance


@contextlib.contextmanager
def _rich(
    console: Console, title: str, total: int, done: int, above: Callable[[], RenderableType] | None
) -> Iterator[Advance]:
    columns = [
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    ]
    with _Progress(*columns, console=console) as progress:
        progress.above = above
        task = progress.add_task(title, total=total, completed=done, note="")
        yield lambda note="", by=1: progress.update(task, advance=by, note=note)


@contextlib.contextmanager
def _plain(title: str, total: int, done: int) -> Iterator[Advance]:
    start = shown = time.monotonic()
    first = done

    def advance(note: str = "", by: int = 1) -> None:
        nonlocal done, shown
        done += by
        now = time.monotonic()
        if now - shown >= PLAIN_EVERY or done == total:
            shown = now
            left = (now - start) / max(done - first, 1) * (total - done)
            line = f"{title}: {done}/{total}, {now - start:.0f} s, ETA {left:.0f} s  {note}"
            print(line.rstrip(), file=sys.stderr, flush=True)

    yield advance
