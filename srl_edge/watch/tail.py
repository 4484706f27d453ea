"""A file that another process adds lines to, read from where it was left off."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

AT_ONCE = 8 << 20  # bytes read in one go, so that whoever asks is soon answered
_KNOWN = 256  # bytes before the place read to, by which a rewritten file is told


@dataclass(frozen=True, slots=True)
class News:
    """What was added to a file: its whole lines, each with the byte where it begins.

    anew: the file is another than before, or was cut back, and these are its first lines.
    left: bytes that are there and not read yet, those of a half-written last line included.
    """

    lines: list[tuple[int, bytes]]
    anew: bool
    left: int

    @property
    def more(self) -> bool:
        """Whether there may be whole lines that are not read yet."""
        return bool(self.lines) and self.left > 0


class Tail:
    """Each line of a growing file, once; a last line without its end is waited for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0  # bytes
        self._before = b""
        self._file = (0, 0)

    def news(self, most: int = AT_ONCE) -> News:
        """The lines that were added since, about `most` bytes of them; a longer line is whole."""
        try:
            if not self.path.is_file():  # a pipe would be waited for
                raise FileNotFoundError
            with self.path.open("rb") as file:
                found = file.seek(0, 2)
                anew = not self._goes_on(file, found)
                if anew:
                    self._read, self._before = 0, b""
                file.seek(self._read)
                text = file.read(most)
                while b"\n" not in text and (more := file.read(max(most, len(text)))):
                    text += more
        except (FileNotFoundError, NotADirectoryError):
            anew = self._read > 0
            self._read, self._before, self._file = 0, b"", (0, 0)
            return News([], anew, 0)
        whole = text[: text.rfind(b"\n") + 1]
        lines, at = [], self._read
        for line in whole.split(b"\n")[:-1]:
            lines.append((at, line))
            at += len(line) + 1
        self._read = at
        self._before = (self._before + whole[-_KNOWN:])[-_KNOWN:]
        return News(lines, anew, max(found - at, 0))

    def _goes_on(self, file: BinaryIO, size: int) -> bool:
        """Whether an open file begins with all that was read of it."""
        stat = os.fstat(file.fileno())
        same, self._file = self._file == (stat.st_dev, stat.st_ino), (stat.st_dev, stat.st_ino)
        if not self._read:
            return True
        if not same or size < self._read:
            return False
        file.seek(self._read - len(self._before))
        return bool(file.read(len(self._before)) == self._before)
