"""What may import what, and what the wheel holds."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FRONT_DOOR = {"cli.py", "line.py"}
MAY_IMPORT = {
    "srl_edge": set[str](),
    "trainers": set[str](),
    "devices": set[str](),
    # The parity gate runs artifacts as a device does; merging asks what an adapter was trained on,
    # and artifacts are rounded as the trainer rounds.
    "exporters": {
        *(
            f"srl_edge.devices.{name}"
            for name in ("runtimes", "torch_runtime", "onnx_runtime", "chat", "local", "statistics")
        ),
        "srl_edge.trainers.fake_quantized",
        "srl_edge.trainers.fitted_rounding",
        "srl_edge.trainers.frozen_weights",
        "srl_edge.trainers.peft_folder",
    },
}


def imported(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def sources() -> list[Path]:
    return [p for folder in MAY_IMPORT for p in sorted((ROOT / folder).glob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_folders_import_only_what_they_may(path: Path) -> None:
    folder = path.parent.name
    if path.name in FRONT_DOOR:
        return
    for other in ("trainers", "exporters", "devices"):
        if other != folder:
            found = {n for n in imported(path) if n.startswith(f"srl_edge.{other}")}
            allowed = {n for n in found if any(n.startswith(a) for a in MAY_IMPORT[folder])}
            assert found == allowed, f"{path.name} imports {found - allowed}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450


def test_the_core_and_the_command_line_need_neither_torch_nor_mlx() -> None:
    code = (
        "import sys, srl_edge.cli, srl_edge.line, srl_edge.recipe, srl_edge.rewards, srl_edge.data;"
        "print(sorted({'torch', 'mlx', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_folders_cannot_be_imported_under_their_own_names() -> None:
    for folder in ("trainers", "exporters", "devices"):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {folder}"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"import srl_edge.{folder}, not {folder}" in out.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_what_benchmarks_import_is_there(path: Path) -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("srl_edge")
    }
    assert [name for name in modules if importlib.util.find_spec(str(name)) is None] == []
