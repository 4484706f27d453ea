"""What every section of a recipe is, and how a path in one is written."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Counts that no run comes near: of prompts, rollouts and passes that multiply, and of others, such
# as the tokens of a context.
FEW, MANY = 1 << 16, 1 << 24
Few = Annotated[int, Field(gt=0, le=FEW)]
FewOrNone = Annotated[int, Field(ge=0, le=FEW)]
Many = Annotated[int, Field(gt=0, le=MANY)]
ManyOrNone = Annotated[int, Field(ge=0, le=MANY)]


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    main: ClassVar[str] = ""  # the setting that a text stands for in the section's place

    @field_validator("*", mode="before")
    @classmethod
    def _of_characters(cls, given: Any) -> Any:
        texts = given if isinstance(given, list | tuple | dict) else (given,)
        if any(isinstance(text, str) and _no_utf_8(text) for text in texts):
            raise ValueError("is not UTF-8, as a recipe is; rename what it names")
        return given

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        return {cls.main: given} if cls.main and isinstance(given, str | os.PathLike) else given


def _no_utf_8(text: str) -> bool:
    """Whether it holds bytes of a command line or a file's name that are no characters."""
    return any("\ud800" <= sign <= "\udfff" for sign in text)


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
