"""A `tokenizer.json`, which may be anybody's: opened and asked where it can do no harm."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from srl_edge.errors import InputError

FILE = "tokenizer.json"
LONGER = 1000.0  # times that a text may get longer before it is cut into tokens, or after
_PARTS = ("normalizers", "pretokenizers", "decoders")
# What one part can make of a character, where that does not stand in the file.
_GROWTH = {"ByteLevel": 2.0, "Precompiled": 16.0, "BertNormalizer": 3.0}


def opened(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, without what its file says of padding and of cutting texts off.

    Raises InputError where it cannot be read, or `require_bounded` refuses it.
    """
    require_bounded(folder)
    try:
        with heard(folder):
            found = Tokenizer.from_file(str(folder / FILE))
    except InputError:
        raise
    except Exception as error:  # the library has no class of its own for a damaged file
        raise InputError(f"{folder / FILE}: cannot be read: {error}.") from None
    found.no_padding()
    found.no_truncation()
    return found


@contextmanager
def heard(folder: Path) -> Iterator[None]:
    """Raise InputError where the library gives up inside, which is no Exception of Python's."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        said = (str(error).splitlines() or ["no reason given"])[0][:200]
        raise InputError(
            f"{folder / FILE}: cannot be used for this text ({said}); take the tokenizer of the "
            "model's makers."
        ) from None


def require_bounded(folder: Path) -> None:
    """Raise InputError where a tokenizer could make a text longer without bounds.

    Its library heeds no limit of time, and ends the process where memory runs out.
    """
    file = folder / FILE
    if not file.is_file():
        return
    stamp = file.stat()
    for name, growth in _growths(file, stamp.st_mtime_ns, stamp.st_size).items():
        if growth > LONGER:
            raise InputError(
                f"{file}: its {name} can make a text {growth:.2g} times as long; take the "
                "tokenizer of the model's makers."
            )


@lru_cache(maxsize=8)
def _growths(file: Path, *_: int) -> dict[str, float]:
    """How many times as long a text can get, by the part of the file that does it."""
    try:
        said = json.loads(file.read_bytes())
        names = ("normalizer", "pre_tokenizer", "decoder")
        return {name: _growth(said.get(name)) for name in names}
    except (ValueError, AttributeError, TypeError, RecursionError):  # which the library tells
        return {}


def _growth(part: Any) -> float:
    if not isinstance(part, dict):
        return 1.0
    grown = 1.0
    for inner in (inner for key in _PARTS for inner in part.get(key) or ()):
        grown = min(grown * _growth(inner), 1e30)
    if part.get("type") == "Replace":
        pattern, content = part.get("pattern") or {}, part.get("content") or ""
        literal = pattern.get("String") if isinstance(pattern, dict) else None
        replaced = len(content) / len(literal) if literal else len(content) + 1
        return max(1.0, replaced)
    return grown * _GROWTH.get(str(part.get("type")), 1.0)
