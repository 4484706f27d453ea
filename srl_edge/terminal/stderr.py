"""Standard error, which ends no work: what cannot be written there is lost."""

import contextlib
import io
import sys


class _Unending(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):  # a full disk, or nobody who reads it any more
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def unending_stderr() -> None:
    """Let standard error lose what it cannot write, where it is this process's own."""
    own = sys.__stderr__
    if sys.stderr is own and isinstance(own, io.TextIOWrapper):
        sys.stderr = _Unending(own.buffer, own.encoding, own.errors, line_buffering=True)
