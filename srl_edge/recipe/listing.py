"""Every setting in words, for `--help` and for docs/settings.md."""

import shutil
import textwrap
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from srl_edge.recipe.errors import keys


def listing(recipe: BaseModel, program: str) -> str:
    """Every flag, its value in the recipe and what it is, in lines of the terminal's width."""
    width = max(40, shutil.get_terminal_size().columns)
    words = textwrap.TextWrapper(
        width, "      ", "      ", break_long_words=False, break_on_hyphens=False
    )
    lines = [f"usage: {program} [--section.key value ...]", ""]
    for name in keys(recipe):
        value: Any = recipe
        for part in name.split("."):
            owner, value = value, value[int(part)] if part.isdigit() else getattr(value, part)
        field = type(owner).model_fields[name.rpartition(".")[2]]
        lines.append(f"  --{name} {kind_of(field.annotation)} (now: {_shown(value)})")
        lines += words.wrap(field.description or "")
    return "\n".join(lines)


def kind_of(annotation: Any) -> str:
    """What a setting takes, in words: `integer`, `yes or no`, or its choices."""
    annotation = plain(annotation)
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "text ..."
    if get_origin(annotation) is dict:
        return f"key {'number' if get_args(annotation)[1] is float else 'value'} ..."
    words = {bool: "yes or no", int: "integer", float: "number", str: "text"}
    return words.get(annotation, "text")


def page(sections: Mapping[str, type[BaseModel]]) -> str:
    """All settings as Markdown, a table for each section of a recipe by its name."""
    parts = [
        "# Every setting",
        "A recipe is a TOML file with these sections. Any setting can be given on the command "
        "line too, as `--section.key value`; a stage has its number: `--stages.0.steps 40`. This "
        "page is made from the code by `python -m srl_edge.recipe`.",
    ]
    for name, section in sections.items():
        lines = ["| setting | takes | default | what it is |", "| --- | --- | --- | --- |"]
        for key, field in section.model_fields.items():
            if _sections_in(field.annotation):
                continue
            default = field.get_default(call_default_factory=True)
            said = "needed" if default is PydanticUndefined else f"`{_shown(default)}`"
            what = " ".join((field.description or "").split())
            cells = (f"`{key}`", kind_of(field.annotation), said, what)
            lines.append(
                "| "
                + " | ".join(cell.replace("|", "\\|").replace("\n", "\\n") for cell in cells)
                + " |"
            )
        parts += [f"## {name}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _sections_in(annotation: Any) -> bool:
    """Whether a field holds sections of its own, one or several."""
    kinds = (annotation, *get_args(plain(annotation)))
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def plain(annotation: Any) -> Any:
    """An annotation without its constraints and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        else:
            return annotation


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k} {v}" for k, v in value.items()) or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
