"""The recipes that come with srl-edge, to begin one's own from."""

import difflib
import json
import os
import re
from pathlib import Path

import srl_edge
from srl_edge.errors import InputError
from srl_edge.files import expanded, read_text

_OUTPUT = re.compile(r'^output = ".*?"', re.MULTILINE)
# In the wheel they lie in the package, in a clone beside it.
_FOLDERS = (Path(srl_edge.__file__).parent, Path(srl_edge.__file__).parents[1])


def names() -> list[str]:
    """Names of the recipes, without `.toml`."""
    return sorted(file.stem for file in _folder().glob("*.toml"))


def file_of(name: str) -> Path:
    """The file of a recipe that is there."""
    return _folder() / f"{name}.toml"


def found(what: str | os.PathLike[str]) -> Path:
    """The path of a recipe: a file or run folder that is there, else the one of that name here.

    Raises InputError where there is neither.
    """
    path = expanded(what)
    if path.is_file() or (path / "recipe.toml").is_file():
        return path
    if str(what) in (known := names()):
        return file_of(str(what))
    raise InputError(
        f"{what}: no such recipe; give a .toml file, a run folder, or the name of one that comes "
        f"with srl-edge: {', '.join(known)}."
    )


def write_starter(file: Path, name: str) -> Path:
    """Write a commented recipe to `file`, with a run folder of that file's name; return it.

    Raises InputError where there is no recipe of that name, or something is there already.
    """
    if name not in (known := names()):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}."
        raise InputError(f"--from {name}: no recipe has that name; {hint}")
    if file.exists():
        raise InputError(f"{file}: is there already, and stays as it is; name another file.")
    stem = file.stem.encode(errors="replace").decode()  # TOML has no half of a character
    run = json.dumps(f"runs/{stem}", ensure_ascii=False)  # as TOML quotes it, too
    text = _OUTPUT.sub(lambda _: f"output = {run}", read_text(file_of(name)), count=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as out:
        out.write(text)
    return file


def _folder() -> Path:
    return next(folder / "recipes" for folder in _FOLDERS if (folder / "recipes").is_dir())
