"""The plain bar, for logs: its ETA goes by the work that is left, not by the number of items."""

import re

import pytest

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
