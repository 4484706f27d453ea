"""Programs of others, which end with the process that waits for them, however that ends.

Run by itself, this file starts a program, and ends it once its own standard input is closed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_ends = threading.Lock()  # held by the thread that ends this process


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program and wait for it; what it printed and said is caught as text.

    environment, folder: those of this process where they are None. timeout: in seconds; raises
    subprocess.TimeoutExpired after it.
    """
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        attendant = subprocess.Popen(
            # By its path: PYTHONPATH is the program's, and may hold other packages than ours.
            [sys.executable, "-P", __file__, *command],
            stdin=subprocess.PIPE,  # held open until here is the end
            stdout=printed,
            stderr=said,
            env=environment,
            cwd=folder,
            start_new_session=True,  # a terminal's Ctrl-C comes to this process alone
        )
        assert attendant.stdin
        try:
            attendant.wait(timeout)
        finally:
            attendant.stdin.close()
            code = attendant.wait()
        texts = []
        for file in (printed, said):
            file.seek(0)
            texts.append(file.read().decode("utf-8", errors="replace"))
    return subprocess.CompletedProcess(command, code, *texts)


def _attend(command: Sequence[str]) -> int:
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_asker, daemon=True).start()
    code = program.wait()
    _ends.acquire()  # not before all that it had started is ended, where the asker is gone
    if code < 0:  # by a signal, which whoever asked is to see
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_with_asker() -> None:
    import psutil

    while os.read(0, 1):  # returns nothing once the other end is closed
        pass
    _ends.acquire()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(_attend(sys.argv[1:]))
