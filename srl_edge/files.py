"""Files of ours: JSON that may be broken, writes that happen at once, hashes, the cache."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.lost import require_held

_MIB = 1 << 20
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_SCRATCH = ".srl-edge-scratch-"  # and the id of the process that builds there, and its place
_OURS = re.compile(re.escape(_SCRATCH) + r"(\d+)-([0-9a-f]{8})-.+")
REMOVED = "removed"  # in scratch: what lies there until another takes its place
_SAID, _WAIT = 5.0, 1800.0  # seconds of waiting for the cache until it is said, and given up
_LEFT = 7 * 86400  # seconds after which what a process of another place builds is taken for left


def read_text(path: Path) -> str:
    """A file's text; raises InputError where it is not UTF-8."""
    try:
        with naming(path):
            return path.read_text(encoding="utf-8-sig")  # editors may have marked its byte order
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file in that encoding.") from None


def read_json(path: Path, shape: str) -> Any:
    """A file's JSON value, as the class `shape` of `shapes` has it.

    Raises InputError, in one sentence, where it is something else.
    """
    _require_file(path)
    try:
        with naming(path):
            return parsed(path.read_bytes(), shape)
    except ValueError as error:
        raise misread(path, str(error)) from None


def misread(path: Path, why: str) -> InputError:
    """What to raise for a file that holds something else, in one sentence."""
    return InputError(
        f"{path}: {why}, so it was cut off, edited, or written by another version; set it "
        "back, or delete it and run the command that wrote it again."
    )


def read_json_if_there(path: Path, shape: str) -> Any:
    """As `read_json`; None where there is no such file."""
    return read_json(path, shape) if path.is_file() else None


def read_rows(path: Path, shape: str) -> list[Any]:
    """The values of a JSONL file, a line each, less a last one that is being written.

    None where there is no such file. Raises InputError as `read_json` does.
    """
    found = []
    with naming(path):
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            found.append(parsed(line, shape))
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: {error}, so it was edited, or written by another version; "
                "set it back, or delete the file and run the command that wrote it again."
            ) from None
    return found


def parsed(text: bytes | str, shape: str) -> Any:
    """A JSON value of that shape; raises ValueError, in a few words, for anything else."""
    try:
        value = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    try:
        from pydantic import ValidationError

        from srl_edge.shapes import adapter
    except ImportError:  # on a device, which is sent what was checked before
        return value
    try:
        adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    return value


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let any error of the system name the file that is read or written, if it names none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let the error of a full disk name the file that is being written, among other work."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = str(path)
        raise


def named_in(error: OSError) -> str | None:
    """The path that an error of the system is about, as a user knows it.

    A file that was to be put in place, and not its scratch; else the folder that scratch lies in.
    """
    names = [
        os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)
    ]
    if not names:
        return None
    known = (name for name in names if not _in_scratch(Path(name)))
    return next(known, names[0].partition(_SCRATCH)[0].rstrip(os.sep) or os.curdir)


def _in_scratch(path: Path) -> bool:
    return any(part.startswith(_SCRATCH) for part in path.parts)


def replace(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    require_held(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = f"{_SCRATCH}{os.getpid()}-{place()}-{threading.get_ident()}"
    scratch = path.with_name(f"{mine}-{path.name}")
    scratch.unlink(missing_ok=True)  # of a process that had this id before
    try:
        # Never through a link, and with the same bytes on every system: they are hashed.
        with naming(path), scratch.open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def inside(file: Path, folder: Path) -> bool:
    """Whether a file of a folder lies in it, links followed; or in its hub cache, as those do."""
    target, home = file.resolve(), folder.resolve()
    blobs = home.parents[1] / "blobs" if home.parent.name == "snapshots" else home
    return target.is_relative_to(home) or target.is_relative_to(blobs)


def require_contained(folder: Path, files: Iterable[Path]) -> None:
    """Raise InputError where one of a folder's files is a link that leads out of it, or a pipe."""
    for file in sorted(files):
        if not inside(file, folder):
            raise InputError(
                f"{file}: a link to a file outside of {folder}, and such are not followed; put the "
                "file itself there."
            )
        _require_file(file)


def _require_file(path: Path) -> None:
    """Raise InputError for what may never end, or never begin, to be read."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: a pipe or a device, and no file; take it out of the folder.")


@cache
def place() -> str:
    """What tells process ids apart: containers on one volume each count their own."""
    numbered = "/proc/self/ns/pid"
    space = os.readlink(numbered) if os.path.islink(numbered) else ""
    return text_sha256(f"{platform.node()} {space}")[:8]


def _is_left(scratch: Path) -> bool:
    """Whether the process that built there has ended, as far as that can be known.

    Of a folder that others may write to, such as that for temporary files, what they put there is
    theirs, however it is named.
    """
    import psutil

    if not (named := _OURS.fullmatch(scratch.name)) or not _is_ours(scratch):
        return False
    if named[2] == place():
        with suppress(OverflowError):  # no process has such an id
            return not psutil.pid_exists(int(named[1]))
        return True
    try:
        return max(p.lstat().st_mtime for p in (scratch, *scratch.rglob("*"))) < time.time() - _LEFT
    except OSError:  # somebody is at work there
        return False


def _is_ours(scratch: Path) -> bool:
    """Whether it is of this user, or of whom the folder around it is."""
    if not hasattr(os, "geteuid"):
        return True
    try:
        return scratch.lstat().st_uid in (os.geteuid(), scratch.parent.stat().st_uid)
    except OSError:  # it has gone
        return False


def is_scratch(path: Path) -> bool:
    """Whether a name is one of those that we build under."""
    return _OURS.fullmatch(path.name) is not None


def left_in(folder: Path, deep: bool = True) -> list[Path]:
    """Scratch of ours in a folder, or anywhere in it, whose process ended before it could go."""
    pattern = f"{_SCRATCH}*"
    return [p for p in (folder.rglob(pattern) if deep else folder.glob(pattern)) if _is_left(p)]


def remove_left(left: Iterable[Path]) -> None:
    """Remove what `left_in` found, as far as the system lets us.

    What was moved away for another that never took its place is put back first. No link is
    followed or put back: none was moved away, and one that came in an archive may lead anywhere.
    """
    for path in left:
        removed = path / REMOVED
        linked = path.is_symlink() or removed.is_symlink()
        for away in () if linked else removed.glob("*"):
            if not (away.is_symlink() or os.path.lexists(back := path.parent / away.name)):
                with suppress(OSError):
                    away.rename(back)
        if path.is_dir() and not path.is_symlink():
            with suppress(RecursionError):  # Python's own, of what is too deep
                shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: Path, name: str) -> Iterator[Path]:
    """A folder of that name to build in, for a while inside `beside`; removed unless it is moved.

    Removes those of processes that ended before they could.
    """
    require_held(beside)
    beside.mkdir(parents=True, exist_ok=True)
    remove_left(left_in(beside, deep=False))
    # What Windows keeps, since a library still has it open, the next process removes; and so it
    # does what the system does not let go of, as a file that is marked immutable.
    made = tempfile.TemporaryDirectory(
        prefix=f"{_SCRATCH}{os.getpid()}-{place()}-", dir=beside, ignore_cleanup_errors=True
    )
    try:
        folder = Path(made.name, name)
        folder.mkdir()
        yield folder
    finally:
        with suppress(OSError, RecursionError):  # Python's own, of what may not be deleted
            made.cleanup()


def remove_tree(folder: Path) -> None:
    """Remove a folder; an error names it, and not a file's bare name."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        error.filename = str(folder / Path(error.filename or "").name)
        raise


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file; raises InputError for a pipe, which may never end."""
    _require_file(path)
    with naming(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """Hex digits that change with a file's contents, every byte of which counts.

    Those of a file above 64 MiB, such as weights, are kept in `hashes/` of the cache: it is read
    again where its size, its times or its place on the disk have changed.
    """
    seen = _seen(path)
    if path.stat().st_size <= 64 * _MIB:
        return file_sha256(path)[:12]
    kept = None
    with suppress(InputError):  # there is no cache, or what it has is damaged
        kept = cache_folder() / "hashes" / text_sha256(os.path.abspath(path))[:32]
        known = read_json_if_there(kept, "Texts") or {}
        if known.get("seen") == seen and "fingerprint" in known:
            return str(known["fingerprint"])
    found = f"{_sampled(path)}-{file_sha256(path)[:12]}"
    if kept and _seen(path) == seen:
        with suppress(OSError):  # a cache that may not be written
            replace(kept, json.dumps({"seen": seen, "fingerprint": found}) + "\n")
    return found


def same_contents(then: object, now: object) -> bool:
    """Whether two fingerprints are of the same contents, as far as both tell.

    One of an earlier version has half of what it has now: of samples of weights, of all of rows.
    """
    return then == now or (isinstance(now, str) and then in now.split("-"))


def _seen(path: Path) -> str:
    """What changes where a file is written, by the system's account."""
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _sampled(path: Path) -> str:
    """Twelve hex digits of a file's size and of 16 parts of 1 MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with naming(path), path.open("rb") as file:
        for part in range(16):
            file.seek(part * (size - _MIB) // 15)
            digest.update(file.read(_MIB))
    return digest.hexdigest()[:12]


def contents_sha256(files: Iterable[Path]) -> str:
    """Hex sha256 that changes with the names and the fingerprints of files, less folders."""
    named = sorted(f"{file.name} {fingerprint(file)}\n" for file in files if file.is_file())
    return text_sha256("".join(named))


def text_sha256(text: str) -> str:
    """Hex sha256 of a file that holds a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def expanded(name: str | os.PathLike[str]) -> Path:
    """A path whose `~` is a user's home; raises InputError where nobody knows that."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise InputError(f"{name}: no home of such a user is known; give the whole path.") from None


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    whole = expanded(folder).absolute()
    return shutil.disk_usage(next(each for each in (whole, *whole.parents) if each.exists())).free


def cache_folder() -> Path:
    """Where downloaded models are kept: $SRL_EDGE_CACHE, else ~/.cache/srl-edge.

    Raises InputError where neither is known.
    """
    return expanded(os.environ.get("SRL_EDGE_CACHE") or "~/.cache/srl-edge")


@contextmanager
def cache_lock() -> Iterator[None]:
    """Held while the cache folder is filled, so that two processes do not download the same.

    Says for whom it waits. Raises InputError where that takes half an hour, and where that folder,
    or its lock, is another user's.
    """
    from filelock import FileLock, Timeout

    folder = cache_folder()
    holder = folder / ".lock.json"

    def other() -> str:
        note: dict[str, Any] = {}
        with suppress(InputError):
            note = read_json_if_there(holder, "Holder") or note
        return f"process {note.get('process')} fills it since {note.get('since')}"

    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock")
            try:
                held.enter_context(lock.acquire(timeout=_SAID))
            except Timeout:
                from srl_edge.terminal import progress

                progress.say(f"{folder}: {other()}; waiting for it.")
                held.enter_context(lock.acquire(timeout=_WAIT))
            note = {"process": os.getpid(), "since": time.strftime("%H:%M:%S")}
            replace(holder, json.dumps(note) + "\n")
        except Timeout:
            raise InputError(
                f"{folder}: {other()}, and has not come to an end; wait for it, or end it first, "
                "as where it was stopped (Ctrl-Z)."
            ) from None
        except PermissionError:
            raise InputError(
                f"{folder / '.lock'}: may not be written by you, as where another user made it; "
                "set SRL_EDGE_CACHE to a folder of your own, or let all who share it write there."
            ) from None
        yield
