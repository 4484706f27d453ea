"""Adapters in the shapes that tools write: A and B as PEFT has them, merged exactly, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from srl_edge.errors import InputError
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.merging.merge import merge
from srl_edge.models.adapted import adapted
from srl_edge.models.adapter_folder import of_one_rank, pairs
from srl_edge.terminal import progress
from tests.helpers.artifacts import make_adapter, token_ids

IDS = torch.tensor([token_ids(40)])
FILE = "adapter_model.safetensors"


def products_by_peft(model: Path, adapter: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter)
    return {
        name.removeprefix("base_model.model.model."): layer.get_delta_weight("default").numpy(
            force=True
        )
        for name, layer in tuned.named_modules()
        if isinstance(layer, LoraLayer)
    }


def renamed(adapter: Path, change: Any) -> None:
    save_file({change(k): v for k, v in load_file(adapter / FILE).items()}, adapter / FILE)


SHAPES: dict[str, dict[str, Any]] = {
    "bfloat16": {},
    "half": {},
    "rslora": {"use_rslora": True},
    "ranks by pattern": {
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 6},
        "alpha_pattern": {"v_proj": 32, r"layers\.0\.self_attn\.q_proj": 5},
    },
    "some layers": {"layers_to_transform": [1], "modules": ["q_proj", "down_proj"]},
    "begun by eva's rule": {"init_lora_weights": "gaussian"},
    "of a multimodal model": {},
    "named by its adapter": {},
    "without what PEFT has by default": {},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_pefts_and_no_layer_is_left_out(
    shape: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1, **SHAPES[shape])
    expected = products_by_peft(tiny_model, adapter)
    tolerance = 1e-6
    match shape:
        case "bfloat16" | "half":
            dtype = torch.bfloat16 if shape == "bfloat16" else torch.float16
            state = {k: v.to(dtype) for k, v in load_file(adapter / FILE).items()}
            save_file(state, adapter / FILE)
            expected = products_by_peft(tiny_model, adapter)
            tolerance = 1e-2
        case "of a multimodal model":
            renamed(
                adapter,
                lambda k: k.replace("model.model.layers", "model.model.language_model.layers"),
            )
        case "named by its adapter":
            renamed(adapter, lambda k: k.replace(".weight", ".default.weight"))
        case "without what PEFT has by default":
            settings = json.loads((adapter / "adapter_config.json").read_text())
            few = {k: settings[k] for k in ("peft_type", "target_modules", "lora_alpha", "r")}
            (adapter / "adapter_config.json").write_text(json.dumps(few))
    found = pairs(adapter)
    assert found.keys() == expected.keys() and len(found) > 1
    for module, (a, b) in found.items():
        np.testing.assert_allclose(b @ a, expected[module], atol=tolerance)
    for module, (a, b) in of_one_rank(found).items():
        np.testing.assert_allclose(b @ a, found[module][1] @ found[module][0], atol=1e-6)
    convert(adapter, tmp_path / "mlx")
    written = load_numpy(tmp_path / "mlx" / "adapters.safetensors")
    assert len(written) == 2 * len(expected)
    for module, product in expected.items():
        made = written[f"model.{module}.lora_a"] @ written[f"model.{module}.lora_b"]
        np.testing.assert_allclose(made.T, product, atol=tolerance)


def test_an_mlx_adapter_in_bfloat16_is_read(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    mlx = convert(adapter, tmp_path / "mlx")
    state = {k: v.bfloat16() for k, v in load_file(mlx / "adapters.safetensors").items()}
    save_file(state, mlx / "adapters.safetensors")
    back = pairs(convert(mlx, tmp_path / "back"))
    for module, (a, b) in pairs(adapter).items():
        np.testing.assert_allclose(back[module][1] @ back[module][0], b @ a, atol=2e-2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"init_lora_weights": "pissa"}, "was begun as 'pissa', which changes the base's own"),
        ({"init_lora_weights": "olora"}, "was begun as 'olora'"),
        ({"use_dora": True}, "has use_dora = True"),
        ({"lora_bias": True}, "has lora_bias = True"),
        ({"modules_to_save": ["norm"]}, "has modules_to_save = .'norm'."),
        ({"modules": ["q_proj", "lm_head"]}, "has .*lm_head.*, which is no matrix of a layer's"),
        ({"modules": ["q_proj", "embed_tokens"]}, "has .*embed_tokens.*, which is no matrix"),
    ],
)
def test_what_a_and_b_do_not_carry_is_refused_by_name(
    settings: dict[str, Any], words: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1, **settings)
    for out in ("a.onnx_adapter", "mlx"):
        with pytest.raises(InputError, match=words):
            convert(adapter, tmp_path / out)
        assert not (tmp_path / out).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "LOHA"}, "is of the kind LOHA; only LORA"),
        ({"r": 8}, "says r = 8 of .*, whose matrices have 4"),
        ({"layer_replication": [[0, 2]]}, "has layer_replication"),
        ({"rank_pattern": {"(": 3}}, "is no usable pattern"),
    ],
)
def test_odd_settings_are_one_sentence(
    change: dict[str, Any], words: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | change))
    with pytest.raises(InputError, match=words):
        pairs(adapter)


PATTERN = "is no usable pattern"
RANK = "has the rank 1000000 in its adapter_config"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exclude_modules": "([a-z0-9_.]+)+X"}, PATTERN),
        ({"alpha_pattern": {"([a-z0-9_.]+)+X": 8}}, PATTERN),
        ({"rank_pattern": {"(a*)*b": 4}}, PATTERN),
        ({"layers_to_transform": [0], "layers_pattern": "([a-z0-9_.]+)+X"}, PATTERN),
        ({"target_modules": "(.*){9}proj"}, PATTERN),
        ({"r": 10**6}, RANK),
        ({"rank_pattern": {"q_proj": 10**6}}, RANK),
    ],
)
def test_what_could_take_for_ever_or_all_memory_is_one_sentence(
    change: dict[str, Any], words: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | change))
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(InputError, match=words):
        adapted(model, tiny_model, adapter)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda k: k.replace("model.layers.0", "audio_tower.layers.0"),
            "is no matrix of a layer's",
        ),
        (lambda k: k.replace("model.layers.0", "visual.layers.0"), "is no matrix of a layer's"),
        (lambda k: k.replace("layers.1", "layers.0") if "A" in k else k, "twice|no pair"),
    ],
)
def test_what_is_no_part_of_the_language_model_is_refused(
    change: Any, words: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    renamed(adapter, change)
    with pytest.raises(InputError, match=words):
        pairs(adapter)


def test_weights_that_are_no_numbers_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    state = load_file(adapter / FILE)
    state[next(iter(state))][0, 0] = float("nan")
    save_file(state, adapter / FILE)
    with pytest.raises(InputError, match="holds what is no finite number"):
        pairs(adapter)


def test_a_matrix_without_the_other_is_no_pair(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    state = load_file(adapter / FILE)
    state.pop(next(name for name in state if "lora_B" in name))
    save_file(state, adapter / FILE)
    with pytest.raises(InputError, match="are no pair"):
        pairs(adapter)


@pytest.mark.parametrize(
    "settings",
    [
        {"modules": ["q_proj", "lm_head"]},
        {"modules": ["q_proj", "embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens"]},
        {"modules_to_save": ["norm"]},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"use_dora": True},
        {"bias": "lora_only"},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32}},
    ],
    ids=str,
)
def test_the_merged_model_answers_as_the_model_with_its_adapter(
    settings: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    assert AutoModelForCausalLM.from_pretrained(tiny_model).config.tie_word_embeddings
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1, **settings)
    if settings.get("modules_to_save"):
        state = load_file(adapter / FILE)
        for name in state:
            if ".lora_" not in name:
                state[name] += 0.05 * torch.randn(state[name].shape)
        save_file(state, adapter / FILE)
    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        before = base(IDS).logits
        expected = PeftModel.from_pretrained(base, adapter).eval()(IDS).logits
        merged = AutoModelForCausalLM.from_pretrained(merge(tiny_model, adapter, tmp_path / "out"))
        got = merged(IDS).logits
    assert (expected - before).abs().max() > 0.05
    np.testing.assert_allclose(got, expected, atol=2e-4)


@pytest.mark.parametrize("begun", ["loftq", "pissa_niter_4", "lora_ga", "corda"])
def test_a_beginning_that_is_drawn_at_each_load_is_refused(
    begun: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    settings |= {"init_lora_weights": begun, "loftq_config": {"loftq_bits": 4}}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=f"was begun as '{begun}', which changed the base"):
        merge(tiny_model, adapter, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "lora_dropout", "bias"],
)
def test_a_setting_that_is_null_is_as_if_it_were_not_there(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    file = adapter / "adapter_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({key: settings[key] for key in settings if key != name}))
    without = load_file(merge(tiny_model, adapter, tmp_path / "a") / "model.safetensors")
    file.write_text(json.dumps(settings | {name: None}))
    null = load_file(merge(tiny_model, adapter, tmp_path / "b") / "model.safetensors")
    assert all(torch.equal(null[key], without[key]) for key in without)


@pytest.mark.parametrize("tokens", [True, False])
def test_more_tokens_come_along(tokens: bool, tiny_model: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    base.resize_token_embeddings(520, mean_resizing=False)
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name or "embed_tokens" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape))
        expected = tuned(IDS).logits
    tuned.save_pretrained(tmp_path / "peft")
    assert (
        len(load_file(tmp_path / "peft" / FILE)["base_model.model.model.embed_tokens.weight"])
        == 520
    )
    if tokens:
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(tiny_model / name, tmp_path / "peft" / name)
    merged = AutoModelForCausalLM.from_pretrained(
        merge(tiny_model, tmp_path / "peft", tmp_path / "out")
    )
    with torch.no_grad():
        np.testing.assert_allclose(merged(IDS).logits, expected, atol=2e-4)
    assert merged.config.vocab_size == 520


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "more",
    [
        {"trainable_token_indices": [518, 519]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    ],
)
def test_more_tokens_come_along_with_what_is_trained_of_them(
    more: dict[str, Any], tied: bool, tiny_model: Path, tmp_path: Path
) -> None:
    folder, base = tiny_model, AutoModelForCausalLM.from_pretrained(tiny_model)
    if not tied:
        base.config.tie_word_embeddings = False
        base.lm_head.weight = torch.nn.Parameter(base.lm_head.weight + 0.01)
        folder = shutil.copytree(tiny_model, tmp_path / "base")
        base.save_pretrained(folder)
    base.resize_token_embeddings(520, mean_resizing=False)
    tuned = get_peft_model(base, LoraConfig(**{"r": 4, "target_modules": ["q_proj"]} | more))
    ids = torch.tensor([[1, 5, 511, 518, 519]])
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape))
        expected = tuned.eval()(ids).logits
    tuned.save_pretrained(tmp_path / "peft")
    whole = [name for name in load_file(tmp_path / "peft" / FILE) if name.endswith("r.weight")]
    if not tied and len(whole) == 1 and "trainable_token_indices" not in more:
        with pytest.raises(InputError, match="holds one of embedding and head alone; merge it"):
            merge(folder, tmp_path / "peft", tmp_path / "out")
        return
    merged = AutoModelForCausalLM.from_pretrained(
        merge(folder, tmp_path / "peft", tmp_path / "out")
    )
    with torch.no_grad():
        np.testing.assert_allclose(merged(ids).logits, expected, atol=2e-4)


@pytest.mark.parametrize("prefix", ["model.language_model.layers", "language_model.model.layers"])
@pytest.mark.parametrize("pattern", [True, False])
def test_an_adapter_of_a_multimodal_model_finds_its_layers(
    prefix: str, pattern: bool, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    plain = merge(tiny_model, adapter, tmp_path / "plain")
    renamed(adapter, lambda k: k.replace("model.layers", prefix))
    if pattern:
        settings = json.loads((adapter / "adapter_config.json").read_text())
        settings["target_modules"] = r"^(?:.*language_model.*(?:q|k|v|o|gate|up|down)_proj)$"
        (adapter / "adapter_config.json").write_text(json.dumps(settings))
    other = merge(tiny_model, adapter, tmp_path / "other")
    expected, got = (load_file(folder / "model.safetensors") for folder in (plain, other))
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert not torch.equal(
        got["model.layers.0.self_attn.q_proj.weight"],
        load_file(tiny_model / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"],
    )


def test_matrices_without_a_place_are_refused_and_not_left_out(
    tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    renamed(adapter, lambda k: k.replace("layers.2.", "layers.9."))
    with pytest.raises(InputError, match=r"does not fit .*14 of its weights have no place"):
        merge(tiny_model, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("score", {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}),
        ("model.multi_modal_projector.linear_1", {"modules_to_save": ["multi_modal_projector"]}),
        ("model.language_model.layers.0.self_attn.q_proj.base_layer", {"bias": "all"}),
    ],
)
def test_what_an_adapter_saved_whole_has_a_place_or_is_refused(
    name: str, settings: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    file, said = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    kind = "bias" if "bias" in settings else "weight"
    save_file(load_file(file) | {f"base_model.model.{name}.{kind}": torch.ones(2, 2)}, file)
    said.write_text(json.dumps(json.loads(said.read_text()) | settings))
    with pytest.raises(InputError, match=f"1 of its weights have no place there, first .*{name}"):
        merge(tiny_model, adapter, tmp_path / "out")


def drop(part: str) -> Any:
    """What takes matrices whose name has a part out of an adapter."""
    return lambda state: {name: w for name, w in state.items() if part not in name}


LACKING: dict[str, tuple[dict[str, Any], Any, int]] = {
    "one": ({}, drop("layers.1.mlp.up_proj.lora_B"), 1),
    "a layer": ({"modules": ["q_proj", "v_proj"]}, drop("layers.2."), 4),
    "everything": ({"modules": ["q_proj"]}, lambda state: {}, 6),
    "an embedding": ({"modules": ["q_proj", "embed_tokens"]}, drop("lora_embedding_B"), 1),
    "a magnitude": (
        {"modules": ["q_proj"], "use_dora": True},
        drop("layers.0.self_attn.q_proj.lora_m"),
        1,
    ),
    "a module saved whole": ({"modules_to_save": ["lm_head"]}, drop("lm_head"), 1),
}


@pytest.mark.parametrize("case", LACKING)
def test_an_adapter_that_lacks_weights_is_refused_and_not_made_up(
    case: str, tiny_model: Path, tmp_path: Path
) -> None:
    settings, change, count = LACKING[case]
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1, **settings)
    save_file(change(load_file(adapter / FILE)), adapter / FILE)
    with pytest.raises(InputError, match=rf"its file lacks {count} of the weights"):
        merge(tiny_model, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "alpha", [{"lora_alpha": 0}, {"alpha_pattern": {"v_proj": 0}}], ids=["all", "by pattern"]
)
def test_an_adapter_scaled_by_nothing_is_refused(
    alpha: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | alpha))
    for taken in (lambda: merge(tiny_model, adapter, tmp_path / "out"), lambda: pairs(adapter)):
        with pytest.raises(InputError, match="lora_alpha is 0, so that it adds nothing"):
            taken()


@pytest.mark.parametrize("targets", [[1], {"q_proj": 1}, 7, [None]])
def test_targets_that_are_no_names_are_one_sentence(
    targets: Any, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_modules": targets}))
    with pytest.raises(InputError, match=r"adapter_config\.json: target_modules"):
        merge(tiny_model, adapter, tmp_path / "out")


@pytest.mark.parametrize("trained", [True, False])
def test_an_adapter_that_changes_nothing_is_told_of(
    trained: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    if not trained:
        state = load_file(adapter / FILE)
        save_file({k: w * ("lora_A" in k) for k, w in state.items()}, adapter / FILE)
    merge(tiny_model, adapter, tmp_path / "out")
    assert any("changes nothing" in line for line in said) != trained
