"""What srl-edge wrote itself, told from what is a user's: only its own is replaced or removed.

A folder that it wrote holds a marker with the sha256 of every file. A folder that it works in
(the run's own, `train`, `parity`, `bench`) holds one as well, with the files that it writes there
one by one.
"""

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.files import (
    REMOVED,
    file_sha256,
    inside,
    is_scratch,
    left_in,
    read_json,
    read_json_if_there,
    remove_left,
    replace,
    scratch_folder,
    text_sha256,
)
from srl_edge.lost import require_held

MARKER = ".srl-edge"
# What `srl-edge card` adds to a folder: of its own as any file, but no result that another is made
# from, so nothing is out of date where it changes or goes.
CARD = ("README.md", "training.svg")
_OF_THE_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")  # put everywhere by file managers


RESULTS = "results"  # what a folder is for that no more is said of


def publish(scratch: Path, final: Path, purpose: str = RESULTS) -> Path:
    """Move a finished folder to `final`, in place of what srl-edge wrote there; return it.

    Raises InputError where something else is there, or a folder of another purpose.
    """
    (scratch / MARKER).unlink(missing_ok=True)  # of what it is a copy of
    remove_left(left_in(scratch))
    _note(scratch, {name: [file_sha256(scratch / name)] for name in _files(scratch)}, purpose)
    require_own(final, purpose)
    with _moved_away(final):
        return scratch.rename(final)


def remove(folder: Path, purpose: str = RESULTS) -> None:
    """Remove a folder that srl-edge wrote, if it is there; raises InputError for any other."""
    require_own(folder, purpose)
    if folder.exists():
        with _moved_away(folder):
            pass


@contextlib.contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    """A folder lies elsewhere until the end, and is deleted then; back again, where that fails.

    Moved as a whole first: of one that is deleted file by file, the marker might go before others,
    which would never again be known for our own.
    """
    with scratch_folder(folder.parent, REMOVED) as scratch:
        away = scratch / folder.name
        try:
            if folder.exists():
                folder.rename(away)
            yield
        except BaseException:  # Ctrl-C, too, which may come while the system renames
            if away.exists() and not os.path.lexists(folder):
                away.rename(folder)
            raise
        with contextlib.suppress(OSError):  # from here on nothing puts it back
            scratch.rename(scratch.with_name("deleted"))


def require_own(folder: Path, purpose: str = RESULTS) -> None:
    """Raise InputError where a folder is there and holds anything but what srl-edge wrote.

    Also where it wrote that for another purpose.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder}: a folder of results belongs here; move this elsewhere.")
    if not folder.is_dir():
        return
    noted = _noted(folder)
    if noted is not None:
        _require_purpose(folder, purpose)
    for name in _files(folder):
        if is_scratch(Path(name)):
            raise InputError(
                f"{folder / name}: another process of srl-edge may be writing this; wait for it, "
                "or delete this file where none works here any more."
            )
        if noted is None or name not in noted:
            raise _not_ours(folder, f"{name} was not written by srl-edge")
        if file_sha256(folder / name) not in noted[name]:
            raise _not_ours(folder, f"{name} has changed since srl-edge wrote it")


def claim(folder: Path, purpose: str, beside: str = "") -> Path:
    """Make a folder to work in, for one purpose; raises InputError where another thing is there.

    Names that begin with a dot do not count, nor does `beside`, a file that is left as it is. Links
    anywhere in it are refused: what is written there would go elsewhere. What our processes that
    were ended left half-written in it is removed.
    """
    require_held(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = not (folder / MARKER).is_file()
    if fresh:  # said before all of a large folder is gone through
        names = (p.name for p in folder.iterdir() if not p.name.startswith("."))
        if other := sorted(name for name in names if name != beside):
            raise _not_ours(folder, f"{other[0]} was not written by srl-edge")
    left = left_in(folder)
    require_no_links(folder, beside)
    if fresh:
        _note(folder, {}, purpose)
    _require_purpose(folder, purpose)
    remove_left(left)
    return folder


def require_no_links(folder: Path, beside: str = "") -> None:
    """Raise InputError where a folder holds a link, which would lead elsewhere, but `beside`."""
    left = left_in(folder)
    links = (p for p in folder.rglob("*") if p.is_symlink() and p.name != beside)
    if link := next((p for p in links if not _is_in(p, left)), None):
        raise InputError(f"{link}: is a link, and srl-edge writes through none; move it elsewhere.")


def withdraw(folder: Path, names: Collection[str]) -> None:
    """Remove a claimed folder in which nothing was made: its marker, and files of `names`.

    A folder that holds anything else stays.
    """
    files = (*names, MARKER)  # the marker last, so that what is left is known for our own
    if any(path.name not in files or not path.is_file() for path in folder.iterdir()):
        return
    for name in files:
        with contextlib.suppress(PermissionError):  # a lock that is held, on Windows
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def changed(folder: Path) -> str | None:
    """The first file of a folder that srl-edge wrote which is gone or other than it was.

    Files of the same size and time of change are taken to be the same; a card does not count. None
    where there is none.
    """
    marker = read_json_if_there(folder / MARKER, "Marker") or {"files": {}}
    for name, hashes in marker["files"].items():
        file = folder / name
        if name in CARD:
            continue
        if not inside(file, folder) or not file.is_file():  # a marker may have been edited
            return str(name)
        if marker.get("seen", {}).get(name) != _seen(file) and file_sha256(file) not in hashes:
            return str(name)
    return None


def contents(path: Path) -> str | None:
    """What tells a result from any other that srl-edge wrote; None where it wrote none there.

    As the marker has it: of a folder that it wrote, all files but a card; of a claimed one, a file.
    """
    if path.is_dir():
        files = {k: h[0] for k, h in (_noted(path) or {}).items() if k not in CARD}
        return text_sha256(json.dumps(sorted(files.items()))) if files else None
    return next(iter((_noted(path.parent) or {}).get(path.name, ())), None)


def is_claimed(folder: Path) -> bool:
    """Whether srl-edge works in a folder."""
    return (folder / MARKER).is_file()


def write(path: Path, text: str) -> None:
    """Write a file of a claimed folder at once, in place of what srl-edge wrote there.

    Raises InputError where the file is not there as srl-edge wrote it.
    """
    remove_left(left_in(path.parent, deep=False))
    noted = _noted(path.parent) or {}
    there = [file_sha256(path)] if path.is_file() else []
    if path.exists() and (not there or there[0] not in noted.get(path.name, ())):
        raise InputError(
            f"{path}: srl-edge did not write this file, or it has changed since; move it "
            "elsewhere, so that it is not lost."
        )
    # What is being written, and what stays there if the writing is cut off.
    _note(path.parent, noted | {path.name: [text_sha256(text), *there]})
    replace(path, text)


def remove_file(path: Path) -> None:
    """Remove a file of a claimed folder, if it is there; raises InputError where it is not ours."""
    if path.exists():
        write(path, "")
        path.unlink()


def written(path: Path) -> bool:
    """Whether a file of a claimed folder is there as srl-edge wrote it."""
    there = path.is_file() and inside(path, path.parent)
    return there and file_sha256(path) in (_noted(path.parent) or {}).get(path.name, ())


def set_aside(path: Path) -> Path:
    """Rename a file or folder to `<name>-earlier`, or the first free `-earlier-N`; return that."""
    require_held(path)
    number, aside = 1, path.with_name(f"{path.name}-earlier")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}-earlier-{number}")
    return path.rename(aside)


def _require_purpose(folder: Path, purpose: str) -> None:
    found = read_json(folder / MARKER, "Marker").get("purpose", RESULTS)
    if found != purpose:
        raise InputError(f"{folder}: holds srl-edge's {found}, not its {purpose}; name another.")


def _not_ours(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder}: {why}, and it would be lost here; move it elsewhere, or name another folder "
        "(--output of a run, --out)."
    )


def _files(folder: Path) -> list[str]:
    """Every file and link of a folder but the marker, by its path in it.

    Nor what a process of ours that was ended left there.
    """
    left = left_in(folder)
    paths = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    found = (p for p in paths if not _is_in(p, left))
    names = (p.relative_to(folder).as_posix() for p in found if p.name not in _OF_THE_SYSTEM)
    return sorted(name for name in names if name != MARKER)


def _is_in(path: Path, folders: Collection[Path]) -> bool:
    """Whether a path is one of these, or lies in one."""
    return any(path == each or each in path.parents for each in folders)


def _noted(folder: Path) -> dict[str, list[str]] | None:
    """Hashes by file, as the marker has them; None where there is no marker."""
    marker = folder / MARKER
    return read_json(marker, "Marker")["files"] if marker.is_file() else None


def _note(folder: Path, files: dict[str, list[str]], purpose: str | None = None) -> None:
    before = read_json_if_there(folder / MARKER, "Marker") or {}
    noted = {
        "what": "files that srl-edge wrote, with their sha256; it removes no others",
        "purpose": purpose or before.get("purpose", RESULTS),
        "files": files,
        "seen": {name: _seen(folder / name) for name in files if (folder / name).is_file()},
    }
    replace(folder / MARKER, json.dumps(noted, indent=1) + "\n")


def _seen(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]
