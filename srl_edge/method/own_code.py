"""Functions of the user's own, named in a recipe as "file.py:function"."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from srl_edge.errors import InputError, StageError


def called(name: str, what: str, *values: Any) -> Any:
    """What a function gives for values; raises StageError where it fails.

    what: what the function is to the recipe, as in "reward".
    """
    try:
        return loaded(name, what)(*values)
    except (InputError, StageError):
        raise
    except Exception as error:
        raise StageError(f"{what} {name}: it failed: {type(error).__name__}: {error}.") from error


def loaded(name: str, what: str) -> Callable[..., Any]:
    """The function of a name; raises InputError where its file does not run or has none such."""
    file, _, function = name.rpartition(":")
    found = getattr(_module(file, what), function, None)
    if not callable(found):
        raise InputError(f"{what} {name}: {file} has no function {function!r}.")
    return found  # type: ignore[no-any-return]


def forget() -> None:
    """Read each file anew from now on: in a notebook it may have changed since."""
    _module.cache_clear()


@functools.cache
def _module(file: str, what: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{what} {file}: no such file.")
    spec = importlib.util.spec_from_file_location(f"{what} {path}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{what} {file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up here; under this name it shadows no other.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"{what} {file}: it does not run: {type(error).__name__}: {error}."
        ) from error
    return module
