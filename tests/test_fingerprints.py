"""A fingerprint tells every change of a file, and large ones are not read again for it."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from srl_edge import files, run_folder
from srl_edge.files import file_sha256, fingerprint, same_contents
from srl_edge.recipe import Model, Recipe
from srl_edge.run_folder import inputs_of
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.train import train
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD, make_run

LARGE = 65 << 20


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large file, and a cache that is empty."""
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights").touch()
    os.truncate(tmp_path / "weights", LARGE)
    return tmp_path / "weights"


def changed(file: Path, at: int) -> None:
    with file.open("r+b") as out:
        out.seek(at)
        out.write(b"new")


def test_a_fingerprint_sees_every_byte_of_new_weights(weights: Path) -> None:
    found = {fingerprint(weights)}
    for at in (0, 1 << 20, (2 << 20) + 7, 33 << 20, LARGE - 3):
        changed(weights, at)
        found.add(fingerprint(weights))
    assert len(found) == 6


def test_a_large_file_is_read_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(weights)
    assert fingerprint(weights) == first
    with monkeypatch.context() as patched:
        patched.setattr(files, "file_sha256", lambda path: pytest.fail(f"{path} was read"))
        assert fingerprint(weights) == first
        monkeypatch.chdir(weights.parent)
        assert fingerprint(Path("weights")) == first
    # One that was written in its place, as large and of the same time.
    then = weights.stat()
    changed(weights, 2 << 20)
    os.utime(weights, ns=(then.st_atime_ns, then.st_mtime_ns))
    if sys.platform != "win32":  # where the time of a change can be set
        assert fingerprint(weights) != first
    other = weights.with_name("other")
    other.touch()
    os.truncate(other, LARGE)
    os.utime(other, ns=(then.st_atime_ns, then.st_mtime_ns))
    changed(weights, 2 << 20)
    second = fingerprint(weights)
    other.replace(weights)
    assert fingerprint(weights) == first != second


@pytest.mark.parametrize("cache", ["damaged", "of another shape", "a file", "of nobody"])
def test_a_fingerprint_needs_no_cache(
    cache: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, folder = fingerprint(weights), tmp_path / "cache" / "hashes"
    (kept,) = folder.iterdir()
    match cache:
        case "damaged":
            kept.write_text("{")
        case "of another shape":
            kept.write_text("{}")
        case "a file":
            shutil.rmtree(folder)
            folder.touch()
        case _:
            monkeypatch.setenv("SRL_EDGE_CACHE", "~nobody-of-that-name/cache")
    assert fingerprint(weights) == first
    changed(weights, 2 << 20)
    assert fingerprint(weights) != first


def test_a_fingerprint_of_an_earlier_version_is_compared_as_far_as_it_goes(weights: Path) -> None:
    now = fingerprint(weights)
    sampled, whole = now.split("-")
    assert whole == file_sha256(weights)[:12]
    assert all(same_contents(then, now) for then in (now, sampled, whole))
    assert not any(same_contents(then, now) for then in (None, "", sampled[:6], "0" * 12))
    changed(weights, 0)
    assert not any(same_contents(then, fingerprint(weights)) for then in (now, sampled, whole))


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A run of a local model whose weights are large."""
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    os.truncate(tmp_path / "model" / "model.safetensors", LARGE)
    recipe = make_run(tmp_path / "run")
    return recipe.model_copy(update={"model": Model(name=str(tmp_path / "model"))})


def test_every_tensor_of_a_large_local_model_counts(large: Recipe) -> None:
    before = inputs_of(large, "train")
    with (Path(large.model.name) / "model.safetensors").open("r+b") as file:
        file.seek(2 << 20)
        file.write(b"one tensor")
    said = run_folder.difference(before, inputs_of(large, "train"))
    assert said == "the model's model.safetensors has other contents than then"


def test_training_before_every_tensor_counted_is_gone_on_with(large: Recipe) -> None:
    train(large, large.run, TablePolicy([BAD, GOOD]))
    key = f"the model's model.safetensors{run_folder.CONTENTS}"
    for file in (large.run / "train").glob("checkpoint-*/trainer_state.json"):
        state = json.loads(file.read_text())
        state["settings"][key] = state["settings"][key].partition("-")[0]
        file.write_text(json.dumps(state))
    assert checkpoints.set_aside_if_of_other_data(large.run / "train", large) is None
    then = inputs_of(large, "train")
    assert run_folder.difference(then | {key: then[key].partition("-")[0]}, then) is None
