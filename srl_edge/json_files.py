"""Reading a JSON file that a person may have edited, or a full disk cut off."""

import json
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError


def read(path: Path) -> Any:
    """A file's JSON value; raises InputError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}), so it was cut off or edited; set it back, or delete it "
            "and run the command that wrote it again."
        ) from None


def read_if_there(path: Path) -> Any:
    """As `read`; None where there is no such file."""
    return read(path) if path.is_file() else None
