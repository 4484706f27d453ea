"""What a verifier of the user's own may say."""

from pathlib import Path

import pytest

from srl_edge.errors import StageError
from srl_edge.method.verifiers import same_value


def said(tmp_path: Path, value: str) -> bool:
    file = tmp_path / "own.py"
    file.write_text(f"import numpy\n\ndef same(given, answer):\n    return {value}\n")
    return same_value("1", "2", f"{file}:same")


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("True", True),
        ("0", False),
        ("1.0", True),
        ("None", False),
        ("numpy.bool_(True)", True),
        ("numpy.array([False])", False),
    ],
)
def test_what_is_true_or_false_counts(tmp_path: Path, value: str, right: bool) -> None:
    assert said(tmp_path, value) is right


@pytest.mark.parametrize(
    "value", ["float('nan')", "numpy.float32('nan')", "numpy.array([True, False])"]
)
def test_what_is_neither_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(StageError, match=r"own\.py:same: it gave .*; true or false is needed\."):
        said(tmp_path, value)
