"""Models that bring code along, or pickled weights, or templates that never end."""

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from srl_edge.errors import InputError
from srl_edge.exporters.merging.merge import SIDE_FILES, copy_side_files, merge
from srl_edge.models import limits, loading
from srl_edge.models.chat_template import ChatTemplate
from tests.helpers.sources import modules

CODE = "open('was run', 'w')\n"


def with_code(model: Path, folder: Path, model_type: str) -> Path:
    """A model folder whose settings ask for code of its own."""
    shutil.copytree(model, folder)
    for name in ("config.json", "tokenizer_config.json"):
        found = json.loads((folder / name).read_text())
        if name == "config.json":
            found["model_type"] = model_type
            own = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
        else:
            found["tokenizer_class"] = "Mine"
            own = {"AutoTokenizer": ["mine.Mine", None]}  # type: ignore[dict-item]
        (folder / name).write_text(json.dumps(found | {"auto_map": own}))
    (folder / "mine.py").write_text(CODE)
    return folder


@pytest.mark.parametrize("what", ["network", "settings", "tokenizer"])
def test_code_of_a_model_is_neither_run_nor_offered(
    what: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = with_code(tiny_model, tmp_path / "model", "unheard_of")
    if what == "tokenizer":
        (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"cannot be loaded: .*code"):
        getattr(loading, what)(folder)
    assert not (tmp_path / "was run").exists()


def test_the_command_line_asks_nothing(tiny_model: Path, tmp_path: Path) -> None:
    folder = with_code(tiny_model, tmp_path / "model", "unheard_of")
    load = f"loading.network(Path({str(folder)!r}))"
    code = f"from pathlib import Path; from srl_edge.models import loading; {load}"
    done = subprocess.run(
        [sys.executable, "-c", code], input="y\n", capture_output=True, text=True, cwd=tmp_path
    )
    assert "[y/N]" not in done.stdout + done.stderr and "srl-edge never runs" in done.stderr
    assert not (tmp_path / "was run").exists()


def test_a_known_family_needs_no_code_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    folder = with_code(tiny_model, tmp_path / "model", "llama")
    assert loading.network(folder).config.model_type == "llama"


@pytest.mark.parametrize("named", ["mine.Model", "someone/repository--mine.Model", ""])
def test_a_merged_model_asks_for_no_code(named: str, tiny_model: Path, tmp_path: Path) -> None:
    """What loads it elsewhere may be less careful."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "config.json").read_text())
    own = {"auto_map": {"AutoModelForCausalLM": named}} if named else {}
    (folder / "config.json").write_text(json.dumps(settings | own))
    merged = merge(folder, None, tmp_path / "merged")
    assert "auto_map" not in json.loads((merged / "config.json").read_text())


def test_pickled_weights_beside_a_decoy_are_not_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")
    with pytest.raises(InputError, match=r"cannot be loaded: .*safetensors"):
        loading.network(folder)


@pytest.mark.parametrize("name", ["../../elsewhere.safetensors", "/etc/elsewhere.safetensors"])
def test_weights_lie_in_the_folder(name: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    index = {"metadata": {}, "weight_map": {"model.norm.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="names a file outside of the model's folder"):
        loading.network(folder)


def test_tokenizer_files_lie_in_the_folder(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["fast_tokenizer_files"] = ["../tokenizer.4.0.0.json"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="names a file outside of the model's folder"):
        loading.tokenizer(folder)


def test_nothing_else_loads_a_model() -> None:
    """What transformers loads goes through `loading`; adapters go through PEFT."""
    for name, file in modules().items():
        text = file.read_text(encoding="utf-8").replace("PeftModel.from_pretrained(", "")
        text = text.replace("torch.nn.Embedding.from_pretrained(", "")
        assert name == "srl_edge.models.loading" or ".from_pretrained(" not in text, name


BOMBS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "doubled": "{% set n = namespace(x='a' * 1000) %}{% for i in range(60) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "times": "{{ 'a' * 99999999999 }}",
    "wide": "{{ '%99999999999d' % 1 }}",
    "replaced": "{% set a = 'a' * 9999 %}{% set b = a.replace('a', a) %}{{ b.replace('a', a) }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "rounded": "{{ 1 | round(1000000000, 'floor') }}",
    "squared": "{% set n = namespace(x=3) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}"
    "{% endfor %}",
    "precise": "{{ '%.999999999f' % 0.1 }}",
    "recursive": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "no such": "{{ nothing.of.the.kind }}",
    "divided": "{{ 1 / 0 }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_has_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 1.0)
    start = time.monotonic()
    with pytest.raises(InputError, match="the model's chat template"):
        ChatTemplate(BOMBS[name], {}).render([])
    assert time.monotonic() - start < 15
    assert ChatTemplate("fine", {}).render([]) == "fine"


def test_a_limit_that_is_not_reached_leaves_nothing_behind() -> None:
    for _ in range(200):
        with limits.limited():
            pass
    assert len(bytearray(limits.BYTES + (1 << 20))) > limits.BYTES


def test_limits_of_several_threads_leave_nothing_behind() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with limits.limited():
            inside.set()
            over.wait(4)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait()
    entered = limits.limited()
    entered.__enter__()
    over.set()
    other.join()
    entered.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize("name", [name for name in SIDE_FILES if name != "LICENSE"])
@pytest.mark.parametrize("way", ["absolute", "relative", "by another link"])
def test_a_file_that_is_a_link_elsewhere_is_not_copied(name: str, way: str, tmp_path: Path) -> None:
    secret, model, out = tmp_path / "secret", tmp_path / "model", tmp_path / "out"
    secret.write_text("a key")
    for folder in (model, out):
        folder.mkdir()
    if way == "by another link":
        (model / "between").symlink_to(secret)
    to = {"absolute": str(secret), "relative": "../secret", "by another link": "between"}[way]
    (model / name).symlink_to(to)
    (model / "real").write_text("MIT")
    (model / "LICENSE").symlink_to(model / "real")
    copy_side_files(model, out)
    assert [file.name for file in out.iterdir()] == ["LICENSE"]
