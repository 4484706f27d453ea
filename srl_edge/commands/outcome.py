"""What a verb found: in words for people, as JSON for programs, as an exit code for shells."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a verb that ran through.

    text: printed as it is. facts: what `--json` prints in its place; without it, the text. code:
    the exit code, and fault the sentence that says why it is not 0.
    """

    text: str = ""
    facts: Any = None
    code: int = 0
    fault: str = ""


def written(path: Path, **facts: Any) -> Outcome:
    """The outcome of a verb that wrote a file or folder, whose path is what it prints."""
    return Outcome(str(path), {"path": str(path), **facts})
