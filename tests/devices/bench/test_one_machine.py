"""What one machine has measured is not gone on with on another, whatever name led to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.bench import benchmark
from srl_edge.devices.bench.artifacts import bench_artifacts
from srl_edge.devices.bench.connection import Device
from srl_edge.devices.hosts import local
from srl_edge.devices.hosts.machine import describe
from srl_edge.devices.hosts.session import RunnerLost, Session
from srl_edge.errors import InputError
from srl_edge.recipe import Bench
from tests.helpers.foreign import open_here

DESCRIBED = "srl_edge.devices.bench.benchmark.describe"
SETTINGS = Bench(max_new_tokens=4, repeats=1, threads=1, prompt_tokens=16, decode_tokens=2)
HERE = {
    "processor": "Acme A",
    "cores": 4,
    "threads": 1,
    "system": "Linux aarch64",
    "tools": {"torch": "1"},
}


class Board:
    """A device of a name, behind which stands what is described; it may go away midway."""

    def __init__(self, machine: dict[str, Any], sessions: int = 99) -> None:
        self._machine, self._left = machine, sessions

    def open_session(self, name: str, kind: str, folder: Path, threads: int) -> Session:
        if not self._left:
            raise RunnerLost("board: gone")
        self._left -= 1
        session: Session = open_here(name, kind, folder, threads)
        session.machine = dict(self._machine)
        return session


@pytest.fixture
def bench(
    tiny_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> Callable[..., dict[str, Any]]:
    tasks = {"animals": list(parse_rows(word_problems[:2], ParseReport()))}

    def measured(device: Device, resume: bool = False) -> dict[str, Any]:
        out = tmp_path / "out"
        name = "local" if device is local else "ssh:board"
        named = [tiny_model]
        bench_artifacts(named, tasks, SETTINGS, device, out, resume, device_name=name)
        found: dict[str, Any] = json.loads((out / "results.json").read_text())
        return found

    return measured


@pytest.mark.parametrize(
    ("key", "value"), [("processor", "Acme B"), ("cores", 2), ("system", "Linux x86_64")]
)
def test_another_machine_of_the_same_name_is_refused(
    key: str, value: object, bench: Callable[..., dict[str, Any]]
) -> None:
    begun = bench(Board(HERE, sessions=1))  # the speeds, and then it went away
    (row,) = begun["rows"]
    assert row["tasks"]["animals"]["lost"] == 2 and row["decode_tokens_per_second"]
    said = (
        rf"was begun on another machine \(Acme A, 4 cores, Linux aarch64\), and this is .*{value}"
    )
    with pytest.raises(InputError, match=said):
        bench(Board(HERE | {key: value}), resume=True)
    there = bench(Board(HERE | {"tools": {"torch": "2"}}), resume=True)
    assert there["device"] == HERE and there["rows"][0]["tasks"]["animals"]["lost"] == 0


def test_a_machine_that_is_another_within_one_call_is_refused(
    bench: Callable[..., dict[str, Any]],
) -> None:
    board = Board(HERE)

    class Changing:
        def open_session(self, *asked: Any) -> Session:
            session = board.open_session(*asked)
            board._machine = HERE | {"processor": "Acme B"}
            return session

    with pytest.raises(InputError, match="was begun on another machine"):
        bench(Changing())


def test_another_computer_on_a_shared_folder_is_refused_before_it_measures_anything(
    bench: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "open_session", open_here)
    bandwidth = bench(local)["device"]["memory_gb_per_second"]
    theirs = describe(1) | {"processor": "Acme B"}
    with monkeypatch.context() as there:
        there.setattr(DESCRIBED, lambda threads: theirs)
        with pytest.raises(InputError, match=r"and this is Acme B, "):
            bench(local, resume=True)
    assert bandwidth and bench(local, resume=True)["rows"]


def test_a_run_that_was_cut_off_on_another_computer_begins_its_benchmark_anew(
    bench: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "open_session", open_here)
    bench(local)
    out = tmp_path / "out"
    asked = json.loads((out / "settings.json").read_text())
    date = asked.pop("date")
    (out / "results.json").unlink()  # as where it was cut off
    assert benchmark.begin_or_go_on(out, asked) == date and (out / "speeds.json").is_file()
    theirs = describe(1) | {"processor": "Acme B"}
    monkeypatch.setattr(DESCRIBED, lambda threads: theirs)
    benchmark.begin_or_go_on(out, asked)
    assert not (out / "speeds.json").exists() and (tmp_path / "out-earlier").is_dir()
