"""The gate lets a sound artifact through and stops broken ones, saying where."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

from srl_edge.devices.hosts.local import runnable
from srl_edge.errors import InputError, ParityError, UnmeasuredError
from srl_edge.exporters import check as parity
from srl_edge.exporters.parity.faults import faults
from srl_edge.exporters.parity.logits import Case, agreement
from srl_edge.exporters.parity.tokens import chats
from srl_edge.method.types import StepPrompt
from srl_edge.report.parity_rows import LongText
from srl_edge.report.statistics import paired
from tests.helpers.artifacts import CONTEXT, make_run, seal
from tests.helpers.reports import parity_row


def zeroed_layer(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"].zero_()
    weights["model.layers.1.self_attn.o_proj.weight"].zero_()
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def wrong_rope_base(model: Path) -> None:
    config = model / "config.json"
    config.write_text(config.read_text().replace('"rope_theta": 10000.0', '"rope_theta": 10.0'))
    assert '"rope_theta": 10.0' in config.read_text()


def swapped_template(model: Path) -> None:
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "model"))


def other_tokenizer(model: Path) -> None:
    file = model / "tokenizer.json"
    fields = json.loads(file.read_text())
    fields["model"]["merges"] = fields["model"]["merges"][:20]
    file.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (zeroed_layer, r"agrees with the merged model on .* first difference: prompt \d+ step"),
        (wrong_rope_base, "less than 99.9%; first difference"),
        (swapped_template, r"53 of 53 chats are tokenized differently .* position \d+: "),
        (other_tokenizer, "of 53 chats are tokenized differently than in training; first: '"),
    ],
)
def test_a_broken_artifact_is_stopped(
    damage: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    trained: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(trained / "merged", damaged)
    damage(damaged)
    run = tmp_path / "run"
    recipe = make_run(run, trained, taught_model, word_problems[:4], exported=damaged)
    with pytest.raises(ParityError, match=message):
        parity.check(recipe, run)
    assert not json.loads((run / "parity" / "onnx-fp32.json").read_text())["passed"]


def test_a_missing_stop_id_is_found(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = make_run(tmp_path, trained, taught_model, word_problems[:4])
    file = tmp_path / "artifacts" / "onnx-fp32" / "genai_config.json"
    fields = json.loads(file.read_text())
    fields["model"]["eos_token_id"] = 0
    file.write_text(json.dumps(fields))
    seal(file.parent)
    with pytest.raises(ParityError, match=r"ends replies at token ids \[0\], the trained.*\[2\]"):
        parity.check(recipe, tmp_path)


def test_a_sound_artifact_passes(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = make_run(tmp_path, trained, taught_model, word_problems[:4])
    assert parity.check(recipe, tmp_path) == tmp_path / "parity"
    result = json.loads((tmp_path / "parity" / "onnx-fp32.json").read_text())
    assert [row["tokens"] for row in result["long"]] == [CONTEXT // 2, CONTEXT]
    assert result["peak_memory_mib"] > 10 and result["problems"] == 2


def test_what_cannot_run_here_is_told_and_passed_over(
    tmp_path: Path,
    trained: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = make_run(tmp_path, trained, taught_model, word_problems[:4])
    built = tmp_path / "artifacts" / "onnx-fp32"
    for_phones = tmp_path / "artifacts" / "executorch-vulkan-fp16"
    shutil.copytree(built, for_phones)
    seal(for_phones)
    names = (built.name, for_phones.name)
    recipe = recipe.model_copy(
        update={"export": recipe.export.model_copy(update={"artifacts": names})}
    )
    parity.check(recipe, tmp_path)
    assert "executorch-vulkan-fp16: built, never run here" in capsys.readouterr().err
    assert [f.name for f in (tmp_path / "parity").glob("[!.]*")] == ["onnx-fp32.json"]
    (for_phones / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"vulkan-fp16/tokenizer.json: changed since the export"):
        parity.check(recipe, tmp_path)
    shutil.rmtree(built)
    seal(for_phones)
    with pytest.raises(InputError, match="nothing that runs here; run `srl-edge export"):
        parity.check(recipe, tmp_path)


@pytest.mark.parametrize("left", ["onnx-int8", "onnx-fp16", "executorch-vulkan-fp16"])
def test_an_artifact_that_the_recipe_no_longer_names_is_left_out(
    left: str,
    tmp_path: Path,
    trained: Path,
    taught_model: Path,
    capsys: pytest.CaptureFixture[str],
    word_problems: list[dict[str, str]],
) -> None:
    make_run(tmp_path, trained, taught_model, word_problems[:4])
    shutil.copytree(tmp_path / "artifacts" / "onnx-fp32", tmp_path / "artifacts" / left)
    (tmp_path / "artifacts" / left / "config.json").write_text("damaged since")
    assert [found.name for found in runnable(tmp_path, ["onnx-fp32"])] == ["onnx-fp32"]
    assert f"{left}: the recipe does not name it (export.artifacts)" in capsys.readouterr().err


def test_a_wrong_merge_is_named_as_such(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    swapped = tmp_path / "trained"
    shutil.copytree(trained, swapped)
    file = swapped / "adapter" / "adapter_model.safetensors"
    weights = load_file(file)
    for name, a in list(weights.items()):
        b_name = name.replace("lora_A", "lora_B")
        if "k_proj.lora_A" in name:  # square, so that it can be put in transposed
            b = weights[b_name]
            weights[name], weights[b_name] = b.T.contiguous(), a.T.contiguous()
    save_file(weights, file, {"format": "pt"})
    recipe = make_run(tmp_path / "run", swapped, taught_model, word_problems[:4])
    with pytest.raises(ParityError, match="merging: the merged model answers otherwise"):
        parity.check(recipe, tmp_path / "run")


def test_truncated_weights_are_one_sentence(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = make_run(tmp_path, trained, taught_model, word_problems[:4])
    parity.check(recipe, tmp_path)
    folder = tmp_path / "artifacts" / "onnx-fp32"
    data = folder / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-4096])
    with pytest.raises(InputError, match=r"model.onnx.data: changed since the export"):
        parity.check(recipe, tmp_path)
    seal(folder)
    with pytest.raises(ParityError, match="onnx-fp32: its runtime cannot load it: "):
        parity.check(recipe, tmp_path)
    assert not (tmp_path / "parity" / "onnx-fp32.json").exists()  # no pass of earlier stays


def test_a_wrong_zero_point_is_found(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = make_run(tmp_path, trained, taught_model, word_problems[:4], "int4")
    parity.check(recipe, tmp_path)
    folder = tmp_path / "artifacts" / "onnx-int4"
    model = onnx.load(folder / "model.onnx")
    moved = 0
    for tensor in model.graph.initializer:
        if ".weight_Q4" in tensor.name:  # zero is fixed there, so the codes are moved, by four
            codes = numpy_helper.to_array(tensor)
            low, high = (np.minimum(half + 4, 15) for half in (codes & 15, codes >> 4))
            values = (high << 4 | low).astype(codes.dtype)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            moved += 1
    assert moved
    (folder / "model.onnx.data").unlink()
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    seal(folder)
    with pytest.raises(ParityError, match="onnx-int4: agrees with the merged model on"):
        parity.check(recipe, tmp_path)


def test_what_only_the_runtime_misreads_is_told(
    tmp_path: Path,
    trained: Path,
    taught_model: Path,
    word_problems: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    composing = tmp_path / "trained"
    shutil.copytree(trained, composing)
    file = composing / "merged" / "tokenizer.json"
    # As Qwen's tokenizers do; onnxruntime-genai 0.18 does not.
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": {"type": "NFC"}}))
    recipe = make_run(tmp_path / "run", composing, taught_model, word_problems[:4])
    parity.check(recipe, tmp_path / "run")
    assert "misread by the runtime's own tokenizer; first: 'café, cafe\u0301'" in (
        capsys.readouterr().err
    )


def test_fifty_chats_all_differ() -> None:
    rendered = {json.dumps(chat) for chat in chats()}
    assert len(rendered) == 50


def test_the_sign_test_is_exact() -> None:
    lost_six = paired([True] * 6 + [False] * 4, [False] * 10)
    assert (lost_six.lost, lost_six.won, lost_six.sign_test) == (6, 0, 2 / 64)
    assert paired([True, False], [False, True]).sign_test == 1


class Told:
    """A runtime whose logits after each token are given."""

    def __init__(self, logits: Any) -> None:
        self.logits, self.at = logits, 0

    def prefill(self, ids: list[int], reuse: bool = True) -> Any:
        self.at = 0
        return self.logits[0]

    def decode(self, token: int) -> Any:
        self.at += 1
        return self.logits[self.at]


class Names:
    def decode(self, ids: list[int]) -> str:
        return str(ids[0])


@pytest.mark.parametrize(
    ("margin", "noise", "bits", "ties"),
    [
        (1e-3, 1e-4, 32, 1),  # within what 16 bits keep of the reference
        (0.5, 1e-4, 32, 0),  # a real difference
        (0.5, 2.0, 32, 0),  # of an artifact that is wrong all over, which excuses nothing
        (0.05, 0.06, 8, 1),
        (0.05, 0.06, 32, 0),
    ],
)
def test_a_difference_counts_beyond_the_formats_noise(
    margin: float, noise: float, bits: int, ties: int
) -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(0, 2, (28, 512)).astype(np.float32)
    theirs[np.arange(28), 100] = 12.0
    ours = theirs + noise * rng.normal(size=theirs.shape).astype(np.float32)
    ours[np.arange(28), 100] += 20.0
    ours[5, 100] -= 20.0 + noise * 8
    theirs[5, 200], ours[5, 200] = 12.0 - margin, 14.0
    case = Case(StepPrompt("t", 0, "p", (), ""), [1], [0] * 28, theirs.astype(np.float16))
    found = agreement(Told(ours), [case], Names(), lambda *_: None, "", bits)  # type: ignore[arg-type]
    assert found.agreement == pytest.approx(27 / 28) and found.ties == ties
    assert found.agreement_but_ties == pytest.approx((27 + ties) / 28)
    assert (found.first_difference is None) == bool(ties)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_logits_that_are_no_numbers_are_no_ties(value: float, everywhere: bool) -> None:
    theirs = np.random.default_rng(0).normal(0, 2, (20, 64)).astype(np.float32)
    ours = theirs.copy()
    ours[:, :] = value if everywhere else ours
    ours[3, 7] = value
    case = Case(StepPrompt("t", 0, "p", (), ""), [1], [0] * 20, theirs.astype(np.float16))
    found = agreement(Told(ours), [case], Names(), lambda *_: None, "", 16)  # type: ignore[arg-type]
    assert found.not_finite == (20 if everywhere else 1)
    assert found.agreement_but_ties <= 1 - found.not_finite / 20
    json.dumps(asdict(found), allow_nan=False)
    sound = parity_row("onnx-fp16", 1.0, 0.0)
    (said,) = faults(replace(sound, next_tokens=found))
    assert "computes infinity or NaN" in said


@pytest.mark.parametrize(
    ("positions", "equal", "fails"),
    [
        (1, 0, False),  # of 85%, one in seven is no alarm
        (2, 0, True),  # and two in a row, one in 44, are
        (3, 1, False),
        (10, 5, True),
        (10, 6, False),
        (100, 77, True),
        (100, 78, False),
        (5000, 4100, True),
        (5000, 4220, False),
    ],
)
def test_few_tokens_of_a_long_text_are_no_alarm_where_chance_explains_them(
    positions: int, equal: int, fails: bool
) -> None:
    sound = parity_row("onnx-int4", 1.0, 0.85)
    few = replace(sound.next_tokens, positions=positions, agreement_but_ties=equal / positions)
    said = faults(replace(sound, long=[LongText(256, few)]))
    assert bool(said) == fails and all("in a text of 256 tokens" in each for each in said)


def test_what_cannot_be_measured_is_said_apart_from_what_failed(
    tmp_path: Path, trained: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    rows = [{**row, "problem": row["problem"] * 60} for row in word_problems[:3]]
    recipe = make_run(tmp_path, trained, taught_model, rows)
    with pytest.raises(UnmeasuredError, match=r"could not be measured: \d+ tokens do not fit the"):
        parity.check(recipe, tmp_path)
    assert not list((tmp_path / "parity").glob("*.json"))
