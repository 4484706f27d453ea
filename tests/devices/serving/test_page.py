"""The page in a real browser: it loads nothing from elsewhere, and shows replies as they come."""

import re
from pathlib import Path

import pytest

from srl_edge.devices.serving import server
from tests.helpers.browser import CHROMIUM, browser

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")


def test_the_page_names_no_other_place() -> None:
    page = Path(server.__file__).with_name("page.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|//[a-z]|@import|url\(", page.replace("// ", ""))
    assert "innerHTML" not in page


@needs_chromium
def test_a_problem_and_a_chat_are_shown_as_they_come(
    url: str, word_problems: list[dict[str, str]]
) -> None:
    with browser() as page:
        page.open(url, width=400)
        page.wait("by('facts').textContent === '512-token context'")
        assert page.value("mode()") == "solve"  # which it was trained for
        page.value("by('most').value = 60")
        problem = word_problems[3]["problem"]
        page.value(f"text.value = '{problem}'; by('form').requestSubmit()")
        page.wait("!going && document.querySelector('.ended')")
        assert page.value("document.querySelector('.ended').textContent") == "It gave its answer."
        steps = page.value("[...document.querySelectorAll('li .answer')].map(e => e.textContent)")
        assert len(steps) > 1 and "<think>" not in "".join(steps)
        folded = page.value("document.querySelector('li details summary').textContent")
        assert re.fullmatch(r"thought, \d+ tokens", folded)
        assert not page.value("document.querySelector('li details').open")
        assert page.value("document.documentElement.scrollWidth") <= 400

        page.value("document.querySelector('[value=chat]').click()")
        page.value("text.value = '<b>Ann</b>'; by('form').requestSubmit()")
        page.wait("!going && talk.lastChild.querySelector('.facts')")
        shown = page.value("talk.lastChild.querySelector('.facts').textContent")
        assert re.match(r"\d+ tokens.* tokens/s, first after [\d.]+ s", shown)
        assert page.value("document.querySelectorAll('b').length") == len(steps)  # no markup
        page.value(f"text.value = '{'cats ' * 600}'; by('form').requestSubmit()")
        page.wait("document.querySelector('.wrong')")
        assert "takes 512 of" in page.value("document.querySelector('.wrong').textContent")
        assert all(address.startswith((url, "data:")) for address in page.asked), page.asked
        assert [e for e in page.errors if "400" not in e] == []


@needs_chromium
def test_a_reply_is_stopped_from_the_page(slow_url: str) -> None:
    with browser() as page:
        page.open(slow_url, dark=True)
        page.wait("model && by('facts').textContent")
        page.value("text.value = 'Ann'; by('form').requestSubmit()")
        page.wait("document.querySelector('.going .answer')?.textContent.length > 20")
        assert page.value("send.textContent") == "Stop"
        page.value("by('form').requestSubmit()")
        page.wait("!going")
        assert page.value("talk.lastChild.querySelector('.facts').textContent") == "stopped"
        page.wait("fetch('/health').then(r => r.json()).then(said => said.load === 0)")
