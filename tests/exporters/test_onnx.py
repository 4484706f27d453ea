"""ONNX artifacts of every family against transformers, through the runtime that ships them."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import load as load_graph

from srl_edge.data import trajectories
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError, StageError
from srl_edge.exporters.onnx import build as onnx
from srl_edge.exporters.onnx.search import export_smallest
from srl_edge.exporters.parity.logits import references, teacher_forced
from srl_edge.exporters.subject import of_run
from srl_edge.recipe import Recipe
from tests.helpers.artifacts import token_ids
from tests.helpers.models import make_model

TEXTS = [token_ids(60, seed) for seed in range(10, 70)]


def test_fp32_equals_transformers_past_the_sliding_window(
    family_model: Path, tmp_path: Path
) -> None:
    onnx.export(family_model, tmp_path, "fp32", 256)
    reference, artifact = TorchRuntime(family_model), OnnxRuntime(tmp_path, 256, threads=1)
    prompt, reply = token_ids(60), token_ids(20, seed=1)
    expected = np.stack(teacher_forced(reference, prompt, reply))
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, prompt, reply)), expected, atol=2e-3
    )
    assert greedy(artifact, prompt, 30, [2]) == greedy(reference, prompt, 30, [2])


def test_fp16_is_close_past_the_sliding_window(family_model: Path, tmp_path: Path) -> None:
    onnx.export(family_model, tmp_path / "fp16", "fp16", 256)
    onnx.export(family_model, tmp_path / "fp32", "fp32", 256)
    reference, artifact = TorchRuntime(family_model), OnnxRuntime(tmp_path / "fp16", 256, threads=1)
    prompt, reply = token_ids(60), token_ids(20, seed=1)
    np.testing.assert_allclose(
        np.stack(teacher_forced(artifact, prompt, reply)),
        np.stack(teacher_forced(reference, prompt, reply)),
        atol=0.05,
    )
    sizes = [(tmp_path / q / "model.onnx.data").stat().st_size for q in ("fp16", "fp32")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_shared_prefix_is_not_computed_again_and_changes_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    onnx.export(tiny_model, tmp_path, "fp32", 256)
    runtime = OnnxRuntime(tmp_path, 256, threads=1)
    prompt = token_ids(40)
    fresh = runtime.prefill(prompt, reuse=False)
    runtime.prefill([*prompt[:25], 7, 8], reuse=False)
    np.testing.assert_allclose(runtime.prefill(prompt), fresh, atol=1e-4)
    assert runtime._generator.token_count() == 40


@pytest.mark.parametrize(("quantization", "least"), [("int8", 0.9), ("int4", 0.4)])
def test_quantized_artifacts_stay_close(
    taught_model: Path, tmp_path: Path, quantization: str, least: float
) -> None:
    onnx.export(taught_model, tmp_path, quantization, 256)
    reference, artifact = TorchRuntime(taught_model), OnnxRuntime(tmp_path, 256, threads=1)
    prompt, reply = token_ids(40), token_ids(40, seed=1)
    expected = np.stack(teacher_forced(reference, prompt, reply)).argmax(-1)
    got = np.stack(teacher_forced(artifact, prompt, reply)).argmax(-1)
    assert (expected == got).mean() >= least
    assert (
        json.loads((tmp_path / "genai_config.json").read_text())["model"]["context_length"] == 256
    )


def test_fitted_weights_answer_better_than_rounded_ones(family_model: Path, tmp_path: Path) -> None:
    prompt, reply = token_ids(40), token_ids(40, seed=1)
    expected = TorchRuntime(family_model).score(prompt, reply)

    def error(name: str, texts: list[list[int]]) -> float:
        onnx.export(family_model, tmp_path / name, "int4", 256, texts)
        artifact = OnnxRuntime(tmp_path / name, 256, threads=1)
        got = np.stack(teacher_forced(artifact, prompt, reply))
        return float(np.square(got - expected).mean())

    assert error("fitted", TEXTS) < error("rounded", [])


def test_layers_named_by_the_user_are_in_8_bits(family_model: Path, tmp_path: Path) -> None:
    prompt, reply = token_ids(40), token_ids(40, seed=1)
    expected = TorchRuntime(family_model).score(prompt, reply)

    def built(name: str, layers: tuple[str, ...]) -> tuple[float, set[str]]:
        onnx.export(family_model, tmp_path / name, "int4", 256, TEXTS, int8_layers=layers)
        artifact = OnnxRuntime(tmp_path / name, 256, threads=1)
        got = np.stack(teacher_forced(artifact, prompt, reply))
        nodes = load_graph(tmp_path / name / "model.onnx", load_external_data=False).graph.node
        wide = {
            node.name
            for node in nodes
            for attribute in node.attribute
            if node.op_type == "MatMulNBits" and attribute.name == "bits" and attribute.i == 8
        }
        return float(np.square(got - expected).mean()), {x.rsplit("/", 1)[0] for x in wide}

    plain, head = built("plain", ())
    assert head == {"/lm_head"}
    some, wide = built("some", ("model.layers.0.self_attn.q_proj", "*.down_proj"))
    assert {name for name in wide if name.endswith("/down_proj")} > {
        "/model/layers.0/mlp/down_proj"
    }
    assert any(name.startswith("/model/layers.0/attn/q") for name in wide)
    assert not any(name.startswith("/model/layers.1/attn") for name in wide)
    every, _ = built("every", ("*",))
    assert every < min(some, plain) / 3
    with pytest.raises(
        InputError, match=r"'\*.up' matches no linear layer; .* like model.layers.0"
    ):
        built("none", ("*.up",))


@pytest.mark.parametrize("quantization", ["fp32", "int4"])
def test_two_exports_are_byte_identical(
    taught_model: Path, tmp_path: Path, quantization: str
) -> None:
    for name in ("first", "second"):
        onnx.export(taught_model, tmp_path / name, quantization, 256, TEXTS)
    files = [
        {f.relative_to(tmp_path / name): f.read_bytes() for f in (tmp_path / name).rglob("*.*")}
        for name in ("first", "second")
    ]
    assert len(files[0]) >= 4
    assert files[0] == files[1]


def test_auto_takes_the_smallest_that_agrees(
    tiny_model: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = trajectories.parse_rows(word_problems[:6], trajectories.ParseReport())
    (tmp_path / "data").mkdir()
    trajectories.write_jsonl(tmp_path / "data" / "validation.jsonl", problems)
    recipe = Recipe.model_validate(
        {
            "output": "r",
            "model": {"name": str(tiny_model)},
            "stages": [{"kind": "sft", "steps": 1}],
            "check": {"prompts": 4},
            "export": {"context_length": 256},
        }
    )
    cases, _ = references(of_run(recipe, tmp_path), tiny_model, "validation")
    options = export_smallest(tiny_model, tmp_path / "any", cases, 0.0, 256, TEXTS, 1)
    (first,) = options["search"]
    options = export_smallest(tiny_model, tmp_path / "good", cases, 0.8, 256, TEXTS, 1)
    *failed, chosen = options["search"]
    assert failed[0]["candidate"] == first["candidate"]
    assert all(row["agreement"] < 0.8 for row in failed)
    assert chosen["agreement"] >= 0.8 and chosen["mb"] >= first["mb"]
    assert f"{chosen['agreement']:.1%} of next tokens (80.0% asked" in capsys.readouterr().err
    artifact = OnnxRuntime(tmp_path / "good", 256, threads=1)
    expected = TorchRuntime(tiny_model).score(cases[0].prompt_ids, cases[0].reply_ids).argmax(-1)
    got = np.stack(teacher_forced(artifact, cases[0].prompt_ids, cases[0].reply_ids)).argmax(-1)
    assert (got == expected).mean() >= 0.75
    with pytest.raises(StageError, match=r"no candidate agrees on 101.0% .*onnx-fp16"):
        export_smallest(tiny_model, tmp_path / "none", cases, 1.01, 256, TEXTS, 1)
    assert not (tmp_path / "none").exists()


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(InputError, match="family 'mamba' cannot be made into onnx-fp32"):
        onnx.export(tmp_path, tmp_path / "out", "fp32", 64)


def test_the_builder_still_needs_help_with_gemma_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once this fails, the builder reads Gemma 3's ropes itself: drop that part of `_ropes`."""
    monkeypatch.setattr(onnx, "_ropes", lambda *_: contextlib.nullcontext())
    with pytest.raises(StageError, match="rope_type"):
        onnx.export(make_model("gemma3", tmp_path / "model"), tmp_path / "out", "fp32", 256)
