"""Which room may import which, what a file may hold, and that the wheel and the runner hold all."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from srl_edge import __version__
from tests.helpers.building import copied, packages, pip
from tests.helpers.encodings import unnamed
from tests.helpers.sources import ROOT, arrows, circles, imported, modules, room

FRONT_DOOR = {"srl_edge.api", "srl_edge.cli", "srl_edge.line", "srl_edge.__main__"} | {
    name for name in modules() if name.startswith("srl_edge.commands")
}
GROUND = {
    "srl_edge",
    "srl_edge.data",
    "srl_edge.data.agents",
    "srl_edge.method",
    "srl_edge.method.answers",
    "srl_edge.models",
    "srl_edge.quantization",
    "srl_edge.recipe",
    "srl_edge.report",
    "srl_edge.terminal",
    "srl_edge.watch",
}
RUNTIMES, HOSTS = "srl_edge.devices.runtimes", "srl_edge.devices.hosts"
POLICY = "srl_edge.trainers.policy"
# By the beginning of a module's name, what of the other rooms it may import besides the ground and
# its own room; the longest beginning holds.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "srl_edge.": (),
    "srl_edge.trainers.": ("srl_edge.trainers.",),
    POLICY: (),
    "srl_edge.trainers.loop": (POLICY,),
    "srl_edge.trainers.scale": ("srl_edge.trainers.loop.",),  # jobs for others' trainers
    "srl_edge.trainers.torch_backend": (POLICY,),
    "srl_edge.trainers.mlx_backend": (POLICY,),
    "srl_edge.trainers.memory": (POLICY, "srl_edge.trainers.torch_backend."),
    # The gate asks artifacts as a device does.
    "srl_edge.exporters.": ("srl_edge.exporters.", RUNTIMES, f"{HOSTS}.local"),
    "srl_edge.devices.": ("srl_edge.devices.",),
    RUNTIMES: (),
    HOSTS: (RUNTIMES,),
    "srl_edge.devices.bench": (RUNTIMES, HOSTS),
    "srl_edge.devices.serving": (RUNTIMES, HOSTS, "srl_edge.devices.bench.what"),
}
# Of the ground, where torch may be imported at all; `doctor` looks for a GPU.
WITH_TORCH = ("srl_edge.models.", "srl_edge.quantization.", "srl_edge.terminal.doctor")
NEITHER_TORCH_NOR_MLX = (POLICY, "srl_edge.trainers.loop", "srl_edge.trainers.open")


def rule(module: str) -> tuple[str, ...]:
    return MAY_IMPORT[max((start for start in MAY_IMPORT if module.startswith(start)), key=len)]


@pytest.mark.parametrize("module", sorted(modules().keys() - FRONT_DOOR - {"srl_edge"}))
def test_rooms_import_only_what_they_may(module: str) -> None:
    own = max((start for start in MAY_IMPORT if module.startswith(start)), key=len)
    own = own if own not in ("srl_edge.", "srl_edge.devices.") else f"{room(module)}."
    for other in arrows()[module]:
        ground = room(other) in GROUND and other not in FRONT_DOOR
        assert ground or other.startswith((own, *rule(module))), f"{module} imports {other}"


def test_answers_are_compared_without_what_asks_for_them() -> None:
    """What reads and compares values knows no prompt, reward or recipe: calls alone, as values."""
    own = "srl_edge.method.answers"
    found = {other for module in modules() if room(module) == own for other in arrows()[module]}
    assert {other for other in found if room(other) == "srl_edge.method"} == {
        "srl_edge.method.calls"
    }
    assert not {other for other in found if room(other) == "srl_edge.recipe"}


def test_no_import_goes_in_a_circle() -> None:
    # The package names its API for type checkers alone; what is asked for is imported then.
    assert circles(dict(arrows()) | {"srl_edge": frozenset()}) == []


@pytest.mark.parametrize("module", sorted(modules()))
def test_torch_and_mlx_stay_in_their_rooms(module: str) -> None:
    found = {name.partition(".")[0] for name in imported(modules()[module])}
    if module.startswith(NEITHER_TORCH_NOR_MLX):
        assert not found & {"torch", "mlx", "mlx_lm"}
    if room(module) in GROUND and not module.startswith(WITH_TORCH):
        assert "torch" not in found


def test_the_ground_and_the_command_line_load_neither_torch_nor_mlx() -> None:
    light = ("cli", "line", "recipe", "method.rewards", "data.stage", "trainers.loop.train")
    code = (
        f"import sys, {', '.join(f'srl_edge.{name}' for name in light)};"
        "print(sorted({'torch', 'mlx', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("module", sorted(modules()))
def test_files_stay_small(module: str) -> None:
    assert len(modules()[module].read_text(encoding="utf-8").splitlines()) <= 450


def test_text_is_read_and_written_in_a_named_encoding() -> None:
    files = [*modules().values(), *(ROOT / ".ci").glob("*.py")]
    found = {f"{file.relative_to(ROOT)}:{line}" for file in files for line in unnamed(file)}
    assert found == set()  # the machine's own is not UTF-8 on Windows


def test_what_names_no_encoding_is_found(tmp_path: Path) -> None:
    calls = [
        "p.read_text()",
        "p.write_text(t)",
        "p.open()",
        "p.open('w')",
        "open(p)",
        "open(p, 'a')",
        "p.open(mode='r')",
        "os.fdopen(1, 'w')",
        "run(c, text=True)",
        "TemporaryFile('w+')",
    ]
    sound = [
        "p.read_text(encoding='utf-8')",
        "read_text(p)",
        "p.open('rb')",
        "open(p, 'r+b')",
        "tarfile.open(p)",
        "run(c)",
        "os.open(p, os.O_WRONLY)",
        "TemporaryFile()",
        "o.open(url)",
    ]
    file = tmp_path / "calls.py"
    file.write_text("\n".join([*calls, *sound]), encoding="utf-8")
    assert sorted(unnamed(file)) == list(range(1, len(calls) + 1))


def test_the_folders_cannot_be_imported_under_their_own_names() -> None:
    for folder in ("trainers", "exporters", "devices"):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {folder}"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"import srl_edge.{folder}, not {folder}" in out.stderr


def test_every_room_is_named_in_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = {name for name, file in modules().items() if file.name == "__init__.py"}
    of_data = {"srl_edge.recipes", "srl_edge.report.templates", "srl_edge.watch.parts"}
    assert set(project["tool"]["setuptools"]["packages"]) == rooms | of_data
    assert {room(module) for module in modules()} == rooms


def wheel_of(source: Path, out: Path) -> Path:
    """The folder that a wheel of the sources is unpacked into."""
    pip("wheel", "-w", out, source)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "installed")
    return out / "installed"


def test_the_wheel_holds_every_module_and_each_can_be_imported(tmp_path: Path) -> None:
    installed = wheel_of(copied(tmp_path / "source", links=True), tmp_path)
    names = sorted(modules().keys() - {"srl_edge.__main__"})
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]);"
        f"files = [importlib.import_module(n).__file__ for n in {names!r}];"
        "assert all(f.startswith(sys.argv[1]) for f in files), files"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    of_wheel = (
        "devices/hosts/browser_page.html",
        "devices/serving/page.html",
        "watch/parts/watch.js",
    )
    missing = [
        name for name in (*of_wheel, "py.typed") if not (installed / "srl_edge" / name).is_file()
    ]
    assert missing == []
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from srl_edge.recipe import starters;"
        "assert str(starters._folder()).startswith(sys.argv[1]); print(starters.names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "'starter'" in done.stdout, done.stderr
    assert (installed / "srl_edge" / "data" / "general.jsonl").is_file()


# Run without `site`, so that the checkout that the tests are installed from is not found instead.
IMPORTS = """
import io, site, sys, zipfile
site.addsitedir(sys.argv[1])
sys.path += sys.argv[3:]
import srl_edge.exporters.export, srl_edge.trainers.loop.train
from srl_edge.devices.hosts import runner, ssh
parts = (srl_edge, srl_edge.exporters.export, srl_edge.trainers.loop.train, runner)
assert all(part.__file__.startswith(sys.argv[2]) for part in parts), parts
sent = zipfile.ZipFile(io.BytesIO(ssh._runner())).namelist()
assert "srl_edge/devices/hosts/runner.py" in sent and "srl_edge/method/types.py" in sent, sent
"""


@pytest.mark.parametrize(
    ("links", "how"),
    [
        (False, "editable"),
        (False, "wheel"),
        pytest.param(
            True,
            "editable",
            marks=pytest.mark.skipif(
                not (ROOT / "srl_edge" / "trainers").is_symlink(), reason="git made no links here"
            ),
        ),
    ],
)
def test_all_rooms_are_there_however_git_writes_the_links(
    links: bool, how: str, tmp_path: Path
) -> None:
    source = copied(tmp_path / "source", links)
    assert (source / "srl_edge" / "trainers").is_file() != links
    if how == "wheel":
        installed = wheel_of(source, tmp_path)
    else:
        installed = tmp_path / "installed"
        pip("install", "--target", installed, "--editable", source)
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORTS, str(installed), str(tmp_path), *packages()],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_sent_over_ssh_holds_all_that_a_runner_imports() -> None:
    from srl_edge.devices.hosts.ssh import _runner

    needed, left = set[str](), ["srl_edge.devices.hosts.runner"]
    while left:
        module = left.pop()
        if module not in needed:
            needed.add(module)
            if module != "srl_edge":  # it imports what is asked of it, and a runner asks nothing
                left += arrows()[module]
            left += [module.rpartition(".")[0]] if "." in module else []
    with zipfile.ZipFile(BytesIO(_runner())) as archive:
        sent = set(archive.namelist())
    for module in needed:
        path = module.replace(".", "/")
        own = "/__init__.py" if modules()[module].name == "__init__.py" else ".py"
        assert f"{path}{own}" in sent


def test_tests_mirror_the_rooms_and_import_none_of_each_other() -> None:
    folders = {name.replace(".", "/").removeprefix("srl_edge/") for name in map(room, modules())}
    for path in (ROOT / "tests").rglob("*.py"):
        where = path.parent.relative_to(ROOT / "tests").as_posix()
        assert where in folders | {".", "helpers"}, f"{where} is no room"
        shared = {n for n in imported(path) if n.startswith(("tests.", "test_", "conftest"))}
        assert all(name.startswith("tests.helpers.") for name in shared), path


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_what_benchmarks_import_is_there(path: Path) -> None:
    ours = {name for name in imported(path) if name.startswith("srl_edge")}
    assert [name for name in ours if importlib.util.find_spec(name) is None] == []


def test_the_changelog_begins_with_what_is_unreleased_and_then_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *released = re.findall(r"^## \[?([^\]\s]+)", text, re.MULTILINE)
    # Before the first tag there is no version to list.
    assert first == "Unreleased" and released[:1] in ([], [__version__])
