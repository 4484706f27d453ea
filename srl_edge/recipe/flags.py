"""Flags of the command line that override a recipe."""

import contextlib
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import tyro
from pydantic import BaseModel, ValidationError

from srl_edge.errors import InputError
from srl_edge.recipe.errors import first_sentence, keys, known

# What tyro prints of a value that the model refuses.
_OF_PYDANTIC = re.compile(
    r"Error parsing (?P<section>\S+): \d+ validation errors? for [A-Z]\w+ (?:(?P<key>[a-z]\S*) )?"
    r"(?:Value error, )?(?P<what>.+?) \[type=.*"
)
Settings = TypeVar("Settings", bound=BaseModel)


def override(recipe: Settings, flags: Sequence[str], file: Path) -> Settings:
    """A recipe with `--section.key value` flags in place of its own values.

    file: where it came from. Raises InputError in one sentence, with the nearest known flag.
    """
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                type(recipe), default=recipe, args=list(flags), prog=f"srl-edge run {file}"
            )
    except ValidationError as error:
        raise InputError(f"command line: {first_sentence(type(recipe), error)}") from None
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
        unknown = next((f for f in flags if f.startswith("--") and not known(recipe, f)), None)
        if unknown:
            near = difflib.get_close_matches(unknown, [f"--{k}" for k in keys(recipe)], n=1)
            hint = f" Did you mean {near[0]}?" if near else " See --help for all of them."
            raise InputError(f"command line: unknown option {unknown}.{hint}") from None
        detail = " ".join(re.sub(r"[^\x20-\x7e\n]", "", messages.getvalue()).split())
        detail = re.split(r" Argument helptext| For further| For full| Perhaps you", detail)[0]
        detail = re.sub(r"^Value error |^Unrecognized options (?=U)", "", detail)
        if wrong := _OF_PYDANTIC.fullmatch(detail):
            where = wrong["section"] + (f".{wrong['key']}" if wrong["key"] else "")
            detail = f"{where.removeprefix('Recipe.')}: {wrong['what']}"
        if detail.startswith("Unrecognized options: ") and not detail[22:].startswith("-"):
            detail += "; a setting of yes or no takes no value"
        detail = detail.removeprefix("Error parsing ")
        raise InputError(f"command line: {detail or 'the options cannot be read'}.") from None
