"""What goes to a hub, when, and what never does: against a stand-in on loopback."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from srl_edge import artifact, owned
from srl_edge.artifact import ADAPTER
from srl_edge.commands.outcome import Outcome
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, scratch_folder
from srl_edge.models import adapter_folder
from srl_edge.models.wheels import KNOWN
from srl_edge.recipe import dumps, load
from srl_edge.report.hub import plan
from srl_edge.report.parity_rows import as_json
from srl_edge.run_folder import FAILED, begin, finish, inputs_of
from tests.helpers.command_line import called
from tests.helpers.hub import TOKEN, Hub, hub
from tests.helpers.reports import note_found, parity_row, write, write_data, write_training

BASE = "smollm2-135m-instruct"
RECIPE = """
output = "run"
[model]
name = "{model}"
[[stages]]
kind = "srl"
steps = 1
"""


def make_artifact(run: Path, name: str, made_of: str) -> None:
    """A folder as `export` leaves it, of a few bytes."""
    format_, _, quantization = name.partition("-")
    with scratch_folder(run / "artifacts", name) as scratch:
        (scratch / "model.bits").write_bytes(bytes(range(256)) * 8)
        (scratch / "tokenizer.json").write_text("{}")
        artifact.write_manifest(
            scratch,
            {
                "format": format_,
                "quantization": quantization,
                "context_length": 512,
                "base": {"name": made_of, "weights_sha256": "0" * 64},
                "adapter": "merged",
                "adapter_sha256": artifact.adapter_sha256(run / "adapter"),
                "stop_token_ids": [2],
            },
        )
        owned.publish(scratch, run / "artifacts" / name)


def make_run(run: Path, model: str = BASE, base: str | None = None) -> Path:
    run.mkdir()
    write_data(run)
    write_training(run)
    (run / "recipe.toml").write_text(RECIPE.format(model=model))
    matrices = {
        f"layers.0.self_attn.q_proj.lora_{side}.weight": np.ones((2, 2), "<f4") for side in "AB"
    }
    with scratch_folder(run, "adapter") as scratch:
        here = base or str(Path.home() / ".cache" / "models" / "x")
        adapter_folder.write(scratch, matrices, 2, 4.0, here, {"backend": "torch"})
        owned.publish(scratch, run / "adapter")
    for name in ("onnx-int4", "mlx-fp16"):
        make_artifact(run, name, model)
    finish(load(run), "train", inputs_of(load(run), "train"))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    called("card", folder)
    return folder


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub in place of the real one, and a token for it."""
    from huggingface_hub import constants

    with hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


class Terminal(io.StringIO):
    """A person who types."""

    def isatty(self) -> bool:
        return True


def push(run: Path, *more: str) -> Outcome:
    return called("push", run, "--repo", "me/it", *more)


def test_the_adapter_goes_with_its_card_and_nothing_else(run: Path, there: Hub) -> None:
    (run / "adapter" / "notes.txt").write_text("of mine")
    (run / "adapter" / "optimizer.pt").write_bytes(b"of mine")
    done = push(run, "--yes", "--private")
    assert done.facts["uploaded"] and done.text == f"{there.url}/me/it"
    files = there.files["me/it"]
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "training.svg",
        "adapter_model.safetensors",
        "adapter_config.json",
        "frozen_weights.json",
    }
    assert there.private == {"me/it": True}
    assert files["adapter_model.safetensors"] == (run / "adapter" / ADAPTER).read_bytes()
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == KNOWN[BASE].hub
    assert str(Path.home()) in (run / "adapter" / "adapter_config.json").read_text()
    assert not any(str(Path.home()).encode() in content for content in files.values())
    assert there.cards and f"base_model: {KNOWN[BASE].hub}" in there.cards[0]


def test_a_dry_run_lists_all_of_it_and_asks_nobody(
    run: Path, there: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    done = push(run, "--artifact", "onnx-int4", "--dry-run")
    folder = run / "artifacts" / "onnx-int4"
    listed = {row["path"]: row for row in done.facts["files"]}
    assert set(listed) == {
        "README.md",
        "training.svg",
        "manifest.json",
        "model.bits",
        "tokenizer.json",
    }
    for name, row in listed.items():
        assert row["sha256"] == file_sha256(folder / name) and row["sha256"] in done.text
    assert done.facts["bytes"] == sum((folder / name).stat().st_size for name in listed)
    assert not done.facts["uploaded"] and there.asked == []


@pytest.mark.parametrize(("typed", "goes"), [("yes\n", True), ("y\n", False), ("", False)])
def test_it_asks_and_takes_only_a_yes(
    typed: str,
    goes: bool,
    run: Path,
    there: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    done = push(run, "--artifact", "onnx-int4")
    said = capsys.readouterr().err
    assert "model.bits" in said and "me/it: it will be made." in said
    assert ("me/it" in there.files) == goes == done.facts["uploaded"]
    assert (done.text == "Nothing was uploaded.") != goes
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))  # a pipe is nobody
    with pytest.raises(InputError, match="nobody is here to say yes; give --yes"):
        push(run)


def test_several_artifacts_get_a_folder_each(run: Path, there: Hub, tmp_path: Path) -> None:
    push(run, "--artifact", "onnx-int4", "mlx-fp16", "--yes")
    files = there.files["me/it"]
    for name in ("onnx-int4", "mlx-fp16"):
        (tmp_path / name).mkdir(parents=True)
        for path, content in files.items():
            if path.startswith(f"{name}/"):
                (tmp_path / path).write_bytes(content)
        assert artifact.load(tmp_path / name).name == name  # as whoever downloads it does
    card: Any = ModelCard(files["README.md"].decode())
    assert card.data.base_model_relation == "quantized" and {"onnx", "mlx"} < set(card.data.tags)
    assert "[onnx-int4](onnx-int4/README.md)" in card.text


def test_what_is_replaced_and_what_is_public_is_said(
    run: Path, there: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    push(run, "--yes")
    with pytest.raises(InputError, match="me/it is there already, and public"):
        push(run, "--yes", "--private")
    push(run, "--yes")
    said = capsys.readouterr().err
    assert "it is there already, and README.md, adapter_config.json, " in said


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("stale", "onnx-int4 was made of an earlier adapter than the run has now."),
        ("failed", "onnx-int4 did not pass the gate."),
        ("unchecked", "onnx-int4 has not been through the gate"),
        (
            "exported again",
            "the gate as it is now, but in an earlier state of the run (it has not ",
        ),
        ("named no more", "the gate as it is now, but in an earlier state of the run (the recipe"),
        ("no card", "onnx-int4 has no card; `srl-edge card"),
    ],
)
def test_what_makes_one_think_again_is_said_before(deed: str, said: str, run: Path) -> None:
    folder = run / "artifacts" / "onnx-int4"
    if deed == "stale":
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"adapter_sha256": "1" * 64}))
    if deed == "failed":
        write(run / "parity" / "onnx-int4.json", as_json(parity_row("onnx-int4", 0.5, 0.85)))
        note_found(load(run), "check", **{FAILED: True})
    if deed in ("exported again", "named no more"):
        write(run / "parity" / "onnx-int4.json", as_json(parity_row("onnx-int4", 0.9, 0.85)))
        note_found(load(run), "check")
        assert "through the gate" not in push(run, "--artifact", "onnx-int4", "--dry-run").text
    if deed == "exported again":
        begin(load(run), "export")
    if deed == "named no more":
        recipe = load(run, ["--export.artifacts", "onnx-int8"])
        (run / "recipe.toml").write_text(dumps(recipe))
        note_found(recipe, "check")
    if deed == "no card":
        (folder / "README.md").unlink()
    assert said in push(run, "--artifact", "onnx-int4", "--dry-run").text


def test_a_base_model_in_a_folder_is_never_named_by_it(tmp_path: Path) -> None:
    base = tmp_path / "their-model"
    base.mkdir()
    run = make_run(tmp_path / "run", str(base), str(base))
    called("card", run)
    with pytest.raises(InputError, match=r"say which one it is on the hub: `srl-edge card RUN"):
        push(run, "--dry-run")
    what = {u.path: u.content for u in plan(load(run), run, ["onnx-int4"]).uploads}
    assert json.loads(bytes(what["manifest.json"]))["base"]["name"] == "their-model"  # type: ignore[arg-type]
    called("card", run, "--base-model", "them/their-model")
    what = {u.path: u.content for u in plan(load(run), run).uploads}
    said = json.loads(bytes(what["adapter_config.json"]))  # type: ignore[arg-type]
    assert said["base_model_name_or_path"] == "them/their-model"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "It lies in /home/ann/models."),
        ("README.md", r"It lies in C:\\Users\\ann\\models."),
        ("README.md", "{run}/data/train.jsonl"),
        ("model.bits", "{home}/models/x"),
    ],
)
def test_a_file_that_names_a_folder_of_somebody_stays_here(name: str, text: str, run: Path) -> None:
    folder = run / "artifacts" / "onnx-int4"
    said = text.format(run=run.absolute(), home=Path.home())
    (folder / name).write_bytes(b"before " + said.encode() + b" after")
    manifest = json.loads((folder / "manifest.json").read_text())
    if name in manifest["files"]:
        artifact.write_manifest(folder, {k: v for k, v in manifest.items() if k != "files"})
        for beside in owned.CARD:
            (folder / beside).unlink()
        artifact.write_manifest(folder, {k: v for k, v in manifest.items() if k != "files"})
    with pytest.raises(InputError, match=rf"{name}: tells of a folder of this computer"):
        push(run, "--artifact", "onnx-int4", "--dry-run")


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("adapter/README.md", ()),
        ("adapter/adapter_model.safetensors", ()),
        ("artifacts/onnx-int4/README.md", ("--artifact", "onnx-int4")),
    ],
)
def test_a_link_out_of_the_run_stays_here(
    name: str, flags: tuple[str, ...], run: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a key")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    with pytest.raises(InputError, match="a link to a file outside"):
        push(run, *flags, "--dry-run")


def test_what_cannot_go_is_one_sentence(
    run: Path, there: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for repo in ("it", "a/b/c", "../x", "a/../b"):
        with pytest.raises(InputError, match="is no name like your-name/your-model"):
            called("push", run, "--repo", repo)
    with pytest.raises(InputError, match="its artifacts are mlx-fp16, onnx-int4"):
        push(run, "--artifact", "onnx-int8")
    there.refuse = 403
    with pytest.raises(InputError, match=r"did not take it \(the token may not write"):
        push(run, "--yes")
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    with pytest.raises(InputError, match="the token is not valid; run `hf auth login` again"):
        push(run, "--yes")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no token for the hub: run `hf auth login`"):
        push(run, "--yes")
    (run / "artifacts" / "onnx-int4" / "model.bits").write_bytes(b"other")
    with pytest.raises(InputError, match=r"model\.bits: changed since the export"):
        push(run, "--artifact", "onnx-int4", "--dry-run")


def test_an_adapter_that_was_trained_otherwise_than_the_run_says_is_noted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    called("card", folder)
    for names in ((), ("onnx-int4", "mlx-fp16")):
        assert not [said for said in plan(load(folder), folder, names).notes if "(train: " in said]
    (folder / "data" / "train.jsonl").write_text("{}")
    finish(load(folder), "train", inputs_of(load(folder), "train"))
    (folder / "data" / "train.jsonl").write_text("{1}")
    for names in ((), ("onnx-int4", "mlx-fp16")):
        (said,) = (said for said in plan(load(folder), folder, names).notes if "(train: " in said)
        assert "(train: data.train has other contents" in said and "srl-edge run" in said
