"""The files of a hub's dataset, fetched into the hub's cache before the library asks for them.

The library fetches the same files by the same client, without a word.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import free_bytes
from srl_edge.terminal.progress import bar

_FILE = re.compile(r"hf://datasets/(?P<name>[^@]+)@(?P<commit>[^/]+)/(?P<path>.+)")
_MB = 1_000_000


def fetch(source: object, files: Iterable[str]) -> None:
    """Download what the hub's cache lacks of `hf://datasets/NAME@COMMIT/PATH`, with progress.

    Other addresses are left to the library. Raises InputError where there is no room for them.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache

    named = [found.groupdict() for file in files if (found := _FILE.fullmatch(file))]
    missing = [
        each
        for each in named
        if not isinstance(
            try_to_load_from_cache(
                each["name"], each["path"], revision=each["commit"], repo_type="dataset"
            ),
            str,
        )
    ]
    if not missing:
        return
    name, commit = missing[0]["name"], missing[0]["commit"]
    tree = HfApi().list_repo_tree(name, recursive=True, revision=commit, repo_type="dataset")
    sizes = {entry.path: getattr(entry, "size", 0) for entry in tree}
    total = sum(sizes.get(each["path"], 0) for each in missing)
    folder = Path(constants.HF_HUB_CACHE)
    if total > (free := free_bytes(folder)):
        raise InputError(
            f"{source}: {total / 1e9:.1f} GB are to be fetched into {folder}, and "
            f"{free / 1e9:.1f} GB are free; make room, or name a folder elsewhere (HF_HOME)."
        )
    with bar(f"{name}, MB", -(-total // _MB)) as advance:
        counted = _counting(advance)
        for each in missing:
            hf_hub_download(
                each["name"],
                each["path"],
                revision=each["commit"],
                repo_type="dataset",
                tqdm_class=counted,
            )


def _counting(advance: Callable[..., None]) -> type[Any]:
    """tqdm's class as the hub's client takes it, whose bytes count in a bar of ours."""
    from tqdm.auto import tqdm

    fetched = 0

    def add(count: float, skipped: bool = False) -> None:
        nonlocal fetched
        before, fetched = fetched, fetched + int(count)
        if by := -(-fetched // _MB) - -(-before // _MB):
            advance(by=by, skipped=skipped)

    class Counting(tqdm):  # type: ignore[misc]
        def __init__(self, *items: Any, **options: Any) -> None:
            super().__init__(*items, **options | {"disable": True})
            add(options.get("initial") or 0, skipped=True)  # of a download that was cut off

        def update(self, n: float | None = 1) -> None:
            add(n or 0)

        def update_transfer(self, n: float) -> None:
            """What those bytes took on the network, of which the client would make another bar."""

    return Counting
