"""What is the user's is neither removed nor overwritten, wherever it lies."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from srl_edge import owned, recipe
from srl_edge.errors import InputError
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.export import export
from srl_edge.files import REMOVED, file_sha256, place, replace, scratch_folder
from srl_edge.line import claim_run
from srl_edge.trainers.loop.train import train
from tests.helpers.artifacts import make_adapter
from tests.helpers.command_line import called, srl_edge, write_recipe
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD, make_run
from tests.helpers.sources import modules

Rows = list[dict[str, str]]


def published(tmp_path: Path) -> Path:
    with scratch_folder(tmp_path, "results") as scratch:
        (scratch / "inner").mkdir()
        (scratch / "inner" / "a.txt").write_text("ours")
        return owned.publish(scratch, tmp_path / "results")


def test_its_own_folder_is_replaced_and_removed(tmp_path: Path) -> None:
    for _ in range(2):
        assert (published(tmp_path) / "inner" / "a.txt").read_text() == "ours"
    copied = shutil.copytree(tmp_path / "results", tmp_path / "copied")
    (copied / "inner" / "a.txt").unlink()  # what a user deleted is not missed
    for folder in (tmp_path / "results", copied):
        owned.remove(folder)
        assert not folder.exists()


@pytest.mark.parametrize("deed", ["added", "changed", "linked", "unmarked", "file", "link"])
def test_what_is_not_all_its_own_stays(deed: str, tmp_path: Path) -> None:
    folder, theirs = published(tmp_path), tmp_path / "theirs.txt"
    theirs.write_text("theirs")
    match deed:
        case "added":
            (folder / "notes.txt").write_text("theirs")
        case "changed":
            (folder / "inner" / "a.txt").write_text("theirs")
        case "linked":
            (folder / "inner" / "b.txt").symlink_to(theirs)
        case "unmarked":
            (folder / owned.MARKER).unlink()
        case "file":
            shutil.rmtree(folder)
            shutil.copy(theirs, folder)
        case "link":
            folder.rename(tmp_path / "elsewhere")
            folder.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"move (it|this) elsewhere"):
        published(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def removed(tmp_path: Path) -> None:
    owned.remove(tmp_path / "results")


@pytest.mark.parametrize("deed", [published, removed])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_an_interrupt_while_a_result_is_replaced_leaves_one(
    number: int,
    before: bool,
    deed: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published(tmp_path)
    rename, count = Path.rename, []

    def interrupted(self: Path, to: Path) -> Path:
        if "results" not in (self.name, Path(to).name):  # of the marker, and of scratch
            return rename(self, to)
        count.append(to)
        if len(count) != number:
            return rename(self, to)
        if not before:
            rename(self, to)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        deed(tmp_path)
    monkeypatch.undo()
    if len(count) >= number:
        assert [path.name for path in tmp_path.iterdir()] == ["results"]
        assert owned.changed(tmp_path / "results") is None
        owned.require_own(tmp_path / "results")


KILLED = """
import os, sys
from pathlib import Path
from srl_edge import owned
from srl_edge.files import scratch_folder
rename = Path.rename
def killed(self, to):
    rename(self, to)
    if Path(to).name == sys.argv[2]:
        os._exit(9)
Path.rename = killed
with scratch_folder(Path(sys.argv[1]), "results") as scratch:
    (scratch / "new.txt").write_text("new")
    owned.publish(scratch, Path(sys.argv[1]) / "results")
"""


@pytest.mark.parametrize("at", ["away", "deleted"])
def test_what_lay_elsewhere_when_its_process_was_killed_is_put_back(
    at: str, tmp_path: Path
) -> None:
    published(tmp_path)
    program = [sys.executable, "-c", KILLED, str(tmp_path), "results" if at == "away" else at]
    assert subprocess.run(program, check=False).returncode == 9
    assert (tmp_path / "results").exists() == (at == "deleted")
    with scratch_folder(tmp_path, "more"):  # as whoever builds there next
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]
    kept = "inner/a.txt" if at == "away" else "new.txt"
    assert (tmp_path / "results" / kept).is_file() and owned.changed(tmp_path / "results") is None


@pytest.mark.parametrize("linked", ["the scratch", "removed", "a file", "nothing, of another user"])
def test_nothing_is_put_back_through_a_link_or_for_another_user(
    linked: str, tmp_path: Path
) -> None:
    home, received = tmp_path / "home", tmp_path / "home" / "received"
    scratch = received / ".srl-edge-scratch-1-deadbeef-x"
    (home / "held").mkdir(parents=True)
    (home / "thesis.txt").write_text("theirs")
    received.mkdir()
    real = tmp_path / "scratch" if linked == "the scratch" else scratch
    (real / REMOVED).mkdir(parents=True)
    match linked:
        case "the scratch":
            (real / REMOVED / "thesis.txt").write_text("theirs")
            scratch.symlink_to(real)
        case "removed":
            (scratch / REMOVED).rmdir()
            (scratch / REMOVED).symlink_to("../..")
        case "a file":
            (scratch / REMOVED / "thesis.txt").symlink_to("../../../thesis.txt")
        case _:
            if not hasattr(os, "geteuid") or os.geteuid():
                pytest.skip("only root gives a folder to somebody else")
            (scratch / REMOVED / "thesis.txt").write_text("another's")
            os.chown(scratch, 5001, 5001)
    for path in (*scratch.rglob("*"), scratch):
        os.utime(path, (0, 0), follow_symlinks=False)
    with scratch_folder(received, "more"):
        pass
    assert (home / "thesis.txt").read_text() == "theirs"
    assert not os.path.lexists(received / "thesis.txt")
    assert os.path.lexists(scratch) == (linked == "nothing, of another user")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_in_place_of_what_it_wrote_is_not_waited_for(tmp_path: Path) -> None:
    folder = published(tmp_path)
    (folder / "inner" / "a.txt").unlink()
    os.mkfifo(folder / "inner" / "a.txt")
    signal.alarm(20)  # which ends a test that waits
    try:
        with pytest.raises(InputError, match=r"a\.txt: a pipe or a device, and no file"):
            owned.require_own(folder)
    finally:
        signal.alarm(0)


def test_a_file_is_written_again_only_as_it_was_written(tmp_path: Path) -> None:
    file = owned.claim(tmp_path / "run", "run") / "report.md"
    for text in ("one", "two", "two"):
        owned.write(file, text)
        assert file.read_text() == text and owned.written(file)
    file.write_text("two, with notes of mine")
    with pytest.raises(InputError, match=r"report\.md: srl-edge did not write this file, or"):
        owned.write(file, "three")
    with pytest.raises(InputError, match="move it elsewhere"):
        owned.remove_file(file)
    assert file.read_text() == "two, with notes of mine"


def test_a_folder_of_others_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    owned.claim(tmp_path, "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex was not written by srl-edge"):
        owned.claim(other, "run")
    with pytest.raises(InputError, match="holds srl-edge's run, not its benchmark; name another"):
        owned.claim(tmp_path, "benchmark")
    (tmp_path / "train").symlink_to(other)
    with pytest.raises(InputError, match="train: is a link, and srl-edge writes through none"):
        owned.claim(tmp_path, "run")
    assert owned.set_aside(tmp_path / "other").name == "other-earlier"
    other.mkdir()
    assert owned.set_aside(other).name == "other-earlier-2"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("where", ["here", "their data", "source inside", "adapter of theirs"])
def test_the_data_stage_touches_nothing_of_theirs(
    where: str, tmp_path: Path, tiny_model: Path, word_problems: Rows
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    run, flags = tmp_path / "run", []
    match where:
        case "here":
            flags = ["--output", str(tmp_path)]
        case "their data":
            (run / "data").mkdir(parents=True)
            (run / "data" / "notes.txt").write_text("mine")
        case "source inside":
            assert srl_edge("data", recipe).returncode == 0
            (run / "rows").mkdir()
            shutil.copy(tmp_path / "data.jsonl", run / "rows")
            flags = ["--data.source", str(run / "rows" / "data.jsonl")]
        case "adapter of theirs":
            (run / "adapter").mkdir(parents=True)
            (run / "adapter" / "adapter_model.safetensors").write_text("mine")
    before = snapshot(tmp_path)
    failed = srl_edge("data", recipe, *flags)
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert "elsewhere" in failed.stderr.splitlines()[-1]
    assert snapshot(tmp_path) == before


def test_a_run_in_the_folder_of_its_own_recipe_leaves_that_as_it_is(
    tmp_path: Path, tiny_model: Path, word_problems: Rows
) -> None:
    written = write_recipe(tmp_path, tiny_model, word_problems)
    (tmp_path / "exp").mkdir()
    recipe = tmp_path / "exp" / "recipe.toml"
    recipe.write_text(f"# my notes\n{written.read_text()}")
    before = recipe.read_text()
    for _ in range(2):
        done = srl_edge("data", tmp_path / "exp")
        assert done.returncode == 0, done.stderr
    assert recipe.read_text() == before
    failed = srl_edge("data", tmp_path / "exp", "--seed", "5")
    assert failed.returncode == 2 and "says otherwise (seed was 0, and is 5)" in failed.stderr
    assert recipe.read_text() == before


@pytest.mark.parametrize(
    "flag",
    [
        "--data.source {}",
        "--data.test {}",
        "--model.name {}",
        "--stages.0.data {}",
        "--prompt.verifier {}:f",
        "--stages.0.reward {}:f 1",
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_what_a_run_reads_does_not_lie_where_it_writes(
    flag: str, linked: bool, tmp_path: Path
) -> None:
    theirs = tmp_path / "run" / "data" / "mine.py"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    named = theirs
    if linked:
        named = tmp_path / "mine.py"
        named.symlink_to(theirs)
    file = tmp_path / "recipe.toml"
    file.write_text(
        f"output = '{tmp_path / 'run'}'\nmodel.name = 'm'\ndata.source = '{tmp_path}/rows.csv'\n"
        "[[stages]]\nkind = 'srl'\nsteps = 1\n"
    )
    settings = recipe.load(file, flag.format(named).split())
    with pytest.raises(InputError, match=r"lies in the run folder .*; move it elsewhere, or give"):
        claim_run(settings)
    assert [p.name for p in (tmp_path / "run").rglob("*")] == ["data", "mine.py"]


@pytest.mark.parametrize("deed", ["put there", "put in place of its own", "card added"])
def test_a_run_does_not_train_over_an_adapter_of_others(deed: str, tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    name = "README.md" if deed == "card added" else "adapter_model.safetensors"
    theirs = tmp_path / "adapter" / name
    if deed == "put there":
        theirs.parent.mkdir()
    else:
        train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
        shutil.rmtree(tmp_path / "train")
    theirs.write_text("weeks of work")
    before = snapshot(tmp_path / "adapter")
    with pytest.raises(InputError, match=rf"adapter: {name} (was not|has changed since .*) wr"):
        train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    assert snapshot(tmp_path / "adapter") == before and not (tmp_path / "train").exists()


@pytest.mark.parametrize("name", ["merged", "artifacts", "artifacts/onnx-int8"])
def test_the_export_stage_touches_nothing_of_theirs(
    name: str, tmp_path: Path, tiny_model: Path
) -> None:
    recipe = make_run(tmp_path)
    recipe = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"name": str(tiny_model)})}
    )
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").touch()
    if "/" in name:
        owned.claim(tmp_path / "artifacts", "artifacts")
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "model.onnx").write_text("mine")
    with pytest.raises(InputError, match="was not written by srl-edge"):
        export(recipe, tmp_path)
    assert (tmp_path / name / "model.onnx").read_text() == "mine"


def test_an_out_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "mine.onnx_adapter"
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already, and stays as it is"):
        convert(tmp_path, out)
    assert out.read_text() == "mine"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "theirs"
    target.write_text("theirs")
    for name in (
        ".report.md",
        f".srl-edge-scratch-{os.getpid()}-{place()}-{threading.get_ident()}-report.md",
    ):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "report.md").symlink_to(target)
    replace(tmp_path / "report.md", "ours")
    assert target.read_text() == "theirs" and (tmp_path / "report.md").read_text() == "ours"


def test_what_changed_since_is_seen_without_reading_it(tmp_path: Path) -> None:
    folder = published(tmp_path)
    assert owned.changed(folder) is None
    (folder / "notes").touch()  # not ours to miss
    os.utime(folder / "inner" / "a.txt", (1, 1))
    assert owned.changed(folder) is None
    (folder / "inner" / "a.txt").write_text("else")
    assert owned.changed(folder) == "inner/a.txt"
    (folder / "inner" / "a.txt").unlink()
    assert owned.changed(folder) == "inner/a.txt"


@pytest.mark.parametrize("how", ["named", "absolute", "linked"])
def test_what_a_marker_names_elsewhere_is_not_read(how: str, tmp_path: Path) -> None:
    folder = published(tmp_path)
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("theirs")
    name = {"named": "../theirs.txt", "absolute": str(theirs), "linked": "inner/b.txt"}[how]
    (folder / "inner" / "b.txt").symlink_to(theirs)
    marker = json.loads((folder / owned.MARKER).read_text())
    marker["files"][name] = [file_sha256(theirs)]
    (folder / owned.MARKER).write_text(json.dumps(marker))
    assert owned.changed(folder) == name
    claimed = owned.claim(tmp_path / "claimed", "report")
    owned.write(claimed / "page", "theirs")
    assert owned.written(claimed / "page")
    (claimed / "page").unlink()
    (claimed / "page").symlink_to(theirs)
    assert not owned.written(claimed / "page")


def test_whatever_is_built_beside_what_stays_is_built_in_such_a_folder() -> None:
    for name, file in modules().items():
        text = file.read_text(encoding="utf-8")
        assert name == "srl_edge.files" or "TemporaryDirectory(dir=" not in text, name


def test_a_link_deep_in_a_folder_is_not_written_through(tmp_path: Path) -> None:
    folder = owned.claim(tmp_path / "run", "run")
    (folder / "train" / "best").mkdir(parents=True)
    precious = tmp_path / "precious.bin"
    precious.write_bytes(b"mine")
    (folder / "train" / "best" / "adapter_model.safetensors").symlink_to(precious)
    with pytest.raises(InputError, match=r"adapter_model.safetensors: is a link"):
        owned.claim(folder, "run")


def test_only_what_a_start_left_is_withdrawn(tmp_path: Path) -> None:
    folder = owned.claim(tmp_path / "run", "run")
    (folder / ".secret").write_text("mine")
    owned.withdraw(folder, ("recipe.toml",))
    assert (folder / ".secret").read_text() == "mine" and (folder / owned.MARKER).is_file()
    (folder / ".secret").unlink()
    owned.withdraw(folder, ("recipe.toml",))
    assert not folder.exists()


@pytest.mark.parametrize("what", ["adapter", "artifacts/onnx-int4", "train", "job"])
def test_a_job_replaces_nothing_but_a_job(
    what: str, tmp_path: Path, tiny_model: Path, word_problems: Rows
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    adapter = make_adapter(tiny_model, tmp_path / "adapter", 2)
    flags = ("scale", recipe, "--engine", "trl", "--adapter", adapter, "--out")
    folder = tmp_path / "run" / what
    folder.parent.mkdir(parents=True, exist_ok=True)
    if what == "job":
        called(*flags, folder)
        called(*flags, folder)  # its own is replaced
        with pytest.raises(
            InputError, match=r"holds srl-edge's job of .* for another engine, not its"
        ):
            owned.require_own(folder)
        return
    if what == "train":
        owned.write(owned.claim(folder, "training") / "metrics.jsonl", "ours")
    else:
        published(tmp_path).rename(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=r"holds srl-edge's (results|training), not its job"):
        called(*flags, folder)
    assert sorted(folder.rglob("*")) == before


def test_what_is_not_ours_is_refused_before_all_of_it_is_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").touch()
    monkeypatch.setattr(Path, "rglob", lambda *_: pytest.fail("it was gone through"))
    with pytest.raises(InputError, match=r"mine\.txt was not written by srl-edge"):
        owned.claim(tmp_path, "exports")
