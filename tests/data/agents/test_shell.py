"""Commands of an agent run in a folder of their own, and checks say what was done there."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from srl_edge.data.agents import sandbox
from srl_edge.data.agents.sandbox import BUBBLEWRAP, LIMITS, Sandbox
from srl_edge.data.agents.shell import Shell
from srl_edge.data.agents.shell_tasks import FAMILIES, NAMES, problems
from srl_edge.data.agents.worlds import enter
from srl_edge.data.values import Unusable

WORLD = {
    "kind": "shell",
    "commits": [
        {"author": "Ada L", "message": "it's first", "files": {"a/b.txt": "one\n", "c.txt": "x\n"}},
        {"author": "Bo", "message": "second", "files": {"c.txt": "y\n"}},
    ],
    "goal": [{"file": "answer.txt", "says": "Bo"}, {"same": ["a/b.txt"]}],
}


@pytest.fixture(params=[BUBBLEWRAP, LIMITS])
def confined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == BUBBLEWRAP and sandbox.confinement() != BUBBLEWRAP:
        pytest.skip("bubblewrap is not installed, or may not be used here")
    monkeypatch.setattr(sandbox, "confinement", lambda: request.param)
    yield request.param


def test_commands_work_in_their_folder(confined: str) -> None:
    with Sandbox() as box:
        assert box.run("echo hi > a; cat a; pwd") == ("hi\n.", 0)
        assert box.run("python3 -c 'print(6 * 7)'") == ("42", 0)
        assert box.run("cat a; exit 3") == ("hi", 3)
        assert box.run("nosuchthing").status == 127
        long = box.run("seq 1000").output
        assert long.startswith("1\n2\n") and long.endswith("\n1000") and len(long) < 700
        folder = box.root
    assert not folder.parent.exists()


def test_what_lies_outside_stays_as_it_is(confined: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    tmp_path.chmod(0o777)
    kept.chmod(0o666)
    with Sandbox() as box:
        for command in (
            f"rm -rf {tmp_path}", f"echo gone > {kept}", f"cd /; rm -rf {tmp_path}",
            "rm -rf --no-preserve-root / 2>&1 | tail -1",
            "cd ..; rm -rf ./*", "cd ~; touch here",
            f"python3 -c 'open(\"{kept}\", \"w\")'",
        ):  # fmt: skip
            box.run(command, 5.0)
        assert box.root.is_dir()
    assert kept.read_text() == "mine"


def test_the_network_is_not_there(confined: str) -> None:
    if confined == LIMITS:
        pytest.skip("limits alone leave the network")
    with Sandbox() as box:
        code = "import socket; socket.create_connection(('1.1.1.1', 80), 2)"
        assert "unreachable" in box.run(f'python3 -c "{code}"').output


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60", "yes > /dev/null", ":(){ :|:& };:", "while true; do :; done",
        "python3 -c 'x = bytearray(10**11)'", "yes", "head -c 1000000000 /dev/zero > big",
        "sleep 77 & disown; setsid sleep 77 & echo left", "cat", "kill -9 $$", "kill -9 -1",
    ],
)  # fmt: skip
def test_no_command_hangs_or_leaves_anything(confined: str, command: str) -> None:
    if confined == LIMITS and (os.geteuid() != 0 or "setsid" in command):
        pytest.skip("limits alone do not hold what detaches itself")
    before, start = _nobodys(), time.monotonic()
    with Sandbox() as box:
        box.run(command, 1.0)
        assert sum(f.stat().st_size for f in box.root.rglob("*") if f.is_file()) < 2e7
    assert time.monotonic() - start < 8
    deadline = time.monotonic() + 5
    while _nobodys() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _nobodys() - before


def _nobodys() -> set[int]:
    """Processes that commands may have left."""
    found = set()
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if "srl-edge-agent-" in line or line in ("sleep 77", "sleep 60", "yes", "cat"):
            found.add(process.pid)
    return found


def test_a_repository_is_as_recorded_and_checked(confined: str) -> None:
    with Shell(WORLD) as shell:
        assert shell.act("git log --format='%an: %s'") == "Bo: second\nAda L: it's first"
        assert shell.act("ls; git status --short") == "a\nc.txt"
        assert shell.act("cat c.txt a/b.txt") == "y\none"
        assert not shell.fulfilled()
        assert shell.act("echo Bo > answer.txt") == "" and shell.fulfilled()
        assert shell.act("rm a/b.txt") == "" and not shell.fulfilled()
        assert shell.act("false") == "[status 1]" and not shell.failed
        assert "[status 127]" in shell.act("nosuchthing") and shell.failed


def test_an_answer_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "right").write_text("Bo")
    with Shell(WORLD) as shell:
        shell.act(f"ln -s {tmp_path / 'right'} answer.txt")
        assert not shell.fulfilled()


@pytest.mark.parametrize(
    "changed",
    [
        {"commits": []}, {"commits": [{"author": "A", "message": "m", "files": {}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"../x": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"/etc/x": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {".git/hooks/post-commit": "y"}}]},
        {"goal": []}, {"goal": None}, {"goal": [{"file": "../../x", "says": "y"}]},
        {"goal": [{"says": "y"}]}, {"goal": [{"runs": 3}]},
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(Unusable, match="of no known form"):
        Shell(WORLD | changed)


def test_the_expert_does_every_task_and_nothing_does_none() -> None:
    for split, families in FAMILIES.items():
        found = problems(split, 4 * len(families), 0)
        assert found == problems(split, 4 * len(families), 0)
        assert {t.id.partition("/")[0] for t in found} == set(families)
        for t in found[::3]:
            assert t.world is not None
            with enter(t.world) as world:
                assert not world.fulfilled(), t.problem
                assert [world.act(step) for step in t.steps[:-1]] == list(t.observations[:-1])
                assert world.fulfilled(), t.problem


def test_splits_share_neither_families_nor_names() -> None:
    families = [set(each) for each in FAMILIES.values()]
    assert not families[0] & families[2] and not families[1] & families[2]
    said = [{*n.people, *n.things, *n.verbs, *n.words} for n in NAMES.values()]
    assert not said[0] & said[1] and not said[0] & said[2] and not said[1] & said[2]
