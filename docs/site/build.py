"""Builds the documentation's site from the Markdown files as they are.

    python docs/site/build.py          # into site/

The README is the first page and `docs/README.md` the order of the others. All of them, and what
they link to, are copied to a scratch folder in the layout of the repository, so that a relative
link leads to the same page on the site as on a code host. A broken link or anchor ends the build.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import scratch_folder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)")
_FIRST_COLUMN = re.compile(r"^\|([^|]*)\|", re.MULTILINE)
_NAMED = re.compile(r"\[([^]]+)\]\(([^)\s]+)\)")

_SITE = "documentation"

Nav = list[Any]  # {title: page or Nav}, or a page that has its own title


def linked(page: Path) -> list[Path]:
    """The files and folders of the repository that a page links to."""
    links = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [(page.parent / link).resolve() for link in links if "://" not in link]


def published() -> set[Path]:
    """Every page of docs/, the README, and what they link to, at any number of links."""
    found = set[Path]()
    left = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    while left:
        path = left.pop()
        if path in found or not path.is_relative_to(ROOT) or not path.exists():
            continue
        found.add(path)
        left += linked(path) if path.suffix == ".md" else []
    return found


def rows(index: Path, text: str) -> Nav:
    """The pages that the tables of an index name in their first column, by the words there."""
    nav: Nav = []
    for title, link in _NAMED.findall("".join(_FIRST_COLUMN.findall(text))):
        page = (index.parent / link).resolve()
        name = page.relative_to(ROOT).as_posix()
        below = page.name == "README.md" and page.parent.parent == index.parent
        if below and (inner := rows(page, page.read_text(encoding="utf-8"))):
            nav += [{title: name}, *inner]
        else:
            nav.append(name if title.endswith(".md") else {title: name})
    return nav


def by_index() -> Nav:
    """The README, and a section for each heading of `docs/README.md`, or its page if it has one."""
    index = ROOT / "docs" / "README.md"
    parts = re.split(r"^## (.+)$", index.read_text(encoding="utf-8"), flags=re.MULTILINE)
    nav: Nav = [{"Overview": "README.md"}, {"All pages": "docs/README.md"}]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        found = rows(index, text)
        nav.append({title: found if len(found) > 1 else pages(found).pop()})
    return nav


def unlisted(nav: Nav) -> list[str]:
    """Pages of docs/ that a navigation does not have."""
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    return sorted(there - pages(nav))


def pages(nav: Nav | str | dict[str, Any]) -> set[str]:
    """The pages of a navigation."""
    match nav:
        case str():
            return {nav}
        case dict():
            return set().union(*map(pages, nav.values()))
        case _:
            return set().union(*map(pages, nav))


def build(site: Path) -> None:
    """Write the site to a folder, in place of an earlier one; raises where a link is broken.

    Raises InputError, before anything is built, where the folder holds anything else.
    """
    owned.require_own(site, _SITE)
    settings = tomllib.loads((HERE / "zensical.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        for path in published():
            if path.is_file():
                copy = Path(scratch) / "pages" / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        shutil.copyfile(HERE / "site.css", Path(scratch) / "pages" / "site.css")
        nav = by_index()
        nav += [{"More": rest}] if (rest := unlisted(nav)) else []
        settings["project"] |= {"docs_dir": "pages", "site_dir": "site", "nav": nav}
        config = Path(scratch) / "zensical.toml"
        config.write_bytes(tomli_w.dumps(settings).encode())
        command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(config)]
        found = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])  # formulas.py
        subprocess.run(command, env=os.environ | {"PYTHONPATH": found}, check=True)
        with scratch_folder(site.parent, site.name) as made:
            shutil.copytree(Path(scratch) / "site", made, dirs_exist_ok=True)
            owned.publish(made, site, _SITE)


if __name__ == "__main__":
    try:
        build(ROOT / "site")
    except InputError as error:
        sys.exit(str(error))
