"""A progress bar with an ETA in a terminal or a notebook, a plain line now and then elsewhere."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from srl_edge.terminal import notebook
from srl_edge.terminal.signs import printable

QUIET = "SRL_EDGE_QUIET"  # variable of the environment, for processes that this one starts, too
PLAIN_EVERY = 15.0  # seconds between lines where there is no terminal
SILENT_AT_MOST = 60.0  # while a long item is under way
CHANGED_EVERY = 0.5  # and between the changes of one in a notebook
BAR = 24  # columns
WIDE = 110  # of a terminal where all has room

Advance = Callable[..., None]


class _Eta(ProgressColumn):
    """What is left at the pace of all that was done: rich's own goes by the last moments' pace."""

    def render(self, task: Task) -> Text:
        worked, at = task.fields["worked"], task.fields["at"]
        if not worked or task.elapsed is None or task.total is None:
            return Text("-:--:--")
        left = at / worked * (task.total - task.completed) - (task.elapsed - at)
        if left <= 0 and task.completed < task.total:
            return Text("-:--:--")  # overdue: nothing is known of how long it will be
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02}:{seconds:02}")


class Aside(Console):
    """Standard error for what need not be read: where nobody reads it any more, nothing is said."""

    def __init__(self, **options: Any) -> None:
        super().__init__(stderr=True, **options)

    def on_broken_pipe(self) -> None:
        """Say nothing from now on; rich would end the process."""
        self.quiet = True


class _Progress(Progress):
    above: Callable[[], RenderableType] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above:
            yield self.above()
        yield from super().get_renderables()


def quiet() -> bool:
    """Whether nothing but mistakes is to be said."""
    return bool(os.environ.get(QUIET))


def say(sentence: str) -> None:
    """A sentence on the terminal, above a bar that may be running; nothing where all is quiet."""
    if quiet():
        return
    sentence = printable(sentence)
    if notebook.here():
        print(sentence, flush=True)
        return
    Aside(soft_wrap=True, highlight=False).print(sentence, markup=False)


def library_bar() -> type[Any]:
    """tqdm's class, for a library that draws by it: in a terminal, and not where all is quiet."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *items: Any, **options: Any) -> None:
            super().__init__(*items, **options | {"disable": quiet() or None, "leave": False})

    return Bar


@contextlib.contextmanager
def bar(
    title: str,
    total: int,
    done: int = 0,
    above: Callable[[], RenderableType] | None = None,
    work: float | None = None,
) -> Iterator[Advance]:
    """Yield `advance(note="", by=1, work=by, skipped=False)`; shows title, count, time and ETA.

    And the newest note. skipped: what was there already, so that it tells nothing of the pace.
    above: makes what a terminal shows over the bar, anew with each refresh. work: of all items,
    where they differ in it: the ETA goes by that.
    """
    if quiet():
        yield lambda *_, **__: None
        return
    title = printable(title)
    whole = float(total) if work is None else work
    if notebook.here():
        with _changing(title, total, done, whole) as advance:
            yield advance
        return
    console = Aside()
    with (
        _rich(console, title, total, done, above, whole)
        if console.is_terminal
        else _plain(title, total, done, whole) as advance
    ):
        yield advance


@contextlib.contextmanager
def _rich(
    console: Console,
    title: str,
    total: int,
    done: int,
    above: Callable[[], RenderableType] | None,
    whole: float,
) -> Iterator[Advance]:
    wide = console.width >= WIDE
    # Of what is too long, the note is cut, and never the times.
    note = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = [
        TextColumn(f"{{task.description:<{26 if wide else 1}}}", markup=False),
        BarColumn(bar_width=BAR if wide else BAR // 3),
        TextColumn("{task.fields[count]}/{task.fields[items]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        _Eta(),
        TextColumn("{task.fields[note]}", table_column=note, markup=False),
    ]
    with _Progress(*columns, console=console, expand=True) as progress:
        progress.above = above
        task = progress.add_task(
            title,
            total=whole,
            completed=round(done * whole / max(total, 1)),
            note="",
            count=done,
            items=total,
            worked=0.0,
            at=0.0,
        )
        count, worked, start = done, 0.0, time.monotonic()

        def advance(
            note: str = "", by: int = 1, work: float | None = None, skipped: bool = False
        ) -> None:
            nonlocal count, worked
            step = by if work is None else work
            count, worked = count + by, worked + (0.0 if skipped else step)
            progress.update(
                task,
                advance=step,
                note=printable(note),
                count=count,
                worked=worked,
                at=time.monotonic() - start,
            )

        yield advance


@contextlib.contextmanager
def _plain(title: str, total: int, done: int, whole: float) -> Iterator[Advance]:
    def show(done: int, seconds: float, left: float | None, note: str) -> None:
        eta = "" if left is None else f", ETA {left:.0f} s"
        line = f"{title}: {done}/{total}, {seconds:.0f} s{eta}  {note}"
        with contextlib.suppress(BrokenPipeError):
            print(printable(line.rstrip()), file=sys.stderr, flush=True)

    with _now_and_then(total, done, whole, PLAIN_EVERY, show) as advance:
        over = threading.Event()

        def speak() -> None:
            while not over.wait(SILENT_AT_MOST):
                advance(by=0)

        threading.Thread(target=speak, daemon=True).start()
        try:
            yield advance
        finally:
            over.set()


@contextlib.contextmanager
def _changing(title: str, total: int, done: int, whole: float) -> Iterator[Advance]:
    line = notebook.changing_line()

    def show(done: int, seconds: float, left: float | None, note: str) -> None:
        full = round(BAR * done / max(total, 1))
        bar = "█" * full + "░" * (BAR - full)
        eta = "" if left is None or done == total else f"  ETA {left:.0f} s"
        line(f"{title:<26} {bar} {done}/{total}  {seconds:.0f} s{eta}  {note}".rstrip())

    show(done, 0.0, None, "")
    with _now_and_then(total, done, whole, CHANGED_EVERY, show) as advance:
        yield advance


@contextlib.contextmanager
def _now_and_then(
    total: int,
    done: int,
    whole: float,
    every: float,
    show: Callable[[int, float, float | None, str], None],
) -> Iterator[Advance]:
    """Yield `advance`; calls `show(done, seconds, seconds left, note)` so often, and at the end.

    Seconds left are None while all that is done was skipped. `advance(by=0)` shows how it stands.
    """
    start = shown = time.monotonic()
    left_over, worked, last = whole * (1 - done / max(total, 1)), 0.0, ""

    def advance(
        note: str = "", by: int = 1, work: float | None = None, skipped: bool = False
    ) -> None:
        nonlocal done, shown, worked, left_over, last
        if by or work:
            last = note
            done += by
            step = by if work is None else work
            if skipped:
                left_over -= step
            else:
                worked += step
        elif done == total:  # from another thread, which changes no count
            return
        now = time.monotonic()
        if now - shown >= every or done == total:
            shown = now
            left = (now - start) / worked * max(left_over - worked, 0.0) if worked else None
            show(done, now - start, left, last)

    yield advance
