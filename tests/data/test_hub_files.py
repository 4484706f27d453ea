"""A dataset is fetched from a hub on loopback, by its real clients: with progress, if it fits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_edge.data import hub_files
from tests.helpers.hub import COMMIT, Hub, hub

OPEN = """
import shutil, sys
from srl_edge.data.hub import open_hub, read_name
from srl_edge.errors import InputError
free = int(sys.argv[1])
if free:
    shutil.disk_usage = lambda _: shutil._ntuple_diskusage(free, 0, free)
try:
    found = open_hub(read_name("hf:me/rows"))
    counts = {s: sum(1 for _ in found.rows(s)) for s in sys.argv[2:] for _ in range(2)}
    print(*found.splits, counts, found.commit)
except InputError as error:
    print(error)
"""


def rows(count: int) -> bytes:
    row = {"question": "How many?", "answer": "#### 4", "notes": "x" * 10_000}
    return b"".join(json.dumps(row | {"number": n}).encode() + b"\n" for n in range(count))


@pytest.fixture
def there() -> Iterator[Hub]:
    pytest.importorskip("datasets")
    with hub() as found:
        found.files["me/rows"] = {"train.jsonl": rows(250), "test.jsonl": rows(50)}
        yield found


def opened(
    there: Hub, home: Path, *splits: str, free: int = 0, offline: bool = False
) -> subprocess.CompletedProcess[str]:
    """What a process reads of splits; free: bytes on the disk, 0 for those that are."""
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": there.url}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [sys.executable, "-c", OPEN, str(free), *splits]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def fetched(there: Hub) -> list[str]:
    """The files of rows that were asked for since this was called last."""
    asked, there.asked = there.asked, []
    return [a.rpartition("/")[2] for a in asked if a.startswith("GET") and a.endswith(".jsonl")]


def test_a_split_is_fetched_alone_and_says_how_far_it_is(there: Hub, tmp_path: Path) -> None:
    first = opened(there, tmp_path, "train[:200]")
    assert first.stdout == f"train test {{'train[:200]': 200}} {COMMIT}\n"
    assert "hf:me/rows: asking the hub\n" in first.stderr
    assert "me/rows, MB: 3/3, " in first.stderr
    assert fetched(there) == ["train.jsonl"]  # once: the library finds what was fetched
    both = opened(there, tmp_path, "train", "test")
    assert both.stdout == f"train test {{'train': 250, 'test': 50}} {COMMIT}\n"
    assert fetched(there) == ["test.jsonl"]
    again = opened(there, tmp_path, "all")
    assert again.stdout == f"train test {{'all': 300}} {COMMIT}\n" and "MB" not in again.stderr
    assert not fetched(there)


DESCRIBED = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
dataset_info:
  features:
  - {name: question, dtype: string}
  - {name: answer, dtype: string}
  - {name: notes, dtype: string}
  - {name: number, dtype: int64}
  splits:
  - {name: train, num_bytes: 9000000000000000, num_examples: 250}
  - {name: test, num_bytes: 500000, num_examples: 50}
  download_size: 9000000000000000
  dataset_size: 9000000000500000
---
"""


def test_no_room_is_asked_for_what_is_not_fetched(there: Hub, tmp_path: Path) -> None:
    there.files["me/rows"]["README.md"] = DESCRIBED.encode()
    assert "{'test': 50}" in opened(there, tmp_path, "test").stdout
    assert "Not enough disk space" in opened(there, tmp_path, "train").stdout


def test_splits_that_are_here_are_read_without_the_hub(there: Hub, tmp_path: Path) -> None:
    opened(there, tmp_path, "test")
    alone = opened(there, tmp_path, "test", offline=True)
    assert alone.stdout == f"test {{'test': 50}} {COMMIT}\n"
    wanting = opened(there, tmp_path, "all", offline=True)
    assert "of its splits only test are on this computer" in wanting.stdout
    there.files["other/rows"] = there.files.pop("me/rows")
    assert opened(there, tmp_path, "test").stdout == alone.stdout  # the hub has it no more


def test_what_has_no_room_is_not_begun(there: Hub, tmp_path: Path) -> None:
    full = opened(there, tmp_path, "train", free=2_400_000)
    assert "hf:me/rows: 0.0 GB are to be fetched into " in full.stdout
    assert "make room, or name a folder elsewhere (HF_HOME)" in full.stdout
    assert not fetched(there)
    assert "{'test': 50}" in opened(there, tmp_path, "test", free=2_400_000).stdout


def test_bytes_that_were_there_before_tell_nothing_of_the_pace() -> None:
    told: list[tuple[int, bool]] = []
    counting = hub_files._counting(lambda by, skipped: told.append((by, skipped)))
    for initial, parts in ((7_400_000, (300_000, 1_500_000)), (0, (2_000_000, 100))):
        with counting(total=10_000_000, initial=initial, unit="B") as progress:
            for size in parts:
                progress.update(size)
    assert told == [(8, True), (2, False), (2, False)]
    assert sum(by for by, _ in told) == 12  # of 11,200,100 bytes
