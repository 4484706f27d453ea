"""Settings in place of a recipe's own, as Python says them: nested, by their sections."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from srl_edge.errors import InputError
from srl_edge.recipe.section import Section


def merged(section: BaseModel, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A section's settings with changes in them, for pydantic to check.

    A mapping changes what it names of a section and leaves the rest; of several, such as stages, it
    names them by number. Anything else takes the place of what was there: a list that of all
    stages, a table such as a reward that of the table.
    """
    settings = section.model_dump()
    for key, given in changes.items():
        now = getattr(section, key) if key in type(section).model_fields else None
        if isinstance(now, Section) and isinstance(given, str | os.PathLike) and now.main:
            given = {now.main: given}
        if isinstance(now, Section) and isinstance(given, Mapping):
            settings[key] = merged(now, given)
        elif isinstance(now, tuple) and isinstance(given, Mapping):
            settings[key] = _of_several(key, now, given)
        else:
            settings[key] = given
    return settings


def _of_several(
    key: str, now: tuple[Any, ...], changes: Mapping[Any, Any]
) -> tuple[dict[str, Any], ...]:
    if unknown := [number for number in changes if number not in range(len(now))]:
        raise InputError(
            f"unknown key '{key}.{unknown[0]}'; known: {', '.join(map(str, range(len(now))))}. "
            f"A list in place of the mapping gives all {key} anew."
        )
    return tuple(merged(each, changes.get(number, {})) for number, each in enumerate(now))
