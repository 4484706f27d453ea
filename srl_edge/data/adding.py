"""Files of rows that a command adds to, call after call."""

import json
from pathlib import Path
from typing import Any, TextIO

from srl_edge.errors import InputError
from srl_edge.files import parsed, read_rows
from srl_edge.shapes import first_key
from srl_edge.terminal import progress


def rows_before(file: Path, shape: str) -> list[Any]:
    """The rows that a command wrote to a file, with one whose line is not ended, less a torn one.

    Raises InputError, and touches nothing, where the file holds anything else than rows of `shape`.
    """
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: is no file to add rows to; name another (--out).")
    try:
        found, last = read_rows(file, shape), _unended(file)
        if last and not _is_torn(last, shape):
            found.append(parsed(last, shape))
    except (InputError, ValueError) as error:
        why = str(error).removeprefix(f"{file}, ").partition(", so it was")[0]
        raise InputError(
            f"{file}: holds something else than the rows that this command writes ({why}), so "
            "nothing is added; name another file (--out)."
        ) from None
    return found


def opened(file: Path, shape: str) -> TextIO:
    """The file that `rows_before` read, to add to: its last line is ended, or, if torn, moved out.

    It may be what somebody has written by hand, so it goes to `<file>.torn`.
    """
    if last := _unended(file):
        with file.open("r+b") as end:
            if _is_torn(last, shape):
                torn = file.with_name(f"{file.name}.torn")
                with torn.open("ab") as kept:
                    kept.write(last + b"\n")
                progress.say(f"{file}: its last line is no whole row, and is in {torn.name} now")
                end.truncate(file.stat().st_size - len(last))
            else:
                end.seek(0, 2)
                end.write(b"\n")
    return file.open("a", encoding="utf-8", newline="\n")


def _unended(file: Path) -> bytes:
    return file.read_bytes().rpartition(b"\n")[2] if file.is_file() else b""


def _is_torn(line: bytes, shape: str) -> bool:
    """Whether a line is the beginning of a row, as it is left where its process was killed."""
    begins = f'{{"{first_key(shape)}": "'.encode()
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(begins) or begins.startswith(line)
    return False
