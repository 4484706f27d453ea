"""What releases and containers are made by: files that cannot be run here, held to what is here."""

import re
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from srl_edge.cli import ALL
from tests.helpers.sources import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# GITHUB_TOKEN may do no more, job by job; an absent job has what its workflow has.
MAY = {("release.yml", "publish"): {"id-token": "write"}}


def read(path: Path) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_little_and_name_versions(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == MAY.get((path.name, name), {})
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if action := step.get("uses"):
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@(release/)?v\d+", action), action
            # What a tag or a branch is called is not pasted into a script.
            assert "${{ github." not in step.get("run", "")


def test_only_what_was_built_is_published_and_by_a_job_that_runs_no_code_of_ours() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert [step for step in jobs["publish"]["steps"] if "run" in step] == []
    assert jobs["publish"]["needs"] == "build" and jobs["publish"]["environment"] == "pypi"
    run = "\n".join(step.get("run", "") for step in jobs["build"]["steps"])
    for needed in ("python -m build", "twine check --strict", "srl-edge demo", "CHANGELOG.md"):
        assert needed in run


def test_the_release_reads_the_version_where_it_is() -> None:
    from srl_edge import __version__

    lines = (ROOT / "srl_edge" / "__init__.py").read_text(encoding="utf-8").splitlines()
    assert f'__version__ = "{__version__}"' in lines  # what release.yml looks for


def container() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_what_the_container_copies_is_there_and_is_let_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore
    sources = [name for word, rest in container() if word == "COPY" for name in rest.split()[:-1]]
    assert sorted(sources) == sorted(let_in)
    assert all((ROOT / name).exists() for name in sources)


def test_the_container_installs_as_the_makefile_does_and_runs_as_nobody_special() -> None:
    words = container()
    assert words[0] == ("FROM", "docker.io/library/python:3.11-slim")
    runs = [rest for word, rest in words if word == "RUN"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$$", "$")
    pinned = "$(grep '^torch==' constraints.txt)"
    assert pinned in makefile and pinned in runs[0] and "srl-edge" not in runs[0]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(r"^torch==[\d.]+$", constraints, re.MULTILINE)
    assert any("--constraint constraints.txt" in run and "'.[demo]'" in run for run in runs)
    users = [rest for word, rest in words if word == "USER"]
    assert users and users[-1] not in ("root", "0")
    (command,) = (rest for word, rest in words if word == "CMD")
    assert shlex.split(command.strip("[]"))[0] in ALL
    assert not any(re.search("(?i)token|secret|password", rest) for _, rest in words)


def tracked() -> list[str]:
    listed = ["git", "-C", str(ROOT), "ls-files"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def test_nothing_private_is_tracked() -> None:
    names = tracked()
    private = ("*.whl", "*.pem", "*.key", ".env", "*.egg-info/*", "dist/*", "runs/*", "*.pyc")
    assert [name for name in names if any(fnmatch(name, each) for each in private)] == []


def test_the_repository_holds_no_folder_that_a_test_or_a_run_left() -> None:
    folders = {name.partition("/")[0] for name in tracked() if "/" in name}
    rooms = {"srl_edge", "trainers", "exporters", "devices", "tests"}
    assert folders == rooms | {".ci", ".github", "benchmarks", "docs", "notebooks", "recipes"}
