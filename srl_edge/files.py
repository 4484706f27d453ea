"""Files of ours: JSON that may be broken, writes that happen at once, hashes, the cache."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError


def read_json(path: Path) -> Any:
    """A file's JSON value; raises InputError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}), so it was cut off or edited; set it back, or delete it "
            "and run the command that wrote it again."
        ) from None


def read_json_if_there(path: Path) -> Any:
    """As `read`; None where there is no such file."""
    return read_json(path) if path.is_file() else None


def replace(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where downloaded models are kept: $SRL_EDGE_CACHE, else ~/.cache/srl-edge."""
    return Path(os.environ.get("SRL_EDGE_CACHE") or Path.home() / ".cache" / "srl-edge")


@contextmanager
def cache_lock() -> Iterator[None]:
    """Held while the cache folder is filled, so that two processes do not download the same."""
    from filelock import FileLock

    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / ".lock"):
        yield
