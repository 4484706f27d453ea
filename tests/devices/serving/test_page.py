"""The page in a real browser: it loads nothing from elsewhere, and shows replies as they come."""

import re
from pathlib import Path

import pytest

from srl_edge.devices.serving import server
from tests.helpers.chromium import BROWSER, browsing

needs_chromium = pytest.mark.skipif(not BROWSER, reason="no Chromium here")


def test_the_page_names_no_other_place() -> None:
    page = Path(server.__file__).with_name("page.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|//[a-z]|@import|url\(", page.replace("// ", ""))
    assert "innerHTML" not in page


@needs_chromium
def test_a_problem_and_a_chat_are_shown_as_they_come(
    url: str, word_problems: list[dict[str, str]], tmp_path: Path
) -> None:
    with browsing(tmp_path) as page:
        page.size(400)
        page.open(url)
        page.wait("by('facts').textContent === '512-token context'")
        assert page.run("mode()") == "solve"  # which it was trained for
        page.run("by('most').value = 60")
        problem = word_problems[3]["problem"]
        page.run(f"text.value = '{problem}'; by('form').requestSubmit()")
        page.wait("!going && document.querySelector('.ended')")
        assert page.run("document.querySelector('.ended').textContent") == "It gave its answer."
        steps = page.run("[...document.querySelectorAll('li .answer')].map(e => e.textContent)")
        assert len(steps) > 1 and "<think>" not in "".join(steps)
        folded = page.run("document.querySelector('li details summary').textContent")
        assert re.fullmatch(r"thought, \d+ tokens", folded)
        assert not page.run("document.querySelector('li details').open")
        assert page.run("document.documentElement.scrollWidth") <= 400

        page.run("document.querySelector('[value=chat]').click()")
        page.run("text.value = '<b>Ann</b>'; by('form').requestSubmit()")
        page.wait("!going && talk.lastChild.querySelector('.facts')")
        shown = page.run("talk.lastChild.querySelector('.facts').textContent")
        assert re.match(r"\d+ tokens.* tokens/s, first after [\d.]+ s", shown)
        assert page.run("document.querySelectorAll('b').length") == len(steps)  # no markup
        page.run(f"text.value = '{'cats ' * 600}'; by('form').requestSubmit()")
        page.wait("document.querySelector('.wrong')")
        assert "takes 512 of" in page.run("document.querySelector('.wrong').textContent")
        assert all(address.startswith((url, "data:")) for address in page.requests), page.requests
        assert [e for e in page.errors if "400" not in e] == []


@needs_chromium
def test_a_reply_is_stopped_from_the_page(slow_url: str, tmp_path: Path) -> None:
    with browsing(tmp_path) as page:
        page.size(1280, dark=True)
        page.open(slow_url)
        page.wait("model && by('facts').textContent")
        page.run("text.value = 'Ann'; by('form').requestSubmit()")
        page.wait("document.querySelector('.going .answer')?.textContent.length > 20")
        assert page.run("send.textContent") == "Stop"
        page.run("by('form').requestSubmit()")
        page.wait("!going")
        assert page.run("talk.lastChild.querySelector('.facts').textContent") == "stopped"
        page.wait("fetch('/health').then(r => r.json()).then(said => said.load === 0)")
