"""What C++ libraries write is hidden, and shown where it may say why something failed."""

import io
import os
import sys

import pytest

from srl_edge.terminal.native import without_native_noise


def test_what_goes_to_the_error_stream_itself_is_hidden(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with without_native_noise():
        os.write(2, b"I tokenizers:regex.cpp:40] Registering\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_shown_where_an_exception_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), without_native_noise():
        os.write(2, b"no such symbol\n")
        raise ImportError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "no such symbol\nafter\n"


def test_what_goes_to_pythons_own_stream_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = io.StringIO()  # as a notebook's
    monkeypatch.setattr(sys, "stderr", cell)
    with without_native_noise():
        print("[cpuinfo_utils.cpp:71] Reading file", file=sys.stderr)
    print("after", file=sys.stderr)
    assert cell.getvalue() == "after\n"
