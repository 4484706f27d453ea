"""Folders of models, adapters and rows whose files are links that lead out of them, or pipes."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from srl_edge.data.sources import open_source
from srl_edge.errors import InputError
from srl_edge.exporters.merging.merge import merge
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import tokenizer_beside
from tests.helpers.artifacts import make_adapter
from tests.helpers.command_line import called, write_recipe

LINKS = (
    "chat_template.jinja",
    "additional_chat_templates/mine.jinja",
    "additional_chat_templates",
    "tokenizer_config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
)


def linked(folder: Path, name: str, outside: Path) -> Path:
    """The folder with a file of it, or a folder, moved elsewhere and linked."""
    outside.mkdir()
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    if file.is_file():
        shutil.copy(file, outside / "secret")
    else:
        (outside / "secret").write_text("a key")
    file.unlink(missing_ok=True)
    file.symlink_to(outside if name == "additional_chat_templates" else outside / "secret")
    return folder


@pytest.mark.parametrize("name", LINKS)
def test_a_model_whose_files_lie_elsewhere_is_refused(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = linked(shutil.copytree(tiny_model, tmp_path / "evil"), name, tmp_path / "outside")
    with pytest.raises(InputError, match="a link to a file outside of"):
        resolve(str(folder))
    with pytest.raises(InputError, match="a link to a file outside of"):
        merge(folder, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["chat_template.jinja", "adapter_model.safetensors"])
def test_so_is_an_adapter(name: str, tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "adapter", 2)
    for file in tiny_model.glob("tokenizer*"):
        shutil.copy(file, adapter)
    merge(tiny_model, adapter, tmp_path / "whole")
    linked(adapter, name, tmp_path / "outside")
    with pytest.raises(InputError, match="a link to a file outside of"):
        merge(tiny_model, adapter, tmp_path / "out")
    if name == "chat_template.jinja":
        with pytest.raises(InputError, match="a link to a file outside of"):
            tokenizer_beside(tiny_model, adapter)
    assert not (tmp_path / "out").exists()


def test_a_hubs_cache_goes_on_to_be_read(tiny_model: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a" / "blobs", tmp_path / "models--a" / "snapshots" / "1"
    blobs.mkdir(parents=True)
    (snapshot / "additional_chat_templates").mkdir(parents=True)
    for file in tiny_model.iterdir():
        shutil.copy(file, blobs / f"of {file.name}")
        (snapshot / file.name).symlink_to(f"../../blobs/of {file.name}")
    extra = snapshot / "additional_chat_templates" / "x.jinja"
    (blobs / "x").write_text("{{ messages[0].content }}")
    extra.symlink_to("../../../blobs/x")
    assert resolve(str(snapshot)) == snapshot
    assert (merge(snapshot, None, tmp_path / "out") / "model.safetensors").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
@pytest.mark.parametrize("name", ["z.safetensors", "chat_template.jinja"])
def test_a_pipe_is_not_waited_for(name: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "evil")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match="a pipe or a device, and no file"):
        resolve(str(folder))


def test_rows_of_a_folder_lie_in_it(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name in ("a", "../secret"):
        (tmp_path / "rows" / f"{name}.jsonl").write_text('{"problem": "p"}\n')
    (tmp_path / "rows" / "c.jsonl").symlink_to("a.jsonl")
    assert len(open_source(str(tmp_path / "rows")).tables) == 2
    (tmp_path / "rows" / "b.jsonl").symlink_to("../secret.jsonl")
    with pytest.raises(InputError, match=r"b\.jsonl: a link to a file outside of"):
        open_source(str(tmp_path / "rows"))


@pytest.mark.parametrize("name", ["notes.txt", "inner/deeper/notes.txt"])
def test_a_job_takes_along_no_files_of_elsewhere(
    name: str, tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "adapter", 2)
    (tmp_path / "secret").write_text("a key")
    (adapter / name).parent.mkdir(parents=True, exist_ok=True)
    (adapter / name).symlink_to(tmp_path / "secret")
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    job = ("--engine", "trl", "--out", tmp_path / "job", "--adapter", adapter)
    with pytest.raises(InputError, match=r"notes\.txt: a link to a file outside of"):
        called("scale", recipe, *job)
    assert not (tmp_path / "job").exists()
