"""Any model, with any adapter or none, exported and checked without a run, through the commands."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from srl_edge import artifact as artifacts
from srl_edge import owned
from srl_edge.cli import main
from srl_edge.devices.bench.what import models_of
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.exporters.adapters import convert
from srl_edge.exporters.parity.logits import teacher_forced
from srl_edge.files import scratch_folder
from srl_edge.recipe import Bench
from tests.helpers.artifacts import make_adapter, token_ids
from tests.helpers.models import make_model

IDS = token_ids(40)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process; its exit code, and what it printed and said."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose attention has biases."""
    return make_model("qwen2", tmp_path_factory.mktemp("qwen2"))


@pytest.fixture
def rows(tmp_path: Path, word_problems: list[dict[str, str]]) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in word_problems[:6]))
    return file


def of_peft(model: Path, adapter: Path | None, tokens: int = 0) -> Any:
    """What transformers says, with PEFT's own model of an adapter."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if tokens:
        network.resize_token_embeddings(tokens, mean_resizing=False)
    network = PeftModel.from_pretrained(network, adapter) if adapter else network
    with torch.no_grad():
        return network.eval()(torch.tensor([IDS])).logits[0].numpy()


def of_artifact(folder: Path) -> Any:
    runtime = OnnxRuntime(folder, 600, threads=1)
    return np.array(teacher_forced(runtime, IDS[:20], IDS[20:]))


def moved(adapter: Path) -> Path:
    """Change what an adapter saves whole too, as training does."""
    file = adapter / "adapter_model.safetensors"
    state, noise = load_file(file), torch.Generator().manual_seed(5)
    for name in state:
        if ".lora_" not in name:
            state[name] += 0.05 * torch.randn(state[name].shape, generator=noise)
    save_file(state, file, {"format": "pt"})
    return adapter


SHAPES: dict[str, dict[str, Any]] = {
    "rslora on some layers": {
        "use_rslora": True,
        "layers_to_transform": [1],
        "modules": ["q_proj", "down_proj"],
        "init_lora_weights": "gaussian",
    },
    "ranks and alphas by pattern": {
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 6},
        "alpha_pattern": {"v_proj": 32},
    },
    "norms, embedding and head saved whole": {
        "modules_to_save": ["norm", "input_layernorm", "embed_tokens", "lm_head"]
    },
    "all biases": {"bias": "all"},
    "DoRA with biases of its layers": {"bias": "lora_only", "use_dora": True},
    "some tokens": {"trainable_token_indices": [7, 8], "modules_to_save": ["norm"]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_adapter_of_another_tool_is_in_the_artifact(
    shape: str, qwen: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    adapter = moved(make_adapter(qwen, tmp_path / "peft", 1, **SHAPES[shape]))
    expected, plain = of_peft(qwen, adapter), of_peft(qwen, None)
    assert np.abs(expected - plain).max() > 0.1
    code, out, err = command(
        "export",
        "--model",
        qwen,
        "--adapter",
        adapter,
        "--artifacts",
        "onnx-fp32",
        "--out",
        tmp_path / "out",
        "--data",
        rows,
        "--threads",
        1,
    )
    assert code == 0 and out == f"{tmp_path / 'out'}\n", err
    assert "was trained on" not in err
    made = artifacts.load(tmp_path / "out" / "onnx-fp32")
    np.testing.assert_allclose(of_artifact(made.path), expected[19:39], atol=1e-4)
    assert made.manifest["adapter"] == "merged" and made.manifest["adapter_rank"] == 4
    assert made.manifest["adapter_sha256"] == artifacts.adapter_sha256(adapter)
    assert made.manifest["base"]["weights_sha256"] == artifacts.weights_sha256(qwen)
    artifacts.require_made_of(made, qwen, adapter)


def test_added_tokens_come_with_their_embeddings_tokenizer_and_template(
    tiny_model: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens(["<tool>", "</tool>"])
    template = tokenizer.chat_template.replace("assistant", "model")
    tokenizer.chat_template = {"default": template, "tool_use": "{{ tools }}" + template}
    network = AutoModelForCausalLM.from_pretrained(tiny_model)
    network.resize_token_embeddings(544, mean_resizing=False)
    tuned = get_peft_model(network, LoraConfig(r=4, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    tuned.save_pretrained(tmp_path / "peft")
    tokenizer.save_pretrained(tmp_path / "peft")
    adapter, out = moved(tmp_path / "peft"), tmp_path / "out"
    expected = of_peft(tiny_model, adapter, 544)
    code, _, err = command(
        "export",
        "--model",
        tiny_model,
        "--adapter",
        adapter,
        "--artifacts",
        "onnx-fp32",
        "--out",
        out,
        "--data",
        rows,
    )
    assert code == 0, err
    got = of_artifact(out / "onnx-fp32")
    np.testing.assert_allclose(got, expected[19:39], atol=1e-4)
    assert got.shape[1] == 544
    own = AutoTokenizer.from_pretrained(out / "onnx-fp32")
    assert own.encode("a<tool>") == tokenizer.encode("a<tool>") and len(own) == len(tokenizer)
    assert own.chat_template == tokenizer.chat_template
    said = (out / "onnx-fp32" / "chat_template.jinja").read_text()
    assert "<|im_start|>model" in said


def test_an_artifact_cuts_text_as_the_models_tokenizer_json_says(
    qwen: Path, tmp_path: Path, command: Command
) -> None:
    """transformers makes Qwen2's own tokenizer of it, and so does the builder, which saves that."""
    given = ("--model", qwen, "--artifacts", "onnx-fp32", "--context-length", 600)
    code, _, err = command("export", *given, "--out", tmp_path / "out")
    assert code == 0, err
    text = "12345 + 67890 = 80235"
    own, theirs = (
        Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
        for folder in (tmp_path / "out" / "onnx-fp32", qwen)
    )
    assert own == theirs


def test_base_and_tuned_in_one_format(
    tiny_model: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    """The plain model, and an adapter as mlx-lm writes it; each passes the gate, with its own."""
    adapter = make_adapter(tiny_model, tmp_path / "peft", 1)
    mlx = convert(adapter, tmp_path / "mlx")
    settings = json.loads((mlx / "adapter_config.json").read_text())
    settings["model"] = "someone/another-model"
    (mlx / "adapter_config.json").write_text(json.dumps(settings))
    base, tuned = tmp_path / "base" / "onnx-fp32", tmp_path / "tuned" / "onnx-fp32"
    given = ["--model", tiny_model, "--data", rows, "--threads", 1]
    with_adapter = [*given, "--adapter", mlx]
    for extra, folder in ((given, base.parent), (with_adapter, tuned.parent)):
        for _ in range(2):  # the second renews it
            code, _, err = command(
                "export",
                *extra,
                "--artifacts",
                "onnx-fp32",
                "--context-length",
                600,
                "--out",
                folder,
            )
            assert code == 0, err
            named = "was trained on someone/another-model, as it says" in err
            assert named == (folder == tuned.parent)
        left = {path.name for path in folder.iterdir()}
        assert left == {"onnx-fp32", owned.MARKER, ".stage.lock", ".stage.json"}
    np.testing.assert_allclose(of_artifact(base), of_peft(tiny_model, None)[19:39], atol=1e-4)
    np.testing.assert_allclose(of_artifact(tuned), of_peft(tiny_model, adapter)[19:39], atol=1e-4)
    manifest = artifacts.load(base).manifest
    assert manifest["adapter_sha256"] is manifest["adapter_rank"] is manifest["adapter"] is None
    assert manifest["prompt"]["reply"] == "whole" and manifest["context_length"] == 600
    code, out, _ = command("inspect", base, "--json")
    assert code == 0 and json.loads(out) == manifest
    code, out, _ = command("inspect", base)
    assert code == 0 and "adapter    none: the plain model" in out
    both = [model.name for model in models_of([base, tuned], False, Bench())]
    assert both == ["base/onnx-fp32", "tuned/onnx-fp32"]
    run = tmp_path / "run"
    shutil.copytree(adapter, run / "adapter")
    assert not artifacts.is_current(manifest, run)
    for extra, folder in ((given, base), (with_adapter, tuned)):
        figures = folder.with_name("figures")
        for _ in range(2):  # the second renews them
            code, out, err = command("check", folder, *extra, "--out", figures)
        model = "plain" if folder == base else "merged"
        assert code == 0 and out.startswith("onnx-fp32: passed: 100.0% of"), err
        found = json.loads((figures / "onnx-fp32.json").read_text())
        assert found["passed"] and found["reference"] == model and found["problems"] == 3
        assert ("merging" in found) == (folder == tuned)
        assert [row["tokens"] for row in found["long"]] == [300, 600]
    owned.claim(run / "parity", "parity")  # that of a run, which says what its recipe asks
    code, _, err = command("check", base, *given, "--out", run / "parity")
    assert code == 2 and "holds srl-edge's parity, not its checks of weights " in err
    before = (figures / "onnx-fp32.json").read_bytes()
    code, _, err = command("check", base, *given, "--out", figures)  # those of the tuned
    weights = f"checks of weights {artifacts.weights_sha256(tiny_model)[:12]}"
    assert code == 2 and f"figures: holds srl-edge's {weights} and adapter " in err
    assert err.endswith(f", not its {weights}; name another.\n")
    assert (figures / "onnx-fp32.json").read_bytes() == before
    code, _, err = command(
        "export",
        *given,
        "--artifacts",
        "onnx-fp32",
        "--context-length",
        640,
        "--out",
        tmp_path / "again",
    )
    assert code == 0, err
    plain = base.with_name("figures") / "onnx-fp32.json"
    before = plain.read_bytes()
    code, out, err = command(
        "check", tmp_path / "again" / "onnx-fp32", *given, "--out", plain.parent
    )
    assert (
        code == 2 and not out and f"{plain}: is of another onnx-fp32 than {tmp_path}/again" in err
    )
    assert plain.read_bytes() == before
    for folder, extra, words in (
        (base, with_adapter, "of the model alone, without an adapter; leave --adapter out"),
        (tuned, given, "was made with an adapter; name it (--adapter)"),
    ):
        code, out, err = command("check", folder, *extra)
        assert code == 2 and not out and words in err.splitlines()[-1]
    other = make_adapter(tiny_model, tmp_path / "other", 2)
    code, _, err = command("check", tuned, *given, "--adapter", other)
    assert code == 2 and f"was made with another adapter than {other}; name its own" in err
    code, _, err = command("check", tuned, "--model", make_model("llama", tmp_path / "m", seed=9))
    assert code == 2 and "was made of other weights than those of" in err


@pytest.mark.parametrize("of", ["another model", "another adapter", "the same"])
def test_an_artifact_of_another_model_is_not_replaced(
    of: str, tiny_model: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    out = owned.claim(tmp_path / "out", "exports")
    weights = "0" * 64 if of == "another model" else artifacts.weights_sha256(tiny_model)
    with scratch_folder(out, "onnx-fp32") as scratch:
        (scratch / "model.bits").write_bytes(b"of days")
        manifest = {
            "format": "onnx",
            "quantization": "fp32",
            "context_length": 600,
            "base": {"name": "model-a", "weights_sha256": weights},
            "adapter_sha256": "0" * 64 if of == "another adapter" else None,
        }
        artifacts.write_manifest(scratch, manifest)
        folder = owned.publish(scratch, out / "onnx-fp32")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    given = ("--model", tiny_model, "--data", rows, "--artifacts", "onnx-fp32", "--out", out)
    code, _, err = command("export", *given, "--context-length", 600, "--threads", 1)
    if of == "the same":
        assert code == 0 and artifacts.load(folder).manifest["files"].keys() > {"config.json"}, err
        return
    assert code == 2 and "was made of another model or adapter (model-a), and it would be" in err
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_the_gate_stops_what_is_broken_and_says_what_it_cannot_measure(
    tiny_model: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    given = ["--model", tiny_model, "--data", rows]
    code, _, err = command("export", *given, "--artifacts", "onnx-fp32", "--out", tmp_path / "out")
    assert code == 0, err
    folder = tmp_path / "out" / "onnx-fp32"
    manifest = artifacts.load(folder).manifest
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["eos_token_id"] = 0
    (folder / "genai_config.json").write_text(json.dumps(config))
    code, _, err = command("check", folder, *given)
    assert code == 2 and "changed since the export (sha256)" in err
    artifacts.write_manifest(folder, manifest)
    code, out, err = command("check", folder, *given)
    assert code == 3 and out.startswith("onnx-fp32: failed: 100.0% of ")
    assert "onnx-fp32: ends replies at token ids [0], the trained model at [2]" in err
    phone = tmp_path / "executorch-vulkan-fp16"
    shutil.copytree(folder, phone)
    artifacts.write_manifest(
        phone, manifest | {"format": "executorch", "quantization": "vulkan-fp16"}
    )
    code, out, err = command("check", phone, *given)
    assert code == 4 and not out and "executorch-vulkan-fp16: nothing here runs it" in err


def test_general_texts_stand_in_for_a_file(
    tiny_model: Path, tmp_path: Path, command: Command
) -> None:
    code, _, err = command(
        "export",
        "--model",
        tiny_model,
        "--artifacts",
        "onnx-int4",
        "--int8-layers",
        "*.down_proj",
        "--prompt-preset",
        "general",
        "--context-length",
        2000,
        "--out",
        tmp_path / "out",
    )
    assert code == 0, err
    manifest = artifacts.load(tmp_path / "out" / "onnx-int4").manifest
    assert manifest["prompt"]["think"] and manifest["prompt"]["reply"] == "step"
    assert manifest["options"]["int8_layers"] == ["*.down_proj"]


def wrong_base(base: Path, tmp_path: Path) -> list[object]:
    wider = make_model("llama", tmp_path / "wider", hidden_size=128)
    return ["--adapter", make_adapter(wider, tmp_path / "peft", 1)]


def more_layers(base: Path, tmp_path: Path) -> list[object]:
    deeper = make_model("llama", tmp_path / "deeper", num_hidden_layers=4)
    return ["--adapter", make_adapter(deeper, tmp_path / "peft", 1)]


def changed(**settings: Any) -> Callable[[Path, Path], list[object]]:
    def given(base: Path, tmp_path: Path) -> list[object]:
        adapter = make_adapter(base, tmp_path / "peft", 1)
        file = adapter / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))
        return ["--adapter", adapter]

    return given


def shaped(**settings: Any) -> Callable[[Path, Path], list[object]]:
    return lambda base, tmp_path: [
        "--adapter",
        make_adapter(base, tmp_path / "peft", 1, **settings),
    ]


def mlx_dora(base: Path, tmp_path: Path) -> list[object]:
    mlx = convert(make_adapter(base, tmp_path / "peft", 1), tmp_path / "mlx")
    file = mlx / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fine_tune_type": "dora"}))
    return ["--adapter", mlx]


def foreign_out(base: Path, tmp_path: Path) -> list[object]:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    return []


def foreign_artifact(base: Path, tmp_path: Path) -> list[object]:
    owned.claim(tmp_path / "out", "exports")
    (tmp_path / "out" / "onnx-fp32").mkdir()
    (tmp_path / "out" / "onnx-fp32" / "model.onnx").write_text("mine")
    return []


def artifacts_of_a_run(base: Path, tmp_path: Path) -> list[object]:
    owned.claim(tmp_path / "out", "artifacts")
    return []


def empty_data(base: Path, tmp_path: Path) -> list[object]:
    (tmp_path / "none.jsonl").write_text('{"problem": "What?"}\n')
    return ["--data", tmp_path / "none.jsonl"]


def no_template(base: Path, tmp_path: Path) -> list[object]:
    shutil.copytree(base, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    return ["--model", tmp_path / "model"]


def of_no_route(base: Path, tmp_path: Path) -> list[object]:
    return ["--model", make_model("gemma4", tmp_path / "model")]


REFUSED: dict[Any, str] = {
    wrong_base: r"does not fit .*\(size mismatch for .*\); it was trained for ",
    more_layers: "does not fit .*14 of its weights have no place there, first ",
    changed(peft_type="LOHA"): "is of the kind LOHA; only LORA is merged",
    shaped(lora_bias=True): "cannot be merged: Impossible to merge LoRA with `lora_bias=True`",
    shaped(
        alora_invocation_tokens=[5, 6], modules=["q_proj"], task_type="CAUSAL_LM"
    ): "has alora_invocation_tokens, which lets it act only after certain tokens, and can",
    shaped(layer_replication=[[0, 2], [1, 3]]): "has layer_replication, which repeats layers of",
    shaped(
        trainable_token_indices=[7], modules=["q_proj", "lm_head"]
    ): "has trainable_token_indices, which change .* that cannot be merged exactly",
    mlx_dora: "fine_tune_type is 'dora'; only 'lora' can be converted",
    foreign_out: "thesis.tex was not written by srl-edge, .* name another folder",
    foreign_artifact: "model.onnx was not written by srl-edge, .* name another folder",
    artifacts_of_a_run: "holds srl-edge's artifacts, not its exports; name another",
    empty_data: "none of 1 rows can be used; dropped: 1 for no solution and no steps",
    no_template: "the tokenizer has no chat template, so prompts cannot be rendered",
    of_no_route: "family 'gemma4_text' cannot be made into onnx-fp32; only Llama",
    lambda *_: ["--artifacts", "onnx-int3"]: "'onnx-int3' is not known; choose from onnx-fp32,",
    lambda *_: ["--adapter", "nowhere"]: "nowhere: no such folder; --adapter takes one of PEFT",
    lambda base, _: ["--adapter", base]: "no adapter_model.safetensors, so this is not a PEFT adap",
    lambda *_: ["--data", "nowhere.jsonl"]: "nowhere.jsonl: no such file",
    lambda *_: ["--model", "nowhere"]: "model 'nowhere': neither a folder, nor a hub id",
    lambda *_: ["--context-length", "4000"]: "a context_length of 4000 is more than the 2048 pos",
    lambda *_: ["--context-length", "8"]: "general texts: too few leave room for a reply of 2 tok",
    lambda *_: ["--threads", "-1"]: "'threads': input should be greater than or equal to 0",
}


@pytest.mark.parametrize("given", REFUSED, ids=lambda given: REFUSED[given][:30])
def test_what_cannot_be_exported_is_one_sentence(
    given: Callable[[Path, Path], list[object]], tiny_model: Path, tmp_path: Path, command: Command
) -> None:
    extra = given(tiny_model, tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    code, out, err = command(
        "export",
        "--model",
        tiny_model,
        "--artifacts",
        "onnx-fp32",
        "--out",
        tmp_path / "out",
        *extra,
    )
    said = [line for line in err.splitlines() if "weights:" not in line and "shards:" not in line]
    assert code == 2 and not out, err
    assert re.search(REFUSED[given], said[-1]), said
    assert said[-1].startswith("srl-edge: ") and "Traceback" not in err
    assert before == {p: p.read_bytes() for p in before}
    assert not list((tmp_path / "out").glob("[!.]*/manifest.json"))
    assert not list(tmp_path.rglob(".srl-edge-scratch-*"))


def test_an_adapter_that_names_another_model_is_told_of_and_taken_where_it_fits(
    tiny_model: Path, tmp_path: Path, rows: Path, command: Command
) -> None:
    extra = changed(base_model_name_or_path="someone/else")(tiny_model, tmp_path)
    code, _, err = command(
        "export",
        "--model",
        tiny_model,
        *extra,
        "--artifacts",
        "onnx-fp32",
        "--data",
        rows,
        "--out",
        tmp_path / "out",
    )
    assert code == 0 and "was trained on someone/else, as it says, and not on" in err


@pytest.mark.parametrize("verb", ["export", "check"])
def test_help_describes_both_ways(verb: str, command: Command) -> None:
    code, out, _ = command(verb, "-h")
    assert code == 0 and f"srl-edge {verb} PATH" in out and "--model M" in out
    code, _, err = command(verb, "--adapter", "x")
    assert code == 2 and "a recipe" in err and "run folder" in err


@pytest.mark.parametrize(
    "change", [{"dtype": "float33"}, {"quantization": "weird"}, {"backend": 1}]
)
def test_frozen_weights_of_no_known_kind_are_refused_before_anything_is_written(
    change: dict[str, Any], tiny_model: Path, tmp_path: Path, command: Command
) -> None:
    adapter, out = make_adapter(tiny_model, tmp_path / "peft", 1), tmp_path / "out"
    frozen = {"backend": "torch", "quantization": "int8", "dtype": "float32"} | change
    (adapter / "frozen_weights.json").write_text(json.dumps(frozen))
    given = ("--model", tiny_model, "--adapter", adapter, "--artifacts", "onnx-fp32")
    code, _, err = command("export", *given, "--out", out)
    assert code == 2 and "frozen_weights.json" in err and next(iter(change)) in err
    assert not out.exists()
