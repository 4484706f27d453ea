"""What is wrong with a recipe, in one sentence."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def keys(section: BaseModel, prefix: str = "") -> list[str]:
    """Dotted names of all settings, those of a list's items by number."""
    found = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += keys(value, f"{prefix}{name}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for i, item in enumerate(value):
                found += keys(item, f"{prefix}{name}.{i}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def first_sentence(model: type[BaseModel], error: ValidationError) -> str:
    """What is wrong with the settings of a model, and the nearest known key for an unknown one."""
    # An unknown key explains a missing one, so it is named first.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        there = _fields_at(model, parents)
        near = difflib.get_close_matches(str(key), there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(there)}."
        return f"unknown key {where!r}; {hint}"
    if first["type"] == "missing":
        return f"{where!r} is missing."
    message = first["msg"].removeprefix("Value error, ")
    if not where:  # about settings together
        return f"{message[0].lower()}{message[1:]}."
    got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
    return f"{where!r}: {message[0].lower()}{message[1:]}{got}."


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Names of the fields that a recipe has at a place like ('stages', 0)."""
    for part in location:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next((a for a in get_args(annotation) if _is_model(a)), annotation)  # type: ignore[assignment]
    return list(model.model_fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
