"""The end of what a process says as it goes on, however much that is."""

from collections.abc import Sequence
from threading import Thread
from typing import Any

_KEPT = 1 << 16  # bytes


class LastWords:
    """Reads a pipe to its end in a thread, and keeps the last 64 KiB."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._kept = getattr(pipe, "buffer", pipe), b""
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while part := self._pipe.read1(_KEPT):
                self._kept = (self._kept + part)[-_KEPT:]
        except (OSError, ValueError):  # closed meanwhile
            return

    def line(self) -> str:
        """The last line, once the process has ended; somebody else may still hold the pipe."""
        self._thread.join(timeout=1)
        lines: Sequence[str] = self._kept.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"
