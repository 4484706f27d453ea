"""A dataset is fetched from a hub on loopback, by its real clients: with progress, if it fits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_edge.data import hub_files
from tests.helpers.hub import Hub, hub

OPEN = """
import shutil, sys
from srl_edge.data.hub import open_hub, read_name
from srl_edge.errors import InputError
free = int(sys.argv[1])
if free:
    shutil.disk_usage = lambda _: shutil._ntuple_diskusage(free, 0, free)
try:
    print([len(list(open_hub(read_name("hf:me/rows")).rows(s))) for s in ("train", "test")])
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


def opened(there: Hub, home: Path, free: int = 0) -> subprocess.CompletedProcess[str]:
    """What a process with an empty cache reads; free: bytes on the disk, 0 for those that are."""
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": there.url}
    command = [sys.executable, "-c", OPEN, str(free)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def fetched(there: Hub) -> list[str]:
    return [line for line in there.asked if line.startswith("GET") and ".jsonl" in line]


def test_it_says_how_far_it_is(there: Hub, tmp_path: Path) -> None:
    first = opened(there, tmp_path)
    assert first.stdout == "[250, 50]\n"
    assert "hf:me/rows: asking the hub\n" in first.stderr
    assert "me/rows, MB: 4/4, " in first.stderr
    assert len(fetched(there)) == 2  # each once: the library finds what was fetched
    again = opened(there, tmp_path)
    assert again.stdout == "[250, 50]\n" and "MB" not in again.stderr
    assert len(fetched(there)) == 2


def test_what_has_no_room_is_not_begun(there: Hub, tmp_path: Path) -> None:
    full = opened(there, tmp_path, free=2_900_000)
    assert "hf:me/rows: 0.0 GB are to be fetched into " in full.stdout
    assert "make room, or name a folder elsewhere (HF_HOME)" in full.stdout
    assert not fetched(there)


def test_bytes_that_were_there_before_tell_nothing_of_the_pace() -> None:
    told: list[tuple[int, bool]] = []
    counting = hub_files._counting(lambda by, skipped: told.append((by, skipped)))
    for initial, parts in ((7_400_000, (300_000, 1_500_000)), (0, (2_000_000, 100))):
        with counting(total=10_000_000, initial=initial, unit="B") as progress:
            for size in parts:
                progress.update(size)
    assert told == [(8, True), (2, False), (2, False)]
    assert sum(by for by, _ in told) == 12  # of 11,200,100 bytes
