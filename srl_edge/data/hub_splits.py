"""Splits of a hub's dataset, each in a cache of its own, so that one is had without the others.

The library's own cache holds all splits of a configuration, and it reads no part of them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from srl_edge.data.hub_files import fetch

Load = Callable[..., Any]  # load_dataset_builder, given all but `cache_dir`


def _caches() -> Path:
    from datasets import config

    return Path(config.HF_DATASETS_CACHE, "srl-edge-splits")


def split_alone(source: object, load: Load, split: str) -> Any:
    """A builder that has this split, and no other, on this computer."""
    from datasets.data_files import DataFilesDict

    builder = load(cache_dir=str(_caches() / split))
    if not Path(builder.cache_dir).is_dir():
        files = builder.config.data_files[split]
        fetch(source, map(str, files))
        builder.config.data_files = DataFilesDict({split: files})
        known = (builder.info.splits or {}).get(split)
        builder.info.size_in_bytes = known.num_bytes if known else None  # it asks for that room
    builder.download_and_prepare(verification_mode="no_checks")  # that all splits are there
    return builder


def splits_kept(load: Load, name: str) -> Mapping[str, Any]:
    """Builders of the splits that are here, by their names, where the hub gives none.

    Of several commits, those of the one that was fetched last.
    """
    owner = name.partition("/")[0]
    found: dict[str, Any] = {}
    for cache in sorted({folder.parent for folder in _caches().glob(f"*/{owner}___*")}):
        with suppress(Exception):  # the library's, of another dataset of that owner's
            found[cache.name] = load(cache_dir=str(cache))
    if not found:
        return found
    newest = max(found.values(), key=lambda builder: Path(builder.cache_dir).stat().st_mtime)
    return {split: builder for split, builder in found.items() if builder.hash == newest.hash}


def are_apart(files: Mapping[str, Sequence[str]]) -> bool:
    """Whether a dataset has several splits, whose files are all the hub's."""
    named = [name for part in files.values() for name in part]
    return len(files) > 1 and all(name.startswith("hf://") for name in named)
