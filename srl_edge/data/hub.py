"""Datasets of the Hugging Face hub, and folders that are laid out like them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from srl_edge.data.hub_files import fetch
from srl_edge.data.hub_splits import are_apart, split_alone, splits_kept
from srl_edge.data.values import as_written, narrow_floats
from srl_edge.errors import InputError
from srl_edge.files import expanded, inside
from srl_edge.terminal.progress import say

PREFIX = "hf:"
INSTEAD = "give a file instead"
_SAID = 300  # characters of another library's reason
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """`hf:NAME[@REVISION][:CONFIG[:SPLIT]]`; NAME is an id of the hub, or a folder's path.

    A path begins with `/`, `.` or `~`, and has no revision. SPLIT may be a slice: `train[:500]`.
    """

    name: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder that is named; None for an id of the hub."""
        return expanded(self.name) if self.name.startswith(("/", ".", "~")) else None

    def __str__(self) -> str:
        parts = [f"{self.name}@{self.revision}" if self.revision else self.name]
        parts += [self.config or "", self.split] if self.split else [self.config or ""]
        return PREFIX + ":".join(parts).rstrip(":")


def read_name(text: str) -> HubName:
    """The parts of what a recipe writes."""
    name, config, split = [*text.removeprefix(PREFIX).split(":", 2), "", ""][:3]
    revision = ""
    if not name.startswith(("/", ".", "~")):
        name, _, revision = name.partition("@")
    return HubName(name, revision or None, config or None, split or None)


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset's splits, their rows, and the commit that it is of."""

    splits: tuple[str, ...]
    rows: Callable[[str], Iterable[Mapping[str, Any]]]
    commit: str | None


def open_hub(source: HubName) -> Hub:
    """Find a dataset on the hub, or in the cache; raises InputError, in one sentence.

    `rows` of the result downloads a split, where that can be had without the others. It raises
    InputError too, also for a slice that cannot be read.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{source}: reading it needs datasets: pip install datasets; or {INSTEAD}."
        ) from None
    if source.folder and not source.folder.is_dir():
        raise InputError(f"{source}: {source.folder.absolute()} is no folder that is there.")
    name = str(source.folder.absolute()) if source.folder else source.name
    if name in _builders():
        raise InputError(f"{source}: a reader of the library's is called so, and no dataset.")
    load = partial(datasets.load_dataset_builder, name, source.config, revision=source.revision)
    if not source.folder:
        say(f"{source}: asking the hub")
    with _in_a_sentence(source):
        try:
            builder = load()
        except Exception:
            if not (kept := splits_kept(load, name)):
                raise
            return _hub(
                source, next(iter(kept.values())), tuple(kept), partial(_kept, source, kept)
            )
        named: Mapping[str, Iterable[Any]] = builder.config.data_files or {}
        files = {str(split): [str(file) for file in part] for split, part in named.items()}
        if source.folder:
            _require_inside(source, files)

        def whole() -> Any:
            if not (source.folder or Path(builder.cache_dir).is_dir()):
                fetch(source, (file for part in files.values() for file in part))
            builder.download_and_prepare()
            return builder

        @cache  # rows are gone through several times
        def having(split: str) -> Any:
            return split_alone(source, load, split) if split in files else whole()

        if are_apart(files) and not Path(builder.cache_dir).is_dir():
            return _hub(source, builder, tuple(files), having)
        return _hub(source, whole(), tuple(builder.info.splits), lambda split: builder)


def _hub(
    source: HubName, builder: Any, splits: tuple[str, ...], having: Callable[[str], Any]
) -> Hub:
    """having: the builder of a split that is on this computer, then."""

    def rows(split: str) -> Iterable[Mapping[str, Any]]:
        with _in_a_sentence(source):
            there = having(split.partition("[")[0])
        try:
            found = there.as_dataset(split=split)
        except Exception as error:
            raise InputError(f"{source}: {_first_line(str(error))}.") from None
        kinds = {name: getattr(kind, "dtype", "") for name, kind in found.features.items()}
        return (as_written(row, narrow_floats(kinds)) for row in found)

    commit = builder.hash if _COMMIT.fullmatch(builder.hash or "") else None
    return Hub(splits, rows, commit)


def _kept(source: HubName, kept: Mapping[str, Any], split: str) -> Any:
    if split not in kept:
        raise InputError(
            f"{source}: of its splits only {', '.join(kept)} are on this computer, and the hub "
            "gives none; go online once."
        )
    return kept[split]


@contextmanager
def _in_a_sentence(source: HubName) -> Iterator[None]:
    """Turn what the library raises into InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(_failure(source, str(error))) from None


def _builders() -> set[str]:
    """Names that the library takes for one of its own readers, which read any file."""
    try:
        from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
    except ImportError:
        return set()
    return set(_PACKAGED_DATASETS_MODULES)


def _require_inside(source: HubName, files: Mapping[str, Iterable[str]]) -> None:
    """Raise InputError where a folder's own description names files that are not in it."""
    assert source.folder
    for name in (str(name) for part in files.values() for name in part):
        if "://" in name or not inside(Path(name), source.folder):
            raise InputError(f"{source}: names a file outside of it ({name}).")


def _failure(source: HubName, message: str) -> str:
    if listed := re.search(r"available configs: \[(.*?)\]|Available: \[(.*?)\]", message):
        names = ", ".join(re.findall(r"'([^']+)'", listed[1] or listed[2]))
        asked = f"has no config {source.config!r}" if source.config else "has several configs"
        return f"{source}: it {asked}; name one of {names}, as in {PREFIX}{source.name}:CONFIG."
    where = "this folder" if source.folder else "the hub"
    return f"{source}: cannot be read from {where} ({_first_line(message)}); {INSTEAD}."


def _first_line(message: str) -> str:
    """Of what the library says, which may name every ending of files that it knows."""
    first = (message.splitlines() or ["no reason given"])[0].rstrip(".")
    return first if len(first) <= _SAID else f"{first[:_SAID]}…"
