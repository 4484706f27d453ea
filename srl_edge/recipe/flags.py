"""Flags of the command line that override a recipe: `--section.key value`."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from srl_edge.errors import InputError
from srl_edge.recipe.errors import first_sentence, keys

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
            hint = f" Did you mean {near[0]}?" if near else " See --help for all of them."
            raise InputError(f"command line: unknown option {flag}.{hint}")
        # What is left of a longer key is a table's: --check.agreement.int8 0.5
        inner = key.removeprefix(name).removeprefix(".")
        parent, last = _at(settings, name)
        given = _value(_kind(recipe, name), [inner, *values] if inner else values, flag)
        parent[last] = parent[last] | given if inner else given
    try:
        return type(recipe).model_validate(settings)
    except ValidationError as error:
        raise InputError(f"command line: {first_sentence(type(recipe), error)}") from None


def listing(recipe: BaseModel, program: str) -> str:
    """Every flag, with the value that the recipe gives it and what it is."""
    lines = [f"usage: {program} [--section.key value ...]", ""]
    for name in keys(recipe):
        value: Any = recipe
        for part in name.split("."):
            owner, value = value, value[int(part)] if part.isdigit() else getattr(value, part)
        field = type(owner).model_fields[name.rpartition(".")[2]]
        lines.append(f"  --{name} {kind_of(field.annotation)} (now: {_shown(value)})")
        lines += [f"      {' '.join(field.description.split())}"] if field.description else []
    return "\n".join(lines)


def kind_of(annotation: Any) -> str:
    """What a setting takes, in words: `integer`, `yes or no`, or its choices."""
    annotation = _plain(annotation)
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "text ..."
    if get_origin(annotation) is dict:
        return "key number ..."
    words = {bool: "yes or no", int: "integer", float: "number", str: "text"}
    return words.get(annotation, "text")


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
            raise InputError(f"command line: {token!r} belongs to no option.")
    yield from found


def _value(kind: Any, values: Sequence[str], flag: str) -> Any:
    """What a flag's texts say, for pydantic to read as what the setting takes."""
    if get_origin(kind) is tuple:
        return values
    if get_origin(kind) is dict:
        if len(values) % 2:
            raise InputError(f"command line: {flag} takes pairs of a key and a number.")
        return dict(zip(values[::2], values[1::2], strict=True))
    if kind is bool and not values:
        return True
    if len(values) != 1:
        raise InputError(f"command line: {flag} takes one value, and has {len(values)}.")
    return None if values[0].lower() == "none" and kind is not str else values[0]


def _kind(recipe: BaseModel, name: str) -> Any:
    *parents, last = name.split(".")
    owner: Any = recipe
    for part in parents:
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    return _plain(type(owner).model_fields[last].annotation)


def _plain(annotation: Any) -> Any:
    """An annotation without its constraints and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        else:
            return annotation


def _at(settings: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The table that a setting is in, and its key there."""
    *parents, last = name.split(".")
    table: Any = settings
    for part in parents:
        table = table[int(part)] if part.isdigit() else table[part]
    return table, last


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k} {v}" for k, v in value.items()) or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
