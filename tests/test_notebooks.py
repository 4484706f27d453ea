"""Every notebook runs from top to bottom, defines nothing, and is stored with its outputs."""

import ast
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from srl_edge.recipe import starters

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
SECONDS = 1500  # a cell, on a slow and busy machine
KILOBYTES = 300
# Of the computer that a notebook was run on, and what libraries say that no reader can act on.
NOT_SHOWN = re.compile(r"/(?:root|home|work|tmp|Users|usr)/|Warning\b|Traceback")


def cells(path: Path, kind: str) -> Iterator[Any]:
    found = nbformat.read(path, as_version=4).cells
    return (cell for cell in found if cell.cell_type == kind)


def test_there_are_seven() -> None:
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, 8)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_defines_nothing(path: Path) -> None:
    for cell in cells(path, "code"):
        nodes = ast.walk(ast.parse(TransformerManager().transform_cell(cell.source)))
        assert not [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_its_first_cells_say_what_one_will_have_and_install_in_colab(path: Path) -> None:
    first, *_ = cells(path, "markdown")
    assert first.source.startswith("# ") and re.search(r"\*\*At its end you", first.source)
    install, *_ = cells(path, "code")
    assert '"google.colab" in sys.modules' in install.source
    assert "%pip install" in install.source and 'quantization": "nf4"' in install.source
    assert install.source == next(cells(NOTEBOOKS[0], "code")).source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_is_stored_with_outputs_of_no_machine(path: Path) -> None:
    assert path.stat().st_size <= KILOBYTES * 1000
    outputs = [output for cell in cells(path, "code") for output in cell.outputs]
    counts = [cell.execution_count for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))  # at one go, from top to bottom
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.output_type != "error" and output.get("name") != "stderr"
        texts = [output.get("text", "")] + [
            text for kind, text in output.get("data", {}).items() if kind.startswith("text/")
        ]
        for text in texts:
            assert not NOT_SHOWN.search(text), text


def test_nothing_is_installed_of_a_copy_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that is only a placeholder is a name that anybody could take."""
    installed: list[str] = []
    shell = InteractiveShell()
    shell.register_magic_function(installed.append, "line", "pip")
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    source = next(cells(NOTEBOOKS[0], "code")).source
    refused = shell.run_cell(source).error_in_exec
    assert "whose copy of srl-edge is to be installed" in str(refused) and not installed
    assert shell.run_cell(source.replace('owner = ""', 'owner = "them"')).success
    assert installed == ['install -q "srl-edge[demo] @ git+https://github.com/them/srl-edge"']


def execute(path: Path, folder: Path, allow_errors: bool = False) -> None:
    notebook, there = nbformat.read(path, as_version=4), {"metadata": {"path": folder}}
    client = NotebookClient(notebook, timeout=SECONDS, resources=there)
    client.allow_errors = allow_errors
    client.execute()


def home(folder: Path, taught_model: Path) -> Path:
    """A folder where the demo's model is a tiny one, whose 4-bit artifacts need not agree."""
    shutil.copytree(taught_model, folder / "smollm2-135m-instruct")
    demo = starters.file_of("demo").read_text(encoding="utf-8")
    (folder / "demo").mkdir()
    (folder / "demo" / "recipe.toml").write_text(
        demo + "\n[check.agreement]\nint4 = 0.0\n8da4w = 0.0\n", encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory, taught_model: Path) -> Path:
    return home(tmp_path_factory.mktemp("notebooks"), taught_model)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_runs_on_a_tiny_model_and_leaves_what_users_have(
    path: Path, at_home: Path, tmp_path: Path, taught_model: Path
) -> None:
    """In a folder that holds files of theirs by every name that it writes, all stay as they are.

    Runs' folders, which the stages themselves look after, are left out.
    """
    given = files_in(at_home)
    execute(path, at_home)
    if written := {file for file in files_in(at_home) - given if file.parts[0] != "runs"}:
        theirs = home(tmp_path, taught_model)
        for file in written:
            (theirs / file).parent.mkdir(parents=True, exist_ok=True)
            (theirs / file).write_text(f"of mine, {file.name}")
        execute(path, theirs, allow_errors=True)
        for file in written:
            assert (theirs / file).read_text() == f"of mine, {file.name}", file


def files_in(folder: Path) -> set[Path]:
    return {file.relative_to(folder) for file in folder.rglob("[!.]*") if file.is_file()}


@pytest.mark.slow
@pytest.mark.skipif("SRL_EDGE_NOTEBOOKS" not in os.environ, reason="minutes; SRL_EDGE_NOTEBOOKS=1")
def test_the_first_one_runs_on_the_real_model(tmp_path: Path) -> None:
    execute(NOTEBOOKS[0], tmp_path)
