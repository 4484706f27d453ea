"""Flags of the command line that override a recipe: `--section.key value`."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel

from srl_edge.errors import InputError
from srl_edge.files import parsed
from srl_edge.recipe.errors import keys
from srl_edge.recipe.listing import listing, plain

Settings = TypeVar("Settings", bound=BaseModel)


def override(recipe: Settings, flags: Sequence[str], file: Path) -> Settings:
    """A recipe with flags in place of its own values; `--help` lists them all and ends.

    A list takes several values, a table pairs of a key and a value. file: where the recipe came
    from. Raises InputError in one sentence, with the nearest known flag for an unknown one.
    """
    if {"--help", "-h"} & set(flags):
        print(listing(recipe, f"srl-edge run {file}"))
        raise SystemExit(0)
    settings = recipe.model_dump()
    for flag, values in _grouped(flags):
        key = flag.removeprefix("--").replace("-", "_")
        name = next((n for n in keys(recipe) if key == n or key.startswith(f"{n}.")), None)
        off = key.replace(".no_", ".")
        if name is None and off in keys(recipe) and _kind(recipe, off) is bool:
            name, key, values = off, off, ["false"]
        if name is None:
            near = difflib.get_close_matches(flag, [f"--{k}" for k in keys(recipe)], n=1)
            hint = (
                f" Did you mean {near[0]}?" if near else f" `srl-edge run {file} --help` lists all."
            )
            raise InputError(f"command line: unknown option {flag}.{hint}")
        # What is left of a longer key is a table's: --check.agreement.int8 0.5
        inner = key.removeprefix(name).removeprefix(".")
        parent, last = _at(settings, name)
        given = _value(_kind(recipe, name), [inner, *values] if inner else values, flag)
        parent[last] = parent[last] | given if inner else given
    try:
        return type(recipe).model_validate(settings)
    except InputError as error:
        raise InputError(f"command line: {error}") from None


def _grouped(flags: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with the values after it; `--key=value` counts as both."""
    found: list[tuple[str, list[str]]] = []
    for token in flags:
        if token.startswith("--"):
            flag, equals, value = token.partition("=")
            found.append((flag, [value] if equals else []))
        elif found:
            found[-1][1].append(token)
        else:
            raise InputError(
                f"command line: {token!r} belongs to no option; "
                "settings are given as --section.key value, and a run's folder as --output."
            )
    yield from found


def _value(kind: Any, values: Sequence[str], flag: str) -> Any:
    """What a flag's texts say, for pydantic to read as what the setting takes."""
    if get_origin(kind) is tuple:
        return values
    if get_origin(kind) is dict:
        if len(values) % 2:
            raise InputError(f"command line: {flag} takes pairs of a key and a value.")
        read = str if get_args(kind)[1] is float else _json
        return {key: read(value) for key, value in zip(values[::2], values[1::2], strict=True)}
    if kind is bool and not values:
        return True
    if len(values) != 1:
        raise InputError(f"command line: {flag} takes one value, and has {len(values)}.")
    return None if values[0].lower() == "none" and kind is not str else values[0]


def _json(text: str) -> Any:
    """A value as JSON, or a text as it is."""
    try:
        return parsed(text, "Json")
    except ValueError:
        return text


def _kind(recipe: BaseModel, name: str) -> Any:
    *parents, last = name.split(".")
    owner: Any = recipe
    for part in parents:
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    return plain(type(owner).model_fields[last].annotation)


def _at(settings: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The table that a setting is in, and its key there."""
    *parents, last = name.split(".")
    table: Any = settings
    for part in parents:
        table = table[int(part)] if part.isdigit() else table[part]
    return table, last
