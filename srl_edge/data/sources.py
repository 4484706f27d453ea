"""From what a recipe names to tables of rows: a file, a folder of files, or a hub's splits."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srl_edge.data.formats import ENDINGS, SUFFIXES, Bad, parts_of, rows_of
from srl_edge.data.hub import PREFIX, open_hub, read_name
from srl_edge.errors import InputError
from srl_edge.files import expanded, require_contained

GENERATED = (
    "gsm_symbolic",
    "stories",
    "home",
    "agent-home",
    "agent-shell",
)  # made up, and no sources of rows
_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")  # beside Arrow's files
_SHARD = re.compile(r"[-_.]\d+(?:-of-\d+)?$")
_SPLITS = {"train", "test", "validation", "valid", "val", "dev", "eval"}  # as parts of a name
_BETWEEN = re.compile(r"[-_.\s]+")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file or of one split; they can be gone through again.

    where: what messages call it. names: what a recipe may call it, the plainest first. rows: takes
    what is told of rows that cannot be read. split: what its name has as a part, '' for none.
    """

    where: str
    names: tuple[str, ...]
    rows: Callable[[Bad | None], Iterable[Mapping[str, Any]]]
    split: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What a source holds: its tables, the part of it that was asked for, and its commit."""

    name: str
    tables: tuple[Table, ...]
    asked: tuple[Table, ...] = ()
    commit: str | None = None

    def named(self, name: str) -> tuple[Table, ...]:
        """The tables that are called so, or else have it as a part of their names; maybe none."""
        return _named(self.tables, name)

    def chosen(self, names: Sequence[str], without: Sequence[Table] = ()) -> tuple[Table, ...]:
        """The part that was asked for, else the first of these names that is there, else all.

        without: tables that are used otherwise. Raises InputError where several splits of a hub
        are left, and where nothing is.
        """
        if self.asked:
            return self.asked
        left = tuple(table for table in self.tables if table not in without)
        for name in names:
            if found := _named(left, name):
                return found
        if not left:
            raise InputError(f"{self.name}: nothing is left of it beside what is held out.")
        if is_hub(self.name) and len(left) > 1:
            one = replace(read_name(self.name), split=left[0].names[0])
            raise InputError(
                f"{self.name}: it has the splits {self.listed}; name one, as in {one}."
            )
        return left

    @property
    def listed(self) -> str:
        """The names of its splits or files, for a message."""
        return ", ".join(table.names[0] for table in self.tables)


def _named(tables: Sequence[Table], name: str) -> tuple[Table, ...]:
    called = tuple(table for table in tables if name in table.names)
    return called or tuple(table for table in tables if name and name == table.split)


def open_source(name: str) -> Source:
    """What is under a name; raises InputError, in one sentence, where nothing can be read."""
    if is_hub(name):
        return _hub_source(name)
    path = expanded(name)
    if path.is_file():
        return Source(name, tuple(_file_tables(path, path.parent)))
    if not path.is_dir():
        raise InputError(
            f"{path.absolute()}: no such file or folder; give the path of rows in JSON Lines, "
            f"JSON, CSV or Parquet, or {PREFIX}NAME for a dataset of the hub."
        )
    files = files_of(name)
    require_contained(path, files)
    if all(file.name in _SAVED for file in files) and any(path.rglob("*.arrow")):
        raise InputError(
            f"{path}: a folder that datasets' save_to_disk has written; read it as "
            f"{PREFIX}{path.absolute()}."
        )
    if not files:
        raise InputError(f"{path}: no file of rows in this folder; one ends in {ENDINGS}.")
    return Source(name, tuple(table for file in files for table in _file_tables(file, path)))


def part_of(source: Source, name: str, setting: str) -> tuple[Table, ...]:
    """The tables of a split that a recipe names: a part of the source, or a source of its own.

    Raises InputError where it is neither, naming what there is.
    """
    if found := source.named(name):
        return found
    path = looks_like_path(name)
    if is_hub(name) or (path and expanded(name).exists()):
        own = open_source(name)
        return own.chosen((setting, "test"))
    there = f"{source.name} has {source.listed}"
    raise InputError(
        f"data.{setting}: there is no {name!r}: {there}"
        + (f", and {Path(name).absolute()} is not there." if path else ".")
    )


def _hub_source(text: str) -> Source:
    name = read_name(text)
    hub = open_hub(name)

    def table(split: str) -> Table:
        return Table(
            f"{replace(name, split=None)}, split {split}",
            (split,),
            lambda bad: hub.rows(split),
        )

    tables = tuple(table(split) for split in hub.splits)
    asked: tuple[Table, ...] = ()
    if name.split:
        if re.split(r"\[", name.split)[0] not in {*hub.splits, "all"}:
            raise InputError(
                f"{text}: there is no split {name.split!r}; it has {', '.join(hub.splits)}."
            )
        asked = (table(name.split),)
    return Source(text, tables, asked, hub.commit)


def _file_tables(file: Path, folder: Path) -> list[Table]:
    """The table of a file, or those of the lists of rows that it has by name."""
    inner = file.relative_to(folder)
    stems = (file.stem, _SHARD.sub("", file.stem), *inner.parent.parts)
    names = (inner.as_posix(), file.name, *stems, str(file))
    if parts := parts_of(file):
        return [
            Table(f"{file}, {part}", (part,), _reader(file, part), _split_in(part))
            for part in parts
        ]
    named = (file.stem, *reversed(inner.parent.parts))
    split = next((split for name in named if (split := _split_in(name))), "")
    return [Table(str(file), names, _reader(file), split)]


def _split_in(name: str) -> str:
    """The split that a name has as a part, as `test` in `phase1_test`; '' for none or several."""
    found = _SPLITS.intersection(_BETWEEN.split(name.lower()))
    return found.pop() if len(found) == 1 else ""


def _reader(file: Path, part: str = "") -> Callable[[Bad | None], Iterable[Mapping[str, Any]]]:
    return lambda bad: rows_of(file, bad, part)


def files_of(name: str) -> list[Path]:
    """The files that a source is read from, in order; none of a hub's, or where none is there."""
    path = path_of(name)
    if path is None or path.is_file():
        return [path] if path else []
    hub = is_hub(name)
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and (hub or file.suffix.lower() in SUFFIXES)
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def is_hub(name: str) -> bool:
    """Whether a source is one of the hub, or a folder that is laid out like one."""
    return name.startswith(PREFIX)


def path_of(name: str) -> Path | None:
    """The path that a source names; None for a hub's, and for what is generated."""
    if name in GENERATED:
        return None
    return read_name(name).folder if is_hub(name) else expanded(name)


def looks_like_path(name: str) -> bool:
    """Whether a name is written as a path, or ends as a file of rows does."""
    separators = tuple(mark for mark in (os.sep, os.altsep, "/") if mark)
    return (
        name.startswith(("~", "."))
        or any(mark in name for mark in separators)
        or name.lower().endswith(SUFFIXES)
    )


def rooted(name: str, folder: Path) -> str:
    """A source whose path is absolute: counted from a folder, or where nothing is there, and
    something is in the current one, from that.
    """
    path = path_of(name)
    if path is None:
        return name
    there = folder / path
    found = (there if there.exists() or not path.exists() else path).absolute()
    if is_hub(name):
        return str(replace(read_name(name), name=os.path.normpath(found)))
    return os.path.normpath(found)


def rooted_part(name: str, source: str, folder: Path) -> str:
    """As `rooted`, of what a recipe names for a split: a part of the source stays as it is."""
    held = path_of(source)
    inside = held is not None and held.is_dir() and (held / name).exists()
    own = is_hub(name) or (looks_like_path(name) and not inside)
    return rooted(name, folder) if own else name


def placeless(name: str) -> str:
    """A source by its own name, wherever it lies."""
    path = path_of(name)
    if path is None or not path.is_absolute():
        return name
    return str(replace(read_name(name), name=path.name)) if is_hub(name) else path.name
