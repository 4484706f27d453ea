"""The pages as a browser gets them: escaped, for this computer alone, and page by page."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from srl_edge.errors import InputError
from srl_edge.watch.run import Run
from srl_edge.watch.server import bound
from tests.helpers.watching import add, asked, rollout, served, trained, validated

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "train" / "metrics.jsonl", *(trained(step) for step in (1, 2)), validated(2))
    rows = [
        rollout(step, number, reward=number / 10, completion=f"<think>So.</think>\nTake {number}.")
        for step in (1, 2)
        for number in range(8)
    ]
    add(tmp_path / "train" / "rollouts.jsonl", *rows)
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with served([Run(folder)]) as found:
        yield found


def ids(text: str) -> list[str]:
    return re.findall(r'<details class="rollout row" id="r(\d+)">', text)


def test_a_page_shows_the_newest_step_and_says_when_nothing_is_new(url: str, folder: Path) -> None:
    status, text, _ = asked(url)
    assert status == 200 and "srl step 2" in text and "<mark>" in text and "keep-rate" in text
    (edition,) = re.findall(r'data-edition="([^"]+)"', text)
    assert asked(f"{url}/live?edition={edition}")[0] == 204
    add(folder / "train" / "metrics.jsonl", trained(3, reward=0.8125))
    status, text, _ = asked(f"{url}/live?edition={edition}")
    assert status == 200 and "0.81" in text and "mean reward, srl step 3" in text


def test_text_of_a_model_is_never_markup(folder: Path) -> None:
    evil = {
        "problem": EVIL,
        "expert_action": EVIL,
        "completion": f"<think>{EVIL}</think>\n{EVIL}",
        "trajectory_id": EVIL,
        "fault": EVIL,
        "previous_steps": [EVIL],
        "observations": [EVIL],
        "parts": {EVIL: 1.0},
    }
    add(folder / "train" / "rollouts.jsonl", rollout(3, **evil))
    add(folder / "train" / "metrics.jsonl", trained(3, **{f"rewards/{EVIL}/mean": 0.5}))
    with served([Run(folder)]) as url:
        for path in (
            "/",
            "/live",
            "/rollouts",
            f"/rollouts?q={quote(EVIL)}",
            f"/rollouts?fault={quote(EVIL)}",
        ):
            status, text, headers = asked(url + path)
            assert status == 200 and "alert(1)" in text and "&lt;script&gt;alert" in text
            assert re.findall(r"<script[^>]*>", text) in ([], ['<script src="/watch.js" defer>'])
            assert "<img" not in text
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
        # What the search held comes back as what was typed, in an attribute.
        assert 'value="&lt;script&gt;' in asked(f"{url}/rollouts?q={quote(EVIL)}")[1]


def test_no_other_site_is_answered(url: str) -> None:
    port = url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "[::1"):
        status, text, headers = asked(url, host)
        assert status == 400 and "srl" not in text and "content-security-policy" in headers
    for host in (f"localhost:{port}", "localhost", f"127.0.0.1:{port}", "localhost:9999"):
        assert asked(url, host)[0] == 200
    headers = asked(url)[2]
    assert "access-control-allow-origin" not in headers and headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_nothing_can_be_written_and_no_file_be_asked_for(url: str, folder: Path) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for method in ("POST", "PUT", "DELETE"):
        assert asked(f"{url}/rollouts", method=method)[0] == 405
    for path in ("/recipe.toml", "/../recipe.toml", "/%2e%2e/train/metrics.jsonl", "/docs"):
        status, _, headers = asked(url + path)
        assert status == 404 and headers["x-content-type-options"] == "nosniff"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_thousands_of_rollouts_come_page_by_page(folder: Path) -> None:
    add(folder / "train" / "rollouts.jsonl", *(rollout(3, n, n / 5000) for n in range(5000)))
    with served([Run(folder)]) as url:
        text = asked(f"{url}/rollouts")[1]
        assert ids(text) == [str(n) for n in range(5015, 4990, -1)]
        assert "5016 of 5016 rollouts" in text and "Page 1 of 201" in text
        following = re.findall(r'rel="next" href="([^"]+)"', text)[0].replace("&amp;", "&")
        assert ids(asked(url + following)[1])[0] == "4990"
        last = asked(f"{url}/rollouts?page=99999")[1]
        assert "Page 201 of 201" in last and ids(last)[-1] == "0" and 'rel="next"' not in last
        # The query goes along from page to page.
        text = asked(f"{url}/rollouts?q=pears&sort=best&step=3")[1]
        assert "5000 of 5016" in text and ids(text)[0] == "5015"
        following = re.findall(r'rel="next" href="([^"]+)"', text)[0]
        assert {"q=pears", "sort=best", "step=3", "page=2"} <= set(
            following.removeprefix("/rollouts?").split("&amp;")
        )
        assert asked(f"{url}/count")[1] == "5016"


def test_rollouts_are_searched_sorted_and_filtered(url: str) -> None:
    def found(query: str) -> list[str]:
        return ids(asked(f"{url}/rollouts?{query}")[1])

    assert found("q=TAKE+3&sort=oldest") == ["3", "11"]
    assert found("sort=worst&step=2")[0] == "8" and found("sort=best&step=2")[0] == "15"
    assert found("pick=best&sort=oldest") == ["7", "15"]
    assert found("pick=worst&sort=oldest") == ["0", "8"]
    assert found("fault=some") == [] and len(found("fault=none")) == 16
    assert "None of 16 rollouts is like that" in asked(f"{url}/rollouts?step=77")[1]


@pytest.mark.parametrize(
    "query",
    [
        "run=7",
        "run=-1",
        "page=two",
        "step=1e9",
        "sort=bad",
        "pick=x",
        f"page={'9' * 5000}",
        "stage=%D9%A3",
    ],
)
def test_an_address_that_is_none_is_refused(url: str, query: str) -> None:
    status, text, _ = asked(f"{url}/rollouts?{query}")
    assert status == 400 and text == "No such page of rollouts."
    assert asked(url)[0] == 200


def test_an_agents_rollout_shows_what_came_of_its_steps(folder: Path) -> None:
    row = rollout(
        3,
        problem="Stop all.",
        previous_steps=["look hall"],
        observations=["fan on, lamp off"],
        expert_action="turn_off fan",
        completion="turn_off lamp",
        kind="srl",
    )
    add(folder / "train" / "rollouts.jsonl", row)
    (folder / "recipe.toml").write_text(
        'output = "x"\n[model]\nname = "m"\n[data]\nsource = "home"\n[prompt]\n'
        'preset = "commands"\n[[stages]]\nkind = "srl"\nsteps = 3\n'
    )
    with served([Run(folder)]) as url:
        text = asked(f"{url}/rollouts?step=3")[1]
    assert '<span class="observed">fan on, lamp off</span>' in text
    assert "<mark>turn_off " in text and "Steps so far: 1" in text


def test_what_is_no_text_at_all_does_not_break_a_page(folder: Path) -> None:
    with (folder / "train" / "rollouts.jsonl").open("ab") as out:
        line = b'{"stage": 1, "kind": "srl", "step": 4, "trajectory_id": "a", "step_index": 0, '
        line += b'"rollout": 0, "problem": "half \\ud800 \\u0000", "previous_steps": [], '
        line += b'"expert_action": "a", "completion": "\\u202e\\u001b[31m", "finished": true, '
        out.write(line + b'"reward": 0.5, "parts": {}, "fault": ""}\n')
    with served([Run(folder)]) as url:
        assert "half ? " in asked(f"{url}/rollouts?step=4")[1] and asked(url)[0] == 200


def test_a_port_that_is_taken_is_said() -> None:
    with bound(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: .*give another one, or 0"):
            bound(port)
        assert taken.getsockname()[0] == "127.0.0.1"
    with pytest.raises(InputError, match="--port 70000"):
        bound(70000)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
