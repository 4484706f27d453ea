"""What every section of a recipe is, and how a path in one is written."""

import os
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    main: ClassVar[str] = ""  # the setting that a text stands for in the section's place

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        return {cls.main: given} if cls.main and isinstance(given, str | os.PathLike) else given


def file_name(given: Any) -> Any:
    """A path as it was written, `~` expanded; raises ValueError for one that no file can have."""
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(text, str):
        return text  # pydantic says what is wrong with it
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL character")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ValueError(f"{text}: there is no such user's home") from None
