"""Folders that this process has locked, which may be deleted, renamed or begun anew meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srl_edge.errors import InputError

_LOCKS: dict[Path, tuple[int, int]] = {}  # the file of each that this process holds, and its inode


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """While a lock is held, `require_held` knows its folder; raises what that does, if it is lost.

    Whatever else failed then, failed for that.
    """
    lock = lock.absolute()
    if inode := _inode(lock):
        _LOCKS[lock] = inode
    try:
        yield
    except Exception:
        require_held(lock)
        raise
    finally:
        _LOCKS.pop(lock, None)


def require_held(path: Path) -> None:
    """Raise InputError where a folder of a path was locked, and is no longer the one that was.

    To be asked before anything is written by its path: another process may work there now.
    """
    for lock, inode in tuple(_LOCKS.items()):
        folder = lock.parent
        if path.absolute().is_relative_to(folder) and _inode(lock) != inode:
            raise InputError(
                f"{folder}: was deleted, renamed or begun anew while this process worked in it, so "
                "it ends and writes no more there; what was renamed goes on by the same command "
                "with its new name."
            )


def _inode(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
