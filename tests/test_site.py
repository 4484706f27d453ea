"""The documentation's site: every page is in it, no link is broken, and nothing is fetched."""

import importlib.util
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from srl_edge.errors import InputError
from tests.helpers.sources import ROOT


def builder() -> ModuleType:
    """docs/site/build.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "site" / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = builder()
_ELSEWHERE = re.compile(r"\w+:|//")


def test_every_page_is_in_the_navigation() -> None:
    nav = build.by_index()
    rest = build.unlisted(nav)
    assert not rest, f"name {' and '.join(rest)} in a table of docs/README.md"
    assert all((ROOT / name).is_file() for name in build.pages(nav))


class Links(HTMLParser):
    """Of a page, what a browser fetches by itself, and what a reader may follow."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = ("src", "srcset", "poster", "data", *(["href"] if tag in ("link", "use") else []))
        self.fetched += [value for name, value in attributes if name in names and value]
        if tag == "a":
            self.followed += [value for name, value in attributes if name == "href" and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical")
    pytest.importorskip("latex2mathml")
    folder: Path = tmp_path_factory.mktemp("site") / "site"
    build.build(folder)
    return folder


def test_it_has_every_page_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    html = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    for page in build.pages(build.by_index()):
        name = page.replace("README.md", "index.html").replace(".md", ".html")
        assert name in html, f"{page} is missing"
    for path in html.values():
        links = Links(path)
        assert links.fetched and not list(filter(_ELSEWHERE.match, links.fetched))
        if path.name == "404.html":  # shown at any address
            continue
        for link in links.fetched + links.followed:
            file = re.split("[#?]", link)[0]
            there = _ELSEWHERE.match(link) or not file or (path.parent / file).is_file()
            assert there, f"{path.relative_to(site)}: {link} is not there"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(['\"]?|@import\s+['\"])(https?:)?//", style.read_text())


def test_a_site_takes_the_place_of_one_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zensical")
    pytest.importorskip("latex2mathml")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Project\n")
    (tmp_path / "docs" / "README.md").write_text("# Pages\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    site = tmp_path / "site"
    build.build(site)
    (tmp_path / "README.md").write_text("# A project\n")
    build.build(site)
    assert "A project" in (site / "index.html").read_text(encoding="utf-8")
    for name, text in (("plan.md", "of mine"), ("index.html", "as I had it")):
        (site / name).write_text(text)
        with pytest.raises(InputError, match=rf"site: {name} (was not|has changed since srl-edge)"):
            build.build(site)
        assert (site / name).read_text() == text
        (site / name).unlink()
    before = sorted(site.rglob("*"))
    (tmp_path / "README.md").write_text("[broken](nowhere.md)\n")
    with pytest.raises(subprocess.CalledProcessError):
        build.build(site)
    assert sorted(site.rglob("*")) == before


def test_a_page_that_no_table_names_is_listed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zensical")
    pytest.importorskip("latex2mathml")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Project\n")
    (tmp_path / "docs" / "README.md").write_text("# Pages\n")
    (tmp_path / "docs" / "new.md").write_text("# Something new\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    build.build(tmp_path / "site")
    first = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="./docs/new.html"' in first and "Something new" in first


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    page = (site / "docs" / "method.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"') > 5
    body = re.sub(r"<math.*?</math>|<(script|code|pre).*?</\1>", "", page, flags=re.DOTALL)
    assert "$" not in body and "\\frac" not in body


@pytest.mark.parametrize("link", ["nowhere.md", "docs/README.md#nowhere", "#nowhere"])
def test_a_broken_link_ends_the_build(
    link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("zensical")
    pytest.importorskip("latex2mathml")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("# Pages\n")
    (tmp_path / "README.md").write_text(f"# Project\n\nSee [here]({link}).\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        build.build(tmp_path / "site")
    assert "does not exist" in capfd.readouterr().err
    assert not (tmp_path / "site").exists()
