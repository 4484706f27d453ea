"""Models that bring code along, or pickled weights, or templates that never end."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

from srl_edge import cli
from srl_edge.errors import InputError
from srl_edge.exporters.merging.merge import SIDE_FILES, copy_side_files, merge
from srl_edge.models import limits, loading
from srl_edge.models.chat_template import ChatTemplate
from tests.helpers.foreign import gguf_file
from tests.helpers.models import make_model
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


Weights = dict[str, torch.Tensor]


def changed(
    model: Path, folder: Path, weights: Callable[[Weights], Weights], **settings: object
) -> Path:
    """A copy of a model folder with other weights in its file and other settings."""
    shutil.copytree(model, folder)
    file = folder / "model.safetensors"
    save_file(weights(load_file(file)), file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: w for name, w in weights.items() if part not in name}


def wrapped(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: w for name, w in weights.items()}


def plus(**more: tuple[int, ...]) -> Callable[[Weights], Weights]:
    named = {name.replace("__", "."): torch.ones(shape) for name, shape in more.items()}
    return lambda weights: weights | named


MISFITS: dict[str, tuple[Callable[[Weights], Weights], dict[str, object], str]] = {
    "compiled": (wrapped("_orig_mod."), {}, r"lacks 30 weights.* names _orig_mod\.…"),
    "parallel": (wrapped("module."), {}, r"lacks 30 weights.* names module\.…"),
    "unmerged": (wrapped("base_model.model."), {}, r"names base_model\.model\.…"),
    "a matrix": (
        without("layers.1.mlp.up"),
        {},
        r"lacks the weight model\.layers\.1\.mlp\.up_proj",
    ),
    "a norm": (without("model.norm"), {}, r"lacks the weight model\.norm\.weight"),
    "embedding": (without("embed_tokens"), {}, r"lacks .*embed_tokens|lm_head"),
    "no head": (
        dict,
        {"tie_word_embeddings": False},
        r"lm_head\.weight; .*tie_word_embeddings = true",
    ),
    "classifier": (
        plus(score__weight=(1, 64)),
        {"tie_word_embeddings": False, "architectures": ["LlamaForSequenceClassification"]},
        r"lm_head\.weight; .*a classifier has none",
    ),
    "more layers": (dict, {"num_hidden_layers": 5}, r"lacks 18 weights, as model\.layers\.3"),
    "fewer layers": (
        dict,
        {"num_hidden_layers": 2},
        r"has 9 weights, as model\.layers\.2.* leaves out",
    ),
    "bias": (
        plus(model__layers__0__self_attn__q_proj__bias=(128,)),
        {},
        r"has the weight .*q_proj\.bias, which the model .* leaves out",
    ),
    "narrower": (
        dict,
        {"intermediate_size": 96},
        r"has .*down_proj\.weight as 64 x 128, .* 64 x 96",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_no_weight_is_random_or_left_out(case: str, tiny_model: Path, tmp_path: Path) -> None:
    weights, settings, said = MISFITS[case]
    folder = changed(tiny_model, tmp_path / "model", weights, **settings)
    with pytest.raises(InputError, match=said):
        loading.network(folder)


def test_the_command_refuses_a_compiled_models_file(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(tiny_model, tmp_path / "model", wrapped("_orig_mod."))
    out = tmp_path / "out"
    given = ["export", "--model", str(folder), "--artifacts", "onnx-fp32", "--out", str(out)]
    with pytest.raises(SystemExit, match="2"):
        cli.main(given)
    assert "_orig_mod." in capsys.readouterr().err and not (out / "onnx-fp32").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"model__layers__0__self_attn__rotary_emb__inv_freq": (16,)},
        {"score__weight": (1, 64)},
        {"v_head__summary__weight": (1, 64)},
    ],
)
def test_what_changes_nothing_may_be_left_over(
    more: dict[str, tuple[int, ...]], tiny_model: Path, tmp_path: Path
) -> None:
    """Old buffers, and heads of other tasks."""
    loading.network(changed(tiny_model, tmp_path / "model", plus(**more)))


@pytest.mark.parametrize(
    "lacks", ["", "layers.1.mlp.up_proj.weight", "layers.0.self_attn.k_proj.bias"]
)
def test_a_gguf_that_lacks_a_tensor_is_refused(lacks: str, tmp_path: Path) -> None:
    model = make_model("qwen2", tmp_path / "model")
    if lacks:
        model = changed(model, tmp_path / "less", without(lacks))
    file = gguf_file(model, tmp_path / "gguf" / "model.gguf")
    if not lacks:
        loading.of_gguf(file)
        return
    with pytest.raises(InputError, match=rf"lacks the weight model\.{re.escape(lacks)}"):
        loading.of_gguf(file)


@pytest.mark.parametrize("weights", [True, False])
def test_an_adapter_beside_a_models_weights_is_not_loaded_twice(
    weights: bool, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    said = {"peft_type": "LORA", "base_model_name_or_path": "someone/elsewhere"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    if weights:
        save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"has adapter_config\.json .*remove it"):
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
    "longer than any context": "{{ 'a' * 9999999 }}",
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


def test_a_template_that_does_not_end_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for each of the chats of a few words that tell what it takes."""
    monkeypatch.setattr(limits, "SECONDS", 1.0)
    template = ChatTemplate(BOMBS["loops"], {})
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(InputError, match=r"takes more than"):
            template.render([{"role": "system", "content": "A"}, {"role": "user", "content": "B"}])
    assert template.after_reply() == ""
    assert time.monotonic() - start < 3


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


CHAT = "<|user|>\nTom has 12 pens, and 345 cats.</s>\n<|assistant|>\nHe says: don't!\n\n  x² = 5"


def sentencepiece(folder: Path) -> Path:
    """A tokenizer.json as Llama 2's is: pieces with a sign for a space, made by a normalizer."""
    made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    signs = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    made.normalizer = normalizers.Sequence(signs)
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(
        [CHAT] * 4, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    told = json.loads(made.to_str())
    told["added_tokens"] = told["added_tokens"][:3]  # the bytes are pieces as others are
    told["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(told))
    return folder


DIGITS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}


@pytest.mark.parametrize("legacy", [{"legacy": False}, {"legacy": True}, {}], ids=str)
@pytest.mark.parametrize("name", ["LlamaTokenizer", "LlamaTokenizerFast"])
def test_a_sentencepiece_tokenizer_is_that_of_its_file(
    legacy: dict[str, bool], name: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = ends | legacy | {"tokenizer_class": name}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    is_the_files(sentencepiece(folder), tmp_path / "saved", "</s>")


@pytest.mark.parametrize("name", ["Qwen2Tokenizer", "GPT2Tokenizer", "LlamaTokenizerFast", None])
def test_another_cut_than_a_familys_is_that_of_the_file(name: str | None, tmp_path: Path) -> None:
    folder = make_model("qwen2", tmp_path / "model")
    cut = {"pre_tokenizer": DIGITS, "normalizer": {"type": "NFKC"}}
    for file, change in (("tokenizer.json", cut), ("tokenizer_config.json", {})):
        told = json.loads((folder / file).read_text()) | change
        told.pop("backend", None)
        if file == "tokenizer_config.json":
            told.pop("tokenizer_class")
            told |= {"tokenizer_class": name} if name else {}
        (folder / file).write_text(json.dumps(told))
    is_the_files(folder, tmp_path / "saved", "<|im_end|>")


def is_the_files(folder: Path, saved: Path, end: str) -> None:
    """Whether a folder's tokenizer, and what others load of it where it is saved, cut as told."""
    want = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = loading.tokenizer(folder)
    found.save_pretrained(saved)
    for each in (found, AutoTokenizer.from_pretrained(saved)):
        ids = each.encode(CHAT, add_special_tokens=False)
        assert ids == want.encode(CHAT, add_special_tokens=False).ids
        assert each.decode(ids) == want.decode(ids, skip_special_tokens=False)
        assert each.eos_token == end and "token_type_ids" not in each(CHAT)


def test_a_damaged_tokenizer_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    settings = {"tokenizer_class": "LlamaTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    for text in ('{"model": 5}', "{", ""):
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(InputError, match="cannot be loaded"):
            loading.tokenizer(folder)


@pytest.mark.parametrize("change", [{"intermediate_size": 1 << 19}, {"vocab_size": 1 << 22}])
def test_weights_that_no_file_can_hold_are_not_made(
    change: dict[str, int], tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="and its files have"):
        loading.network(with_settings(tiny_model, tmp_path / "model", change))


@pytest.mark.parametrize(
    "change",
    [
        {"head_dim": float("nan")},
        {"head_dim": float("inf")},
        {"head_dim": 1e308},
        {"max_position_embeddings": 10**9},
        {"num_labels": 10**9},
        {"num_local_experts": 10**9},
        {"text_config": {"num_labels": 10**9}},
    ],
)
def test_sizes_that_no_model_has_are_one_sentence(
    change: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    folder = with_settings(tiny_model, tmp_path / "model", change)
    for load in (loading.network, loading.settings):
        with pytest.raises(InputError, match="and no model has that"):
            load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"attn_implementation": "somebody/kernel"},
        {"_attn_implementation": "flash_attention_2"},
        {"attn_implementation": "eager"},
    ],
)
def test_attention_is_no_code_of_the_hub(
    change: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    model = loading.network(with_settings(tiny_model, tmp_path / "model", change))
    assert model.config._attn_implementation in ("sdpa", "eager")


def with_settings(model: Path, folder: Path, change: dict[str, Any]) -> Path:
    """A copy of a model whose config.json says something else."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    return folder
