"""What anybody made, of every kind: recognized by its files, measured, or refused in a sentence."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from srl_edge.cli import main
from srl_edge.devices.bench import facts, what
from srl_edge.devices.hosts import local
from srl_edge.recipe import Bench
from srl_edge.report.results import samples_file
from tests.helpers.command_line import srl_edge
from tests.helpers.foreign import (
    copy_tokenizer,
    genai_folder,
    gguf_file,
    mlx_folder,
    open_here,
    pte_folder,
    without_template,
)
from tests.helpers.models import make_model

CONTEXT = 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """A tiny Qwen2, which every format takes."""
    return make_model("qwen2", folder / "qwen")


@pytest.fixture(scope="module")
def genai(folder: Path, model: Path) -> Path:
    return genai_folder(model, folder / "ort", CONTEXT)


@pytest.fixture(scope="module")
def pte(folder: Path, model: Path) -> Path:
    pytest.importorskip("executorch")
    return pte_folder(model, folder / "et", CONTEXT)


@pytest.fixture(scope="module")
def quantized(folder: Path, model: Path) -> Path:
    return gguf_file(model, folder / "gg" / "their-qwen.gguf")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runners in this process, and a cache of one's own."""
    monkeypatch.setattr(local, "open_session", open_here)
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def rows(tmp_path: Path, word_problems: list[dict[str, str]]) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in word_problems[:8]))
    return file


def bench(rows: Path, out: Path, *named: object, code: int | None = None) -> dict[str, Any]:
    """The results of a small benchmark by the command line."""
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "bench-tasks",
                *map(str, named),
                "--tasks",
                "animals",
                "--data",
                str(rows),
                "--limit",
                "3",
                "--max-new-tokens",
                "5",
                "--repeats",
                "1",
                "--threads",
                "1",
                "--prompt-tokens",
                "16",
                "--decode-tokens",
                "2",
                "--out",
                str(out),
            ]
        )
    assert ended.value.code == (code or 0)
    if code:
        return {}
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def replies(out: Path, name: str) -> list[list[str]]:
    date = json.loads((out / "settings.json").read_text())["date"]
    lines = samples_file(out, name, "animals", date).read_text().splitlines()
    samples = sorted(map(json.loads, lines), key=lambda row: row["doc_id"])
    return [sample["resps"][0] for sample in samples]


@pytest.mark.usefixtures("here")
def test_every_kind_of_the_same_weights_gives_the_same_replies(
    model: Path, genai: Path, pte: Path, quantized: Path, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = bench(rows, out, model, genai, pte, quantized)
    kinds = {row["name"]: row["backend"] for row in found["rows"]}
    assert kinds == {"qwen": "torch", "ort": "onnx", "et": "executorch", "their-qwen": "gguf"}
    expected = replies(out, "qwen")
    assert all(len(text[0]) > 3 for text in expected)
    for name in kinds:
        assert replies(out, name) == expected, name
    told = {row["name"]: row["told"] for row in found["rows"]}
    assert told["qwen"]["quantization"] == "none, weights in float32"
    assert told["ort"] == {
        "format": "onnxruntime-genai",
        "architecture": "qwen2",
        "quantization": "not told",
        "context": "512 tokens",
        "asked": "for one whole reply",
    }
    assert told["et"]["quantization"] == "not told" and told["et"]["context"] == "512 tokens"
    assert told["their-qwen"]["quantization"] == "F32"
    page = (out / "report.html").read_text()
    assert "ort: format: onnxruntime-genai; architecture: qwen2; quantization: not told" in page
    assert "differ from one-at-a-time ones" in page
    answers = {row["name"]: row["tasks"]["animals"] for row in found["rows"]}
    for name in ("qwen", "ort", "their-qwen"):
        batching = answers[name]["batching"]
        assert batching["compared"] == 3 and batching["differing"] == 0
    assert answers["et"]["batching"] is None
    sizes = {row["name"]: row["size_mb"] for row in found["rows"]}
    assert sizes["their-qwen"] > quantized.stat().st_size / 1e6


@pytest.mark.usefixtures("here")
def test_an_mlx_folder(model: Path, rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm")
    made = mlx_folder(model, tmp_path / "apple")
    found = bench(rows, tmp_path / "out", made, model)
    mlx, torch = found["rows"]
    assert (mlx["backend"], torch["backend"]) == ("mlx", "torch")
    assert mlx["told"]["format"] == "MLX"
    assert replies(tmp_path / "out", "apple") == replies(tmp_path / "out", "qwen")
    (settings,) = what.models_of([made], False, Bench())
    assert settings.kind == "mlx:2048"
    config = json.loads((made / "config.json").read_text())
    config["quantization"] = {"bits": 4, "group_size": 64}
    (made / "config.json").write_text(json.dumps(config))
    (four,) = what.models_of([made], False, Bench())
    assert four.told["quantization"] == "4 bits"


@pytest.mark.usefixtures("here")
def test_a_model_without_a_chat_template_is_asked_in_plain_text(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    base = without_template(model, tmp_path / "base")
    found = bench(rows, tmp_path / "out", base)
    (row,) = found["rows"]
    assert row["told"]["asked"] == "for one whole reply, in plain text (no chat template)"
    (recognized,) = what.models_of([base], False, Bench())
    ids = recognized.chat.prompt_ids("1 + 1?", [])
    assert recognized.chat.decode(ids).startswith("Question: 1 + 1?\nPlease reason step by step")
    assert recognized.chat.decode(ids).endswith("\nAnswer:")


def test_what_the_command_starts_runs_what_others_made(
    genai: Path, rows: Path, tmp_path: Path
) -> None:
    """A runner of its own, as users have it."""
    done = srl_edge(
        "bench-tasks",
        genai,
        "--tasks",
        "animals",
        "--data",
        rows,
        "--limit",
        "2",
        "--repeats",
        "1",
        "--max-new-tokens",
        "4",
        "--prompt-tokens",
        "16",
        "--decode-tokens",
        "2",
        "--threads",
        "1",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    assert "ort: format: onnxruntime-genai" in done.stderr
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert row["tasks"]["animals"]["problems"] == 2 and row["tasks"]["animals"]["lost"] == 0


@pytest.mark.usefixtures("here")
def test_a_reply_ends_where_the_context_of_a_foreign_file_is_full(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    """Ours say that they were exported too short; of others nobody here chose the length."""
    made = genai_folder(model, tmp_path / "short", 64)
    (short,) = what.models_of([made], False, Bench())
    assert short.kind == "onnx:64"
    session = open_here("short", short.kind, made, 1)
    (alone,) = session.generate([list(range(3, 61))], 30)
    together = session.generate([list(range(3, 61)), list(range(4, 40))], 30)
    assert len(alone.ids) == 6 and [len(reply.ids) for reply in together] == [6, 28]


def no_model(folder: Path, model: Path, genai: Path) -> None:
    (folder / "notes.txt").write_text("nothing")


def two_gguf(folder: Path, model: Path, genai: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (folder / name).write_bytes(b"GGUF")


def gguf_and_onnx(folder: Path, model: Path, genai: Path) -> None:
    for name in ("a.gguf", "model.onnx"):
        (folder / name).write_bytes(b"GGUF")


def two_kinds(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    shutil.copy(model / "model.safetensors", folder)


def damaged_gguf(folder: Path, model: Path, genai: Path) -> None:
    (folder / "a.gguf").write_bytes(b"GGUF" + bytes(10))


def no_gguf(folder: Path, model: Path, genai: Path) -> None:
    (folder / "a.gguf").write_bytes(b"PK\x03\x04 something else")


def unknown_architecture(folder: Path, model: Path, genai: Path) -> None:
    gguf_file(model, folder / "a.gguf", "rwkv9")


def lone_onnx(folder: Path, model: Path, genai: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


def pte_alone(folder: Path, model: Path, genai: Path) -> None:
    (folder / "model.pte").write_bytes(b"")


def damaged_pte(folder: Path, model: Path, genai: Path) -> None:
    (folder / "model.pte").write_bytes(bytes(100))
    copy_tokenizer(model, folder)


def loads_a_library(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["decoder"]["session_options"]["custom_ops_library"] = "/nowhere/theirs.so"
    (folder / "genai_config.json").write_text(json.dumps(config))


def another_provider(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    config = json.loads((folder / "genai_config.json").read_text())
    options = [{"cuda": {"enable_cuda_graph": "0"}}]
    config["model"]["decoder"]["session_options"]["provider_options"] = options
    (folder / "genai_config.json").write_text(json.dumps(config))


def graph_missing(folder: Path, model: Path, genai: Path) -> None:
    shutil.copy(genai / "genai_config.json", folder)
    copy_tokenizer(model, folder)


def adapter(folder: Path, model: Path, genai: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def pickled(folder: Path, model: Path, genai: Path) -> None:
    shutil.copy(model / "config.json", folder)
    (folder / "pytorch_model.bin").write_bytes(b"")


def damaged_template(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(model, folder, dirs_exist_ok=True)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}")


def no_tokenizer(folder: Path, model: Path, genai: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model / name, folder)


def genai_with_a_pipe(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def pipe_for_a_program(folder: Path, model: Path, genai: Path) -> None:
    os.mkfifo(folder / "model.pte")
    copy_tokenizer(model, folder)


def link_for_a_program(folder: Path, model: Path, genai: Path) -> None:
    (folder.parent / "elsewhere.pte").write_bytes(bytes(100))
    (folder / "model.pte").symlink_to(folder.parent / "elsewhere.pte")
    copy_tokenizer(model, folder)


def linked_graph(folder: Path, model: Path, genai: Path) -> None:
    shutil.copytree(genai, folder, dirs_exist_ok=True)
    shutil.move(folder / "model.onnx", folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (genai_with_a_pipe, "tokenizer.json: a pipe or a device, and no file"),
        (pipe_for_a_program, "model.pte: a pipe or a device, and no file"),
        (link_for_a_program, "model.pte: a link to a file outside of"),
        (linked_graph, "model.onnx: a link to a file outside of"),
        (no_model, "nothing here is a model: no manifest.json, config.json with *.safetensors"),
        (two_gguf, "holds 2 models (a.gguf, b.gguf); name the file"),
        (gguf_and_onnx, "holds 2 models (a.gguf, model.onnx); name the file"),
        (two_kinds, "holds 2 models (model.safetensors, genai_config.json); name the file"),
        (damaged_gguf, "a.gguf: not a GGUF file, or a damaged one"),
        (no_gguf, "a.gguf: not a GGUF file, or a damaged one."),
        (unknown_architecture, "architecture 'rwkv9' cannot be run here; without llama.cpp"),
        (lone_onnx, "model.onnx: no genai_config.json beside it"),
        (pte_alone, "model.pte: no tokenizer.json beside it, so it cannot be asked"),
        (damaged_pte, "model.pte: ExecuTorch does not read it: "),
        (loads_a_library, "custom_ops_library is not allowed to be a text"),
        (another_provider, "provider_options is not allowed to be a section"),
        (graph_missing, "model.onnx: missing, though genai_config.json names it."),
        (adapter, "an adapter without its model; merge it first"),
        (pickled, "only pickled weights (*.bin, *.pt); srl-edge reads safetensors alone"),
        (damaged_template, "the model's chat template is none: "),
        (no_tokenizer, "no tokenizer (tokenizer.json, tokenizer.model), so it cannot be asked"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    make: Any,
    said: str,
    model: Path,
    genai: Path,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(facts, "find_spec", lambda name: None)  # as without llama.cpp
    folder = tmp_path / "theirs"
    folder.mkdir()
    make(folder, model, genai)
    bench(rows, tmp_path / "out", folder, code=2)
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("there/is/no.gguf", "there/is/no.gguf: no such file."),
        ("smolm2-135m-instruct", "Did you mean smollm2-135m-instruct?"),
        ("qwen/model.safetensors", "name the folder that it is in"),
        ("rows.jsonl", "not a file that is known; *.gguf and *.pte are"),
    ],
)
def test_a_name_that_is_none(
    named: str,
    said: str,
    model: Path,
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(model, tmp_path / "qwen")
    monkeypatch.chdir(tmp_path)
    bench(rows, tmp_path / "out", named, code=2)
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("names", [("same", "same"), ("Same-Q4", "same-q4"), ("a b", "a-b")])
@pytest.mark.usefixtures("here")
def test_two_of_one_name_are_told_apart(
    names: tuple[str, str], model: Path, rows: Path, tmp_path: Path
) -> None:
    """Also where only a file system that ignores case takes the names for one."""
    named = [tmp_path / folder / name for folder, name in zip("xy", names, strict=True)]
    for path in named:
        shutil.copytree(model, path)
    found = bench(rows, tmp_path / "out", *named)
    assert [row["name"] for row in found["rows"]] == [f"x/{names[0]}", f"y/{names[1]}"]
    places = [path.name.casefold() for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(set(places)) == 2


@pytest.mark.parametrize("names", [("same", "same"), ("Same", "same")])
@pytest.mark.usefixtures("here")
def test_two_that_nothing_tells_apart_are_refused(
    names: tuple[str, str],
    model: Path,
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in names:
        shutil.copytree(model, tmp_path / name, dirs_exist_ok=True)
    bench(rows, tmp_path / "out", *(tmp_path / name for name in names), code=2)
    assert "named twice, or as another's is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
