"""A process that is ended midway, or that the system refuses something, leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from srl_edge import cli, owned
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, place, replace, scratch_folder


def published(tmp_path: Path) -> Path:
    with scratch_folder(tmp_path, "results") as scratch:
        (scratch / "inner").mkdir()
        (scratch / "inner" / "a.txt").write_text("ours")
        return owned.publish(scratch, tmp_path / "results")


def test_scratch_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    gone = tmp_path / f".srl-edge-scratch-999999999-{place()}-x"
    gone.mkdir()
    (gone / "half").touch()
    with scratch_folder(tmp_path, "a") as ours, scratch_folder(tmp_path, "b"):
        assert not gone.exists() and ours.is_dir()
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from srl_edge import files
if sys.argv[2] == "file":
    os.replace = Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    files.replace(Path(sys.argv[1]) / "report.md", "half of it")
with files.scratch_folder(Path(sys.argv[1]), "model") as scratch:
    (scratch / "weights").write_text("half of them")
    if sys.argv[2] == "folder in it":
        with files.scratch_folder(scratch.parent, "made") as inner:
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("what", ["folder", "folder in it", "file"])
def test_what_a_killed_process_left_half_built_goes_with_the_next_one(
    what: str, tmp_path: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), what], check=False)
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".srl-edge-scratch-")
    (tmp_path / ".srl-edge-scratch-of-mine").mkdir()
    with scratch_folder(tmp_path, "model") as ours:
        assert not left.exists() and ours.is_dir()
    assert [p.name for p in tmp_path.iterdir()] == [".srl-edge-scratch-of-mine"]


def test_what_another_container_builds_on_the_volume_stays(tmp_path: Path) -> None:
    """Its processes are not seen from here; what nothing was written to for long is left."""
    theirs = tmp_path / ".srl-edge-scratch-999999999-0123abcd-x"
    (theirs / "model").mkdir(parents=True)
    (theirs / "model" / "weights").write_text("half")
    with scratch_folder(tmp_path, "model"):
        assert (theirs / "model" / "weights").is_file()
    for path in (theirs / "model" / "weights", theirs / "model", theirs):
        os.utime(path, (0, 0))
    with scratch_folder(tmp_path, "model"):
        assert not theirs.exists()


def test_what_cannot_be_deleted_is_known_for_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unlink = published(tmp_path), os.unlink

    def only_markers(path: str, **where: int) -> None:
        if Path(path).name == "a.txt":
            raise PermissionError(1, "Operation not permitted", path)
        unlink(path, **where)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", only_markers)
        assert (published(tmp_path) / "inner" / "a.txt").read_text() == "ours"
        owned.remove(folder)
        assert not folder.exists()
    published(tmp_path)
    owned.remove(folder)


def test_a_folder_that_cannot_be_put_in_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = published(tmp_path), Path.rename

    def no_second(path: Path, target: Path) -> Path:
        if target == folder and not (path / "inner" / "earlier").exists():
            raise PermissionError(1, "Operation not permitted", str(path), None, str(target))
        return rename(path, target)

    (folder / "inner" / "earlier").touch()
    (folder / owned.MARKER).unlink()
    owned._note(folder, {n: [file_sha256(folder / n)] for n in owned._files(folder)})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", no_second)
        with pytest.raises(PermissionError):
            published(tmp_path)
    assert (folder / "inner" / "earlier").is_file()
    published(tmp_path)


@pytest.mark.parametrize("next_", ["replaced", "written", "claimed above"])
def test_what_a_killed_writer_left_among_results_is_not_the_users(
    next_: str, tmp_path: Path
) -> None:
    folder = published(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), "file"], check=False)
    assert done.returncode == -9
    (left,) = folder.glob(".srl-edge-scratch-*")
    owned.require_own(folder)
    match next_:
        case "replaced":
            published(tmp_path)
        case "written":
            owned.write(folder / "README.md", "a card")
        case "claimed above":
            (tmp_path / owned.MARKER).write_text('{"purpose": "run", "files": {}}')
            owned.claim(tmp_path, "run")
    assert not left.exists() and (folder / "inner" / "a.txt").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".srl-edge-scratch-of-mine", "was not written by srl-edge"),
        (".srl-edge-scratch-999999999-mine.txt", "was not written by srl-edge"),
        (f".srl-edge-scratch-999999999-{place()}", "was not written by srl-edge"),
        (f".srl-edge-scratch-{os.getppid()}-{place()}-1-README.md", "may be writing this"),
    ],
)
def test_what_is_named_almost_so_or_is_being_written_stays(
    name: str, said: str, tmp_path: Path
) -> None:
    folder = published(tmp_path)
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=said):
        published(tmp_path)
    owned.write(folder / "README.md", "a card")
    (tmp_path / owned.MARKER).write_text('{"purpose": "run", "files": {}}')
    owned.claim(tmp_path, "run")
    assert (folder / name).read_text() == "mine"


def test_links_that_a_killed_process_built_do_not_stop_the_next(tmp_path: Path) -> None:
    folder = owned.claim(tmp_path / "run", "run")
    gone = folder / f".srl-edge-scratch-999999999-{place()}-x"
    gone.mkdir()
    (gone / "python").symlink_to(sys.executable)
    owned.claim(folder, "run")
    assert not gone.exists() and Path(sys.executable).is_file()


def test_a_file_whose_writing_is_cut_off_twice_is_still_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = owned.claim(tmp_path / "run", "run") / "report.md"
    owned.write(file, "zero")

    def cut_off(path: Path, text: str) -> None:
        if path == file:
            raise KeyboardInterrupt
        replace(path, text)

    for text in ("one", "two", "three"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(owned, "replace", cut_off)
            owned.write(file, text)
    owned.write(file, "four")
    assert file.read_text() == "four"


def test_a_withdrawal_that_is_cut_off_leaves_what_can_be_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unlink = owned.claim(tmp_path / "run", "run"), Path.unlink
    for name in (names := ("recipe.toml", "stages.json", ".line.json")):
        owned.write(folder / name, "x")

    def twice(path: Path, missing_ok: bool = False) -> None:
        if len(list(folder.iterdir())) == 2:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", twice)
        owned.withdraw(folder, names)
    owned.claim(folder, "run")
    assert owned.is_claimed(folder)


@pytest.mark.parametrize("where", ["srl_edge.cli._command", "srl_edge.processes.listen"])
def test_threads_that_cannot_be_started_are_one_sentence(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(where, refused)
    with pytest.raises(SystemExit) as ended:
        cli.main(["chat", "x"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("srl-edge: no thread can be started here; end other")
