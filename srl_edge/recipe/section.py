"""What every section of a recipe is, and how a path in one is written."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def file_name(text: str) -> str:
    """A path as it was written, `~` expanded; raises ValueError for one that no file can have."""
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL character")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ValueError(f"{text}: there is no such user's home") from None
