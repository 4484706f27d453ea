"""The plain bar, for logs: its ETA goes by the work that is left, not by the number of items."""

import re
import time
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Task, TaskID

from srl_edge.devices.bench.live import Board
from srl_edge.terminal import progress


def test_the_eta_goes_by_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("srl_edge.terminal.progress.time.monotonic", lambda: now)
    with progress.bar("bench", 12, work=40.0) as advance:
        for _ in range(2):  # heavy ones come first
            now += 15.0
            advance("heavy", work=15.0)
        for _ in range(10):
            now += 1.0
            advance("light", work=1.0)
    lines = capsys.readouterr().err.splitlines()
    etas = [int(found[1]) for line in lines if (found := re.search(r"ETA (\d+) s", line))]
    assert etas == [25, 10, 0]
    assert lines[0].startswith("bench: 1/12, 15 s")


def test_what_was_there_already_tells_nothing_of_the_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("srl_edge.terminal.progress.time.monotonic", lambda: now)
    with progress.bar("bench", 10) as advance:
        now += 20.0
        advance("kept", by=4, skipped=True)
        now += 20.0
        advance("new")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "bench: 4/10, 20 s  kept"
    assert second == "bench: 5/10, 40 s, ETA 200 s  new"


def test_a_log_is_not_silent_while_a_long_item_is_under_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENT_AT_MOST", 0.05)
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.02)
    with progress.bar("export", 2) as advance:
        time.sleep(0.3)
        before = capsys.readouterr().err.splitlines()
        advance("onnx-int4")
        time.sleep(0.3)
        between = capsys.readouterr().err.splitlines()
        advance("onnx-int8")
        time.sleep(0.3)
    assert before and all(line.startswith("export: 0/2, ") for line in before)
    assert len(between) > 1 and all("1/2" in line and "onnx-int4" in line for line in between)
    assert len(capsys.readouterr().err.splitlines()) == 1  # all is done: no more is said
    time.sleep(0.2)
    assert not capsys.readouterr().err


def test_a_narrow_terminal_cuts_the_note_and_not_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = StringIO(), 100.0
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(progress, "Aside", lambda: console)
    monkeypatch.setattr("srl_edge.terminal.progress.time.monotonic", lambda: now)
    with progress.bar("train 2/2 srl", 200) as advance:
        now += 61.0
        advance("reward +0.667  kept 80%  95 tok/s  and what else there is to be said of it")
    shown = out.getvalue().replace("\r", "\n").splitlines()
    assert any("1/200" in line and "reward +0.667  kept 80%" in line for line in shown)
    assert all(cell_len(re.sub(r"\x1b\[[\d?;]*[A-Za-z]", "", line)) <= 80 for line in shown)


@pytest.mark.parametrize(("since", "said"), [(4.0, "0:00:12"), (16.0, "-:--:--")])
def test_an_item_that_takes_longer_than_all_is_left_leaves_the_eta_open(
    since: float, said: str
) -> None:
    fields = {"worked": 1.0, "at": 8.0}
    task = Task(TaskID(0), "export", 3.0, 1.0, _get_time=lambda: 8.0 + since, fields=fields)
    task.start_time = 0.0
    assert str(progress._Eta().render(task)) == said


def test_names_of_others_do_not_steer_the_terminal() -> None:
    name = "\x1b[2J[red]mine"
    board = Board([name])
    board.show(name, solved="1 of 2")
    console = Console(file=StringIO(), force_terminal=True, color_system=None, width=80)
    console.print(board.table())
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "\x1b" not in shown and "[red]mine" in shown
