"""A growing file is read on from where it was left off, and anew where it is another."""

import os
from pathlib import Path

import pytest

from srl_edge.watch.tail import Tail


def lines(tail: Tail, most: int = 1 << 20) -> list[bytes]:
    return [line for _, line in tail.news(most).lines]


def test_each_line_comes_once_and_a_half_one_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = Tail(file)
    assert lines(tail) == [] and not tail.news().anew  # not there yet
    file.write_bytes(b"one\ntw")
    assert tail.news().lines == [(0, b"one")]
    assert lines(tail) == []
    with file.open("ab") as out:
        out.write(b"o\nthree\n")
    assert tail.news().lines == [(4, b"two"), (8, b"three")]
    assert lines(tail) == []


def test_no_more_is_read_at_once_than_asked_for_but_a_line_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a" * 50 + b"\n" + b"b\n" * 100)
    tail = Tail(file)
    first = tail.news(20)
    assert first.lines[0] == (0, b"a" * 50) and first.more and first.left > 100
    rest = []
    while news := tail.news(6).lines:
        assert len(news) <= 3
        rest += news
    assert [line for _, line in first.lines[1:]] + [line for _, line in rest] == [b"b"] * 100


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """Only the last bytes before the place are looked at again: earlier ones may be anything."""
    file = tmp_path / "log"
    file.write_bytes(b"x" * 5000 + b"\n")
    tail = Tail(file)
    assert len(lines(tail)) == 1
    with file.open("r+b") as out:
        out.write(b"y" * 10)
        out.seek(0, 2)
        out.write(b"new\n")
    news = tail.news()
    assert news.lines == [(5001, b"new")] and not news.anew


def test_a_file_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\ntwo\nthree\n")
    tail = Tail(file)
    assert len(lines(tail)) == 3
    with file.open("r+b") as out:
        out.truncate(4)
    news = tail.news()
    assert news.anew and news.lines == [(0, b"one")]
    assert not tail.news().anew


def test_a_file_that_was_cut_back_and_is_longer_again_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\ntwo\n")
    tail = Tail(file)
    assert len(lines(tail)) == 2
    with file.open("r+b") as out:
        out.truncate(4)
        out.seek(4)
        out.write(b"TWO\nTHREE\n")
    news = tail.news()
    assert news.anew and [line for _, line in news.lines] == [b"one", b"TWO", b"THREE"]


def test_another_file_of_that_name_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\n")
    tail = Tail(file)
    assert lines(tail) == [b"one"]
    (tmp_path / "other").write_bytes(b"one\ntwo\n")
    (tmp_path / "other").replace(file)
    news = tail.news()
    assert news.anew and [line for _, line in news.lines] == [b"one", b"two"]


def test_a_file_that_is_gone_has_no_lines_any_more(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\n")
    tail = Tail(file)
    assert lines(tail) == [b"one"]
    file.unlink()
    assert tail.news().anew and not tail.news().anew
    file.write_bytes(b"two\n")
    assert lines(tail) == [b"two"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    assert lines(Tail(tmp_path / "log")) == []
