"""Adapters in mlx-lm's form against PEFT's, there and back, in every family."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mlx_lm")

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model
from safetensors.numpy import load_file, save_file

from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.converters import mlx
from tests.helpers.artifacts import make_adapter, token_ids
from tests.helpers.models import MLX_FAMILIES, make_model

TOKENS = token_ids(40)


def mlx_model(model: Path, scratch: Path) -> Any:
    scratch.mkdir()
    mlx.export(model, scratch, "fp32")
    return load_model(scratch)[0]


def logits(model: Any) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(model(mx.array([TOKENS]))[0])


def expected(model: Path, adapter: Path | None) -> np.ndarray:  # type: ignore[type-arg]
    return TorchRuntime(model, adapter=adapter).score(TOKENS[:1], [*TOKENS[1:], 3])


def effect_is(got: Any, base: Any, want: Any, unadapted: Any) -> None:
    """mlx-lm rounds Gemma's embedding scale, so what the adapter adds is compared there."""
    exact = np.abs(base - unadapted).max() < 1e-4
    np.testing.assert_allclose(got, want, atol=1e-4 if exact else 0.05)
    assert np.abs(want - unadapted).max() > 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True, "rank": 7},
        {"layers_to_transform": [1], "modules": ["q_proj", "down_proj"]},
    ],
)
def test_peft_adapters_do_the_same_in_mlx_lm(
    family_model: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter = make_adapter(family_model, tmp_path / "peft", 1, **settings)
    model = mlx_model(family_model, tmp_path / "base")
    base = logits(model)
    made = convert(adapter, tmp_path / "mlx")
    got = logits(load_adapters(model, str(made)))
    effect_is(got, base, expected(family_model, adapter), expected(family_model, None))
    back = convert(made, tmp_path / "back")
    np.testing.assert_allclose(
        expected(family_model, back), expected(family_model, adapter), atol=1e-5
    )


@pytest.mark.parametrize("family", MLX_FAMILIES)
def test_families_that_mlx_alone_trains(family: str, tmp_path: Path) -> None:
    model = make_model(family, tmp_path / "model")
    modules = ["q_proj", "down_proj", *(["in_proj_qkv"] if family == "qwen3_5" else [])]
    adapter = make_adapter(model, tmp_path / "peft", 1, modules=modules)
    made = convert(adapter, tmp_path / "mlx")
    got = logits(load_adapters(mlx_model(model, tmp_path / "base"), str(made)))
    np.testing.assert_allclose(got, expected(model, adapter), atol=2e-3)
    assert np.abs(got - expected(model, None)).max() > 0.1
    back = convert(made, tmp_path / "back")
    np.testing.assert_allclose(expected(model, back), expected(model, adapter), atol=1e-5)


@pytest.mark.parametrize("layers", [-1, 1])
def test_adapters_of_mlx_lm_do_the_same_in_peft(
    family_model: Path, tmp_path: Path, layers: int
) -> None:
    model = mlx_model(family_model, tmp_path / "base")
    base = logits(model)
    parameters = {
        "rank": 4,
        "scale": 2.5,
        "dropout": 0.0,
        "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"],
    }
    mx.random.seed(0)
    linear_to_lora_layers(model, layers, parameters)
    adapted = {}
    parameters_now: Any = tree_flatten(model.parameters())
    for name, value in parameters_now:
        if name.endswith((".lora_a", ".lora_b")):
            adapted[name] = np.array(mx.random.normal(value.shape) * 0.2)
    folder = tmp_path / "mlx"
    folder.mkdir()
    save_file(adapted, folder / "adapters.safetensors")
    config = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    model.load_weights([(k, mx.array(v)) for k, v in adapted.items()], strict=False)
    peft = convert(folder, tmp_path / "peft")
    effect_is(logits(model), base, expected(family_model, peft), expected(family_model, None))


def test_one_adapter_in_four_forms(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    of_mlx = convert(adapter, tmp_path / "mlx")
    straight = convert(adapter, tmp_path / "straight.onnx_adapter")
    through = convert(of_mlx, tmp_path / "through.onnx_adapter")
    assert straight.read_bytes() == through.read_bytes()


@pytest.mark.parametrize(
    ("config", "rename", "message"),
    [
        ({"fine_tune_type": "dora"}, {}, "fine_tune_type is 'dora'; only 'lora'"),
        ({"lora_parameters": {"rank": 2, "scale": math.nan}}, {}, "adapter_config.json: .*scale"),
        ({}, {"layers.0.self_attn.q_proj.lora_a": "embed_tokens.lora_a"}, "model.embed_tokens"),
        ({}, {"layers.0.self_attn.q_proj.lora_a": "layers.0.self_attn.q_proj.m"}, "q_proj.m is"),
        ({}, {"layers.0.self_attn.q_proj.lora_a": "layers.x.q_proj.lora_a"}, "layers.x.q_proj"),
    ],
)
def test_what_is_no_plain_lora_is_refused_by_name(
    config: dict[str, Any], rename: dict[str, str], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    made = convert(make_adapter(tiny_model, tmp_path / "peft", 1), tmp_path / "mlx")
    file = made / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    named = {f"model.{k}": f"model.{v}" for k, v in rename.items()}
    tensors = load_file(made / "adapters.safetensors")
    save_file({named.get(k, k): v for k, v in tensors.items()}, made / "adapters.safetensors")
    with pytest.raises(InputError, match=message):
        convert(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="is there already"):
        convert(made, tmp_path / "peft")


def test_an_alpha_counts_as_in_the_version_that_wrote_it(tiny_model: Path, tmp_path: Path) -> None:
    """Up to mlx-lm 0.14 it multiplied the scale; 0.18 wrote the same file and left it alone."""
    made = convert(make_adapter(tiny_model, tmp_path / "peft", 1), tmp_path / "mlx")
    file = made / "adapter_config.json"
    config = json.loads(file.read_text())
    rank = config["lora_parameters"]["rank"]
    config["lora_parameters"] |= {"alpha": 2.0 * rank, "scale": 10.0}
    file.write_text(json.dumps(config))
    since = json.loads((convert(made, tmp_path / "since") / "adapter_config.json").read_text())
    assert since["lora_alpha"] == 10.0 * rank  # of 0.20 or later, which names the fine_tune_type

    del config["fine_tune_type"]
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"beside scale 10\. .* write scale 20 or leave 10, and"):
        convert(made, tmp_path / "open")
    config["lora_parameters"]["alpha"] = rank  # then both are the same
    file.write_text(json.dumps(config))
    assert convert(made, tmp_path / "alike").is_dir()


@pytest.mark.parametrize(
    ("name", "words"), [("one.onnx_adapter", "A and B of "), ("peft", ".*no finite number")]
)
def test_what_is_wrong_is_said_of_the_users_folder(
    name: str, words: str, tiny_model: Path, tmp_path: Path
) -> None:
    made = convert(make_adapter(tiny_model, tmp_path / "mine", 1), tmp_path / "mlx")
    file = made / "adapters.safetensors"
    tensors = load_file(file)
    first = "model.layers.0.self_attn.q_proj.lora_b"
    if name == "peft":
        tensors[first][0, 0] = math.nan
    else:
        del tensors[first]
    save_file(tensors, file)
    with pytest.raises(InputError, match=f"^{re.escape(str(made))}: {words}"):
        convert(made, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mlx"]
