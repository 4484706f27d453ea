"""Silence for C++ libraries, which write to the process's own error stream, or to Python's."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def without_native_noise() -> Iterator[None]:
    """Nothing that is written to file descriptor 2 meanwhile is seen, unless an exception ends it.

    Nor what is written to `sys.stderr`, which is another place in a notebook.

    For what cannot crash: what a library says before a crash would be lost.
    """
    with tempfile.TemporaryFile() as hidden:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except OSError:  # a process without an error stream has nothing to hide
            yield
            return
        os.dup2(hidden.fileno(), 2)
        try:
            with (
                open(os.dup(hidden.fileno()), "w", encoding="utf-8") as pythons,
                contextlib.redirect_stderr(pythons),
            ):
                yield
        except BaseException:
            os.dup2(kept, 2)
            hidden.seek(0)
            os.write(2, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
