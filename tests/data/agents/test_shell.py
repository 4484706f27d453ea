"""Commands of an agent run in a folder of their own, and checks say what was done there."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from srl_edge.data.agents import sandbox, worlds
from srl_edge.data.agents.sandbox import BUBBLEWRAP, LIMITS, Sandbox
from srl_edge.data.agents.shell import Shell
from srl_edge.data.agents.shell_families import FAMILIES, NAMES, UNSEEN
from srl_edge.data.agents.shell_tasks import problems
from srl_edge.data.agents.worlds import enter, recorded
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
            f"rm -rf {tmp_path}",
            f"echo gone > {kept}",
            f"cd /; rm -rf {tmp_path}",
            "rm -rf --no-preserve-root / 2>&1 | tail -1",
            "cd ..; rm -rf ./*",
            "cd ~; touch here",
            f'python3 -c \'open("{kept}", "w")\'',
        ):
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
        "sleep 60",
        "yes > /dev/null",
        ":(){ :|:& };:",
        "while true; do :; done",
        "python3 -c 'x = bytearray(10**11)'",
        "yes",
        "head -c 1000000000 /dev/zero > big",
        "sleep 77 & disown; setsid sleep 77 & echo left",
        "setsid env -i sleep 77 & sleep 0.3",
        "setsid bash -c 'for i in $(seq 30); do setsid sleep 77 & done; sleep 77' & sleep 0.3",
        "cat",
        "kill -9 $$",
        "kill -9 -1",
    ],
)
def test_no_command_hangs_or_leaves_anything(confined: str, command: str) -> None:
    if confined == LIMITS and os.geteuid() != 0 and ":|:" in command:
        pytest.skip("limits alone leave a user thousands of processes")
    start = time.monotonic()
    with Sandbox() as box:
        before = _nobodys(box)
        box.run(command, 1.0)
        assert sum(f.stat().st_size for f in box.root.rglob("*") if f.is_file()) < 2e7
    assert time.monotonic() - start < 8
    deadline = time.monotonic() + 5
    while _nobodys(box) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _nobodys(box) - before


def _nobodys(box: Sandbox) -> set[int]:
    """Processes that its commands may have left; other tests run theirs beside."""
    found, its = set(), box.root.parents[1].name
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if its in line:
            found.add(process.pid)
        elif line in ("sleep 77", "sleep 60", "yes", "cat"):  # other programs have such, too
            with contextlib.suppress(psutil.Error):
                where = process.environ().get("HOME", "") + process.cwd()
                if sandbox._SEEN in where or its in where:
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


@pytest.mark.parametrize(
    "command",
    [
        "ln -s answer.txt answer.txt",
        "mkfifo answer.txt",
        "mkdir answer.txt",
        "echo \ud800",
        "echo " + "x" * 200_000,
        "mkdir d; touch d/x; chmod 000 d .",
        'python3 -c \'import os\nfor _ in range(3000):\n os.mkdir("a"); os.chdir("a")\'',
    ],
)
def test_whatever_is_left_is_judged_and_removed(confined: str, command: str) -> None:
    with Shell(WORLD) as shell:
        shell.act(command)
        assert not shell.fulfilled()
        home = shell._sandbox.root.parent
    assert not home.exists()


@pytest.mark.parametrize(
    "command",
    [
        "for i in $(seq 200); do head -c 16000000 /dev/zero > $i; done",
        "for i in $(seq 200); do head -c 16000000 /dev/zero > $TMPDIR/$i; done",
        "for i in 1 2 3 4 5; do python3 -c 'x = bytearray(9 * 10**8); input()' <&1 & done; sleep 5",
    ],
)
def test_neither_disk_nor_memory_is_filled(
    confined: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_DISK", 60 << 20)
    monkeypatch.setattr(sandbox, "_MEMORY", 200 << 20)
    command = command.replace("/dev/zero", "$(python3 -c 'print(chr(47) + \"dev\")')/zero")
    with Sandbox() as box:
        assert box.run(command, 8.0).status == 125
        if "head" in command:
            assert box.run("ls") == ("refused: the folder is full", 125)


UNNAMED = {
    "in memory": "held = [os.memfd_create('a') for _ in range(8)]",
    "on disk": "held = [os.open('a', os.O_RDWR | os.O_CREAT) for _ in range(8) if not gone()]",
}


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is read from /proc")
@pytest.mark.parametrize("where", UNNAMED)
def test_nor_are_they_by_files_without_a_name(
    confined: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_DISK", 60 << 20)
    script = f"""
import contextlib, os, time
def gone():
    with contextlib.suppress(FileNotFoundError):
        os.unlink("a")
{UNNAMED[where]}
gone()
for each in held:
    os.write(each, bytes(15 << 20))
time.sleep(6)
"""
    with Sandbox() as box:
        (box.root / "fill.py").write_text(script)
        box.owned()
        assert box.run("python3 fill.py", 8.0).status == 125


def test_only_its_own_folders_can_be_written_to(confined: str) -> None:
    with Sandbox() as box:
        if confined == BUBBLEWRAP:
            made = "touch /x /dev/x /home/x /usr/x; touch a /tmp/b /dev/shm/c; ls -d /*/x /x"
            assert box.run(made).status
        assert box.run("echo out > $TMPDIR/t; cat $TMPDIR/t; pwd; python3 -m site --user-site")[
            0
        ].startswith("out\n.\n")


@pytest.mark.parametrize(
    "command",
    ["cd ..;ls", "cd ..&&ls", "cat a/../../x", "ls {/etc,a}", "kill -9 -1", "pkill python"],
)
def test_without_bubblewrap_mistakes_are_refused(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "confinement", lambda: LIMITS)
    with Sandbox() as box:
        assert box.run(command).status == 126
        assert box.run("git log HEAD~1..main 2>&1 | sed 's/a/b/'").status != 126


def test_what_a_person_s_python_is_told_is_not_read() -> None:
    with Sandbox() as box:
        box.run(
            "d=$(python3 -m site --user-site); mkdir -p $d; echo 'print(7)' > $d/usercustomize.py"
        )
        assert box.run("python3 -c 1") == ("", 0)


def test_a_repository_of_any_length_and_words_is_made(confined: str) -> None:
    commits = [
        {"author": "A", "message": f"see ~ and /etc {'x' * 3000}", "files": {f"{n}": "y"}}
        for n in range(50)
    ]
    with Shell(WORLD | {"commits": commits}) as shell:
        assert shell.act("git log --oneline | wc -l").strip() == "50"


def test_a_file_that_must_be_gone_is_not_replaced() -> None:
    with Shell(WORLD | {"goal": [{"file": "c.txt", "says": None}]}) as shell:
        for command in ("rm c.txt; ln -s nowhere c.txt", "rm c.txt; mkdir c.txt"):
            shell.act(command)
            assert not shell.fulfilled()
        shell.act("rm -r c.txt")
        assert shell.fulfilled()


def test_an_answer_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "right").write_text("Bo")
    with Shell(WORLD) as shell:
        shell.act(f"ln -s {tmp_path / 'right'} answer.txt")
        assert not shell.fulfilled()


@pytest.mark.parametrize(
    "changed",
    [
        {"commits": []},
        {"commits": [{"author": "A", "message": "m", "files": {}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"../x": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"/etc/x": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {".git/hooks/post-commit": "y"}}]},
        {"goal": []},
        {"goal": None},
        {"goal": [{"file": "../../x", "says": "y"}]},
        {"goal": [{"says": "y"}]},
        {"goal": [{"runs": 3}]},
        {"goal": [{"runs": "\ud800"}]},
        {"goal": [{"file": ".", "says": "y"}]},
        {"goal": [{"file": "a" * 300, "says": "y"}]},
        {"commits": [{"author": "A", "message": "m", "files": {".": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"a" * 300: "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"\ud800": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {"a": "\ud800"}}]},
        {"commits": [{"author": "\ud800", "message": "m", "files": {"a": "y"}}]},
        {"commits": [{"author": "A", "message": "m", "files": {".GIT/config": "y"}}]},
    ],
)
def test_a_record_of_another_form_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(Unusable, match="of no known form"):
        Shell(WORLD | changed)


def test_actions_of_a_row_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "_SECONDS", 0.5)
    monkeypatch.setattr(worlds, "is_own", lambda record: True)  # without bubblewrap as well
    with pytest.raises(Unusable, match="take too long"):
        recorded(WORLD, ["sleep 0.3"] * 1000)


def test_a_repository_that_cannot_be_made_leaves_nothing() -> None:
    mine = f".srl-edge-scratch-{os.getpid()}-*"
    before = set(Path(tempfile.gettempdir()).glob(mine))
    commits = [{"author": "A", "message": "m", "files": {"a": "x", "a/b": "y"}}]
    with pytest.raises(Unusable, match="cannot be made"):
        Shell(WORLD | {"commits": commits})
    assert set(Path(tempfile.gettempdir()).glob(mine)) == before


def test_the_folder_of_a_killed_process_goes_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beside = Path(tempfile.mkdtemp())  # where nobody, as whom root's commands run, may go
    beside.chmod(0o711)
    code = (
        "import os, signal; from srl_edge.data.agents.sandbox import Sandbox; box = Sandbox(); "
        "box.run('mkdir -p a/b; cd a; for i in $(seq 1500); do mkdir d && cd d; done'); "
        "box.run('touch x; chmod 0 a/b'); print(box.root, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"TMPDIR": str(beside)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    root = Path(done.stdout.decode().strip())
    assert (root / "x").is_file() and root.is_relative_to(beside)
    monkeypatch.setattr(tempfile, "tempdir", str(beside))
    with Sandbox() as box:
        assert box.run("pwd; ls") == (".", 0)
        assert not root.exists()
    beside.rmdir()  # it is empty


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


@pytest.mark.parametrize(
    "command",
    [
        "echo 'import os; os._exit(0)' > {thing}.py",
        "touch unittest.py",
        "mkdir unittest; touch unittest/__init__.py unittest/__main__.py",
        "echo 'def {function}(a, b): return {value}' > {thing}.py",
        "sed -i 's/assertEqual/assertTrue/' test_{thing}.py",
    ],
)
def test_a_test_that_passes_for_other_reasons_is_not_enough(command: str) -> None:
    task = next(t for t in problems("train", 20, 0) if t.id.startswith("mend/"))
    assert task.world is not None
    files = task.world["commits"][0]["files"]
    thing = next(name for name in files if not name.startswith("test_")).removesuffix(".py")
    function = files[f"{thing}.py"].removeprefix("def ").partition("(")[0]
    value = files[f"test_{thing}.py"].rpartition(", ")[2].strip(") \n")
    with enter(task.world) as world:
        world.act(command.format(thing=thing, function=function, value=value))
        assert not world.fulfilled()
    with enter(task.world) as world:  # in another way than the expert's
        sign = next(iter(set("+-*") & set(task.steps[2].split("/")[2])))
        code = f"def {function}(*n):\n    first, second = n\n    return first {sign} second"
        world.act(f"printf '{code}' > {thing}.py")
        assert world.fulfilled()


def test_splits_share_neither_families_nor_names() -> None:
    families = [set(FAMILIES["train"]), set(FAMILIES["validation"]), set(UNSEEN)]
    assert set(FAMILIES["test"]) == families[0] | families[2]
    assert not families[0] & families[1]
    assert not families[0] & families[2] and not families[1] & families[2]
    said = [{*n.people, *n.things, *n.verbs, *n.words} for n in NAMES.values()]
    assert not said[0] & said[1] and not said[0] & said[2] and not said[1] & said[2]
