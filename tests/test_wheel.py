"""What a person gets who installs srl-edge: the wheel, the sdist, and the demo from them."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from srl_edge import __version__
from srl_edge.models.wheels import KNOWN
from tests.helpers.building import copied, packages, pip
from tests.helpers.small_demo import settings
from tests.helpers.sources import ROOT

SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "-w", folder, copied(folder / "source", links=True))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    source = copied(folder / "source", links=True)
    build = [sys.executable, "-c", SDIST, str(folder)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / packed.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel, which sees the packages of this one."""
    environment = tmp_path_factory.mktemp("clean") / "environment"
    make = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(make, check=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    python = programs / ("python.exe" if os.name == "nt" else "python")
    command = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install"]
    subprocess.run([*command, "--no-deps", "--no-index", str(wheel)], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    told = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    # Named as folders alone: the checkout that is installed in one of them is not found.
    Path(told.stdout.strip(), "shared.pth").write_text("\n".join(packages()), encoding="utf-8")
    return programs


def test_the_demo_runs_from_the_wheel_outside_of_a_checkout(
    installed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(installed / "srl-edge"), "demo", "--output", "mine", *settings(tiny_model)],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith("demo: ") and "Nothing is downloaded." in first
    assert (tmp_path / "mine" / "report.html").is_file()
    said = done.stdout.splitlines()
    assert len(said) == 3 and str(Path("mine", "report.html")) in said[0]
    assert "srl-edge rollouts mine" in said[1] and "srl-edge init" in said[2]
    here = [str(installed / "python"), "-c", "import srl_edge; print(srl_edge.__file__)"]
    where = subprocess.run(here, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert where.stdout.startswith(str(installed.parent))


def test_the_demo_says_what_it_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from srl_edge.commands.demo import _MODEL, _promise

    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path))
    assert _MODEL in KNOWN and "93 MB" in _promise(_MODEL, "runs/demo")
    assert "unless it is here already" in _promise("Qwen/Qwen3-0.6B", "runs/demo")
    assert "Nothing is downloaded" in _promise(str(tmp_path), "runs/demo")


def test_the_sdist_builds_the_same_wheel_and_holds_nothing_else(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    files = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    tops = {name.partition("/")[0] for name in files}
    assert tops <= {
        "srl_edge",
        "trainers",
        "exporters",
        "devices",
        "recipes",
        "srl_edge.egg-info",
        "tests",
        "pyproject.toml",
        "setup.cfg",
        "README.md",
        "LICENSE",
        "PKG-INFO",
    }, tops
    pip("wheel", "-w", tmp_path, sdist)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        names = one.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "srl_edge",
        f"srl_edge-{__version__}.dist-info",
    }
    shipped = {f"srl_edge/recipes/{file.name}" for file in (ROOT / "recipes").glob("*.toml")}
    assert shipped <= set(names)


def test_the_metadata_is_what_an_index_takes(wheel: Path) -> None:
    from packaging.metadata import Metadata

    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    found = Metadata.from_email(text, validate=True)
    assert (found.name, str(found.version)) == ("srl-edge", __version__)
    assert found.description_content_type == "text/markdown" and found.license_expression
    body = message_from_string(text).get_payload()
    assert body == (ROOT / "README.md").read_text(encoding="utf-8")
    classifiers = found.classifiers or []
    assert {"Operating System :: POSIX :: Linux", "Programming Language :: Python :: 3.13"} <= {
        *classifiers
    }
    known = re.compile(r"Programming Language :: Python :: (3\.\d+)$")
    versions = [match[1] for line in classifiers if (match := known.match(line))]
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert versions and all(f'"{version}"' in workflow for version in versions)


def test_an_index_gets_links_that_lead_somewhere(tmp_path: Path) -> None:
    source = copied(tmp_path / "source", links=True)
    root = "https://forge.example/someone/srl-edge"
    script = [sys.executable, str(ROOT / ".ci" / "public_links.py"), f"{root}/", "v9.9.9"]
    subprocess.run(script, cwd=source, check=True)
    pip("wheel", "-w", tmp_path, source)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    assert f"Project-URL: Repository, {root}" in text
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links and all(link.startswith(("https://", "#")) for link in links)
    ours = [link for link in links if link.startswith(root)]
    assert f"{root}/raw/v9.9.9/docs/report.png" in ours
    for link in ours:
        _, _, path = link.removeprefix(f"{root}/").split("/", 2)
        assert (ROOT / path.partition("#")[0]).exists(), link
