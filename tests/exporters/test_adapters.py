"""Adapters kept apart from their base: exact in every runtime, switched, converted, refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig

from srl_edge import artifact
from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, ParityError
from srl_edge.exporters import check as parity
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.executorch import adapter as executorch_adapter
from srl_edge.exporters.executorch import build as executorch
from srl_edge.exporters.onnx import adapter as onnx_adapter
from srl_edge.exporters.parity.logits import teacher_forced
from srl_edge.quantization.formats import FORMATS, parse_name
from srl_edge.recipe import Recipe
from tests.helpers.artifacts import CONTEXT, COPIED, make_adapter, make_run, token_ids

PROMPT, REPLY = token_ids(60), token_ids(12, seed=1)


def logits(runtime: OnnxRuntime | ExecuTorchRuntime | TorchRuntime) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack(teacher_forced(runtime, PROMPT, REPLY))


def test_onnx_adapters_of_any_rank_share_a_base(family_model: Path, tmp_path: Path) -> None:
    first = make_adapter(family_model, tmp_path / "first", 1)
    second = make_adapter(family_model, tmp_path / "second", 2, rank=7, use_rslora=True)
    out = tmp_path / "out"
    onnx_adapter.export(family_model, first, out, "fp32", 256)
    own = out / str(FORMATS["onnx"].adapter)
    runtime = OnnxRuntime(out, 256, 1, own)
    other = convert(second, tmp_path / "second.onnx_adapter")
    before = None
    for peft, file in ((first, own), (second, other), (None, None), (first, own)):
        runtime.switch(file)
        got = logits(runtime)
        expected = logits(TorchRuntime(family_model, adapter=peft))
        np.testing.assert_allclose(got, expected, atol=2e-3)
        if peft is first and before is not None:
            assert (got == before).all()
        before = got if peft is first else before
    assert "rank" in json.dumps([str(d) for d in _dimensions(out / "model.onnx")])


def _dimensions(path: Path) -> list[object]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return [i.type.tensor_type.shape.dim[1].dim_param for i in graph.input if ".lora_A" in i.name]


def test_executorch_adapters_share_a_program(family_model: Path, tmp_path: Path) -> None:
    first = make_adapter(family_model, tmp_path / "first", 1)
    second = make_adapter(family_model, tmp_path / "second", 2, 2, ["q_proj", "down_proj"])
    out = tmp_path / "out"
    executorch.export(family_model, out, "fp32", 256, adapter=first)
    shutil.copy(family_model / "tokenizer.json", out)
    config = AutoConfig.from_pretrained(family_model)
    other = tmp_path / "second.ptd"
    executorch_adapter.write(executorch_adapter.matrices(second, config, 4), other)
    own, nothing = out / str(FORMATS["executorch"].adapter), out / artifact.NO_ADAPTER
    runtime = ExecuTorchRuntime(out, 256, 1, own)
    for peft, file in ((first, own), (second, other), (None, nothing), (first, own)):
        runtime.switch(file)
        expected = logits(TorchRuntime(family_model, adapter=peft))
        np.testing.assert_allclose(logits(runtime), expected, atol=2e-3)
    assert nothing.stat().st_size < own.stat().st_size
    with pytest.raises(InputError, match="rank 4 does not fit a program of rank 2"):
        executorch_adapter.matrices(first, config, 2)


def separate_run(
    run: Path,
    trained_run: Path,
    base: Path,
    rows: list[dict[str, str]],
    format_: str,
    quantization: str,
) -> tuple[Recipe, Path]:
    """A run whose only artifact keeps its adapter apart."""
    recipe = make_run(run, trained_run, base, rows)
    shutil.rmtree(run / "artifacts")
    folder = run / "artifacts" / f"{format_}-{quantization}"
    recipe = recipe.model_copy(
        update={"export": recipe.export.model_copy(update={"artifacts": (folder.name,)})}
    )
    if format_ == "onnx":
        onnx_adapter.export(base, run / "adapter", folder, quantization, CONTEXT)
    else:
        executorch.export(base, folder, quantization, CONTEXT, adapter=run / "adapter")
    for name in (*COPIED, "chat_template.jinja"):
        shutil.copy(run / "merged" / name, folder / name)
    seal_separate(folder)
    return recipe, folder


def seal_separate(folder: Path) -> None:
    format_, quantization = parse_name(folder.name)
    artifact.write_manifest(
        folder,
        {
            "format": format_,
            "quantization": quantization,
            "context_length": CONTEXT,
            "adapter": "separate",
            "adapter_rank": 4,
        },
    )


@pytest.mark.parametrize(
    ("format_", "quantization"), [("onnx", "fp32"), ("onnx", "int8"), ("executorch", "fp32")]
)
def test_the_gate_takes_a_sound_separate_adapter_and_stops_a_wrong_one(
    format_: str,
    quantization: str,
    tmp_path: Path,
    trained: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
) -> None:
    recipe, folder = separate_run(
        tmp_path, trained, taught_model, word_problems[:4], format_, quantization
    )
    parity.check(recipe, tmp_path)
    result = json.loads((tmp_path / "parity" / f"{folder.name}.json").read_text())
    assert result["switches_exactly"] and result["adapter_effect"] > 0.97
    assert result["adapter_bytes"] > 0 and result["switch_milliseconds"] > 0
    # The adapter of another run in its place.
    wrong = make_adapter(taught_model, tmp_path / "wrong", 9)
    own = folder / str(FORMATS[format_].adapter)
    convert(wrong, tmp_path / own.name, folder).replace(own)
    seal_separate(folder)
    with pytest.raises(ParityError, match="moves the logits otherwise than in training: cosine"):
        parity.check(recipe, tmp_path)


def test_adapter_files_are_byte_identical(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    made = [convert(adapter, tmp_path / f"{i}.onnx_adapter").read_bytes() for i in range(2)]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("settings", "file", "message"),
    [
        ({"use_dora": True}, "a.onnx_adapter", "has use_dora = True, which only the merged model"),
        ({}, "a.gguf", "a.gguf: the name must end with .onnx_adapter or .ptd, or"),
        ({}, "a.ptd", "name the ExecuTorch artifact that will read it"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_sentence(
    settings: dict[str, Any], file: str, message: str, tiny_model: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1, **settings)
    with pytest.raises(InputError, match=message):
        convert(adapter, tmp_path / "out" / file)
    assert not list(tmp_path.glob("out/*"))


def test_pickled_adapters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80")
    with pytest.raises(InputError, match="pickled weights are not read"):
        convert(tmp_path, tmp_path / "a.onnx_adapter")
