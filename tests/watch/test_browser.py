"""The pages in a real browser: they refresh themselves, take keys, and ask nobody else."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_edge.recipe import dumps
from srl_edge.trainers.loop.train import train
from srl_edge.watch.run import Run
from tests.helpers.chromium import BROWSER, Page, browsing
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, BROKEN, GOOD, make_run, rows
from tests.helpers.watching import add, rollout, served, trained, validated

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium is here")
OVER = "e.getBoundingClientRect().right"
EVIL = "<img src=http://evil.example/x onerror=document.title='owned'><script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_said(page: Page) -> Iterator[None]:
    """No page may ask another server for anything, nor have its console say anything."""
    page.requests.clear()
    page.errors.clear()
    yield
    page.open("about:blank")
    foreign = [url for url in page.requests if not url.startswith("http://127.0.0.1:")]
    # The server of a test may have ended before its page was left.
    errors = [error for error in page.errors if "ERR_CONNECTION_REFUSED" not in error]
    assert page.requests and foreign == [] and errors == []


def test_a_page_follows_a_training(page: Page, tmp_path: Path) -> None:
    recipe = make_run(tmp_path / "run", steps=6, validate_every=3)
    (tmp_path / "run" / "recipe.toml").write_text(dumps(recipe))
    with served([Run(tmp_path / "run")]) as url:
        page.open(url)
        assert page.run("document.querySelector('.pill').textContent") == "waiting"
        page.run("window.mine = 1")  # gone, if the page were loaded again
        policy = TablePolicy([GOOD, BAD, BROKEN])
        training = threading.Thread(target=train, args=(recipe, tmp_path / "run", policy))
        training.start()
        page.wait("document.body.textContent.includes('mean reward, srl step 6')")
        training.join()
        page.wait("document.querySelectorAll('.now .count')[0].textContent === '6/6'")
        page.wait("document.querySelector('article.rollout mark')")
        newest = rows(tmp_path / "run", "rollouts")[-1]
        assert f"srl step {newest['step']}" in page.run(
            "document.querySelector('article.rollout .where').textContent"
        )
        assert page.run("window.mine") == 1
        assert page.run("document.querySelectorAll('svg').length") > 8


def test_what_was_opened_stays_open_when_the_page_is_renewed(page: Page, tmp_path: Path) -> None:
    add(tmp_path / "train" / "rollouts.jsonl", rollout(1))
    add(tmp_path / "train" / "metrics.jsonl", trained(1))
    with served([Run(tmp_path)]) as url:
        page.open(url)
        page.run("document.getElementById('r0-thought').open = true")
        add(tmp_path / "train" / "metrics.jsonl", validated(1), trained(2))
        page.wait("document.body.textContent.includes('mean reward, srl step 2')")
        assert page.run("document.getElementById('r0-thought').open")
    page.wait("!document.getElementById('lost').hidden")  # the server has ended


def test_text_of_a_model_does_nothing_in_a_browser(page: Page, tmp_path: Path) -> None:
    evil = {"problem": EVIL, "completion": f"<think>{EVIL}</think>\n{EVIL}", "fault": EVIL}
    add(tmp_path / "train" / "rollouts.jsonl", rollout(1, **evil, trajectory_id=EVIL))
    add(tmp_path / "train" / "metrics.jsonl", trained(1, **{f"rewards/{EVIL}/mean": 0.5}))
    with served([Run(tmp_path)]) as url:
        for path in ("/", "/rollouts"):
            page.open(url + path)
            page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
            assert "evil.example" in page.run("document.body.textContent")
            assert page.run("document.querySelectorAll('main img, main script').length") == 0
            assert "owned" not in page.run("document.title")


def test_rollouts_are_walked_by_keys(page: Page, tmp_path: Path) -> None:
    add(tmp_path / "train" / "rollouts.jsonl", *(rollout(1, n, n / 60) for n in range(60)))
    with served([Run(tmp_path)]) as url:
        page.open(f"{url}/rollouts")
        focused = "document.activeElement.closest('details')?.id"
        for key, expected in (("j", "r59"), ("j", "r58"), ("k", "r59")):
            page.press(key)
            assert page.run(focused) == expected
        page.press("e")
        assert page.run("[...document.querySelectorAll('details.row')].every((d) => d.open)")
        page.press("t")
        assert page.run("document.getElementById('r59-thought').open")
        page.press("n")
        page.wait("location.search.includes('page=2') && document.readyState === 'complete'")
        assert page.run("document.querySelector('details.row').id") == "r34"
        page.press("/")
        assert page.run("document.activeElement.name") == "q"
        page.press("j")  # is typed there
        assert page.run("document.activeElement.value") == "j"
        add(tmp_path / "train" / "rollouts.jsonl", rollout(2), rollout(2, 1))
        page.wait("document.getElementById('newer').textContent === 'Show 2 newer'")


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(page: Page, tmp_path: Path, width: int) -> None:
    for name, long in (("a" * 60, "x" * 300), ("b" * 60, "long words " * 40)):
        row = rollout(1, completion=f"<think>{long}</think>\n{long}", problem=long)
        made = make_run(tmp_path / name)
        (tmp_path / name / "recipe.toml").write_text(
            dumps(
                made.model_copy(update={"prompt": made.prompt.model_copy(update={"system": long})})
            )
        )
        add(tmp_path / name / "train" / "rollouts.jsonl", row)
        add(tmp_path / name / "train" / "metrics.jsonl", trained(1), validated(1), trained(2))
    page.size(width)
    with served([Run(path) for path in sorted(tmp_path.iterdir())]) as url:
        for path in ("/", "/rollouts?run=1"):
            page.open(url + path)
            page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
            wide = f"[...document.querySelectorAll('*')].filter((e) => {OVER} > {width})"
            assert page.run(f"{wide}.map((e) => e.outerHTML.slice(0, 90))") == []
            assert page.run("document.documentElement.scrollWidth") <= width
            tables = "[...document.querySelectorAll('.scroll')]"
            assert not page.run(f"{tables}.some((e) => e.scrollWidth > e.clientWidth)")
    page.size(1280)
