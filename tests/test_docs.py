"""That the pages name what is there: links, headings, paths, and diffs that still fit the code."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers.sources import ROOT

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?<![\w./<>{}-])[\w.*-]+(?:/[\w.*-]+)+\.(?:py|toml|md|png|yml|ipynb)\b")
# Of other projects, of a user, or of a run folder.
_ELSEWHERE = ("pytest-", "DIR/", "OTHER/", "MLX/", "runs/", "parity/")


def tracked(*patterns: str) -> list[Path]:
    """Files of the checkout, those not yet committed too; links are not followed."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *patterns],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


PAGES = tracked("*.md")
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def headings(page: Path) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    lines = _FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if re.match(r"#{1,6} ", line)]
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: no such file"
        if heading:
            assert heading in headings(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_paths_that_are_named_exist(page: Path) -> None:
    text = _DIFF.sub("", page.read_text(encoding="utf-8"))
    for name in _PATH.findall(re.sub(r"\w+://\S+", "", text)):
        found = any(any(folder.glob(name)) for folder in (ROOT, page.parent))
        assert found or name.startswith(_ELSEWHERE), f"{name} is not there"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text(encoding="utf-8")):
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{name} is not there"


def test_pages_that_the_code_names_exist() -> None:
    for file in tracked("*.py", "*.toml", "*.yml"):
        for name in re.findall(r"docs/[\w/.-]+\.(?:md|png)", file.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{file.relative_to(ROOT)} names {name}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("folder", ["srl_edge", "trainers", "exporters", "devices"])
def test_each_folder_names_its_rooms(folder: str) -> None:
    said = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    inner = (path for path in (ROOT / folder).iterdir() if not path.is_symlink())
    for room in (path.name for path in inner if (path / "__init__.py").is_file()):
        assert f"`{room}/`" in said
    assert len(said.splitlines()) <= 25


DIFFS = _DIFF.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "diff", DIFFS, ids=lambda diff: re.findall(r"^\+\+\+ b/(\S+)", diff, re.M)[0]
)
def test_diffs_still_fit_the_code(diff: str) -> None:
    """Each adds something to the code as it is, or is how something that it has was added."""
    tried = [
        subprocess.run(
            ["git", "-C", str(ROOT), "apply", "--check", *way, "-"],
            input=diff,
            capture_output=True,
            text=True,
        )
        for way in ([], ["--reverse"])
    ]
    assert 0 in [each.returncode for each in tried], tried[0].stderr


# An account that is only a placeholder, and the project's name, which is on no index yet.
_ANYBODYS = re.compile(r"(?:github|gitlab)\.com/[A-Z]{2,}\b|pip install (?:-\S+ )*srl-edge\b")


def test_no_command_takes_what_anybody_could_register() -> None:
    for file in tracked("*.md", "*.py", "*.toml", "*.yml", "*.ipynb", "Containerfile", "Makefile"):
        found = _ANYBODYS.search(file.read_text(encoding="utf-8"))
        assert not found, f"{file.relative_to(ROOT)}: {found}"
