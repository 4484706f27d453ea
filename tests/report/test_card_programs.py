"""The programs in model cards: they ask as srl-edge asks, and print what its runtimes answer."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from transformers import AutoTokenizer

from srl_edge import artifact
from srl_edge.artifact import load
from srl_edge.devices.runtimes.chat import Asked, Chat, text_of
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.open import open_runtime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.models.tokenizer import stop_ids
from srl_edge.recipe import Recipe
from srl_edge.report.card import write
from srl_edge.report.card_asking import asking_of, code
from tests.helpers.models import CHAT_TEMPLATE, make_tokenizer
from tests.helpers.reports import note_trained, write_data
from tests.helpers.templates import QWEN_3

CONTEXT, STEPS, TOKENS = 256, 3, 24
PROBLEM = "Ann has 3 cats and 4 dogs."
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('none') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DATED = "{{ strftime_now('%d %b %Y') }}\n" + CHAT_TEMPLATE
THINKING = CHAT_TEMPLATE.replace("assistant\n{%", "assistant\n<think>\n{%")


def recipe_of(run: Path, base: Path, reply: str = "step", **prompt: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": str(base)},
            "prompt": prompt,
            "bench": {"max_steps": STEPS, "max_new_tokens": TOKENS},
            "stages": [{"kind": "sft", "steps": 1, "reply": reply}],
        }
    )


def program(folder: Path) -> str:
    """The Python of a folder's card, which asks about a problem of this test's."""
    text = ModelCard((folder / "README.md").read_text(encoding="utf-8")).text
    ((_, found),) = re.findall(r"^(`{3,})python\n(.*?)^\1$", text, re.S | re.M)
    assert len(re.findall(r"^problem = .*$", found, re.M)) == 1
    return re.sub(r"^problem = .*$", f"problem = {PROBLEM!r}", found, flags=re.M)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, NO_SYSTEM, DATED, THINKING, QWEN_3])
@pytest.mark.parametrize(
    ("reply", "prompt"),
    [
        ("step", {"preset": "word-problems"}),
        ("whole", {"preset": "general", "whole": "{problem} '''\n```\\d {steps}"}),
        ("step", {"preset": "math"}),
        ("step", {"preset": "commands", "chat_template_kwargs": {"enable_thinking": False}}),
        (
            "step",
            {
                "preset": "math",
                "chat_template_kwargs": {"a=1, **print('X'), b": 1, "c-d": 2},
            },
        ),
        ("step", {"preset": "agent"}),
        ("step", {"preset": "agent", "context_pairs": 0, "think": False}),
        ("step", {"preset": "agent", "answer": r"(?i)the end: (\w+)"}),
    ],
)
def test_a_program_asks_as_the_model_was_trained(
    template: str, reply: str, prompt: dict[str, Any], tmp_path: Path
) -> None:
    run, merged = tmp_path / "run", tmp_path / "run" / "merged"
    tokenizer = make_tokenizer(merged)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(merged)
    (run / "adapter").mkdir()
    (run / "adapter" / "adapter_model.safetensors").touch()
    write_data(run)
    recipe = recipe_of(run, tmp_path, reply, **prompt)
    note_trained(recipe)
    write(recipe, run)
    asking, loop, _ = program(run / "adapter").partition("\ntokenizer = ")
    assert loop
    given: dict[str, Any] = {"tokenizer": AutoTokenizer.from_pretrained(merged)}
    exec(
        re.sub(r"^(import torch|from peft .*|from transformers .*)$", "", asking, flags=re.M), given
    )
    form, chat = recipe.prompt.form, Chat(merged, Asked(recipe.prompt.form, recipe.whole))
    problem = "What is {steps} of {problem}? \\1"
    steps = () if recipe.whole else ("first {problem}", "second\\n", "third")
    heard = ("seen 0\n\nUser: {steps} \\1", "seen 1", "seen 2")  # of the first, the words stay
    seen = heard if form.action != "text" else ()
    said = given["prompt"](problem, list(zip(steps, seen, strict=True)) if seen else steps)
    assert chat.encode(said) == chat.prompt_ids(problem, steps, seen)


@pytest.mark.parametrize("adapter", [None, "adapter.of"])
@pytest.mark.parametrize("preset", ["word-problems", "commands", "agent"])
@pytest.mark.parametrize("kind", ["onnx", "executorch", "mlx", "gguf", "optimum"])
def test_every_program_is_python(
    kind: str, preset: str, adapter: str | None, tmp_path: Path
) -> None:
    asking = asking_of(recipe_of(tmp_path, tmp_path, preset=preset), tmp_path, None)
    block = code(kind, asking, context_length=77, adapter=adapter)
    said = block.removeprefix("```python\n").removesuffix("```")
    compile(said, kind, "exec")
    assert "{%" not in said and "\n\n\n\n" not in said
    if kind in ("onnx", "executorch"):
        assert ("adapter.of" in said) == bool(adapter)
    assert ("input(" in said) == (preset == "agent")


@pytest.fixture(scope="module")
def run(trained: Path, taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an adapter and what it was merged into, and the folder of its base beside it."""
    folder = tmp_path_factory.mktemp("programs") / "run"
    shutil.copytree(trained, folder)
    (folder / "adapter" / "README.md").unlink()  # PEFT's own, which would stay
    shutil.copytree(taught_model, folder.parent / "base")
    write_data(folder)
    return folder


def exported(run: Path, name: str, export: Callable[[Path, Path], Any]) -> Path:
    folder = run / "artifacts" / name
    folder.mkdir(parents=True)
    export(run / "merged", folder)
    for file in run.joinpath("merged").glob("*"):
        if file.suffix in (".json", ".jinja") and not (folder / file.name).exists():
            shutil.copy(file, folder / file.name)
    format_, _, quantization = name.partition("-")
    artifact.write_manifest(
        folder,
        {
            "format": format_,
            "quantization": quantization,
            "context_length": CONTEXT,
            "stop_token_ids": stop_ids(run / "merged"),
        },
    )
    return folder


def answered(runtime: Any, chat: Chat, stops: list[int]) -> list[str]:
    """The steps that a runtime of srl-edge's takes, as the benchmark asks it."""
    steps: list[str] = []
    while len(steps) < STEPS and "####" not in "".join(steps[-1:]):
        ids = chat.prompt_ids(PROBLEM, steps)
        text, finished = text_of(chat, greedy(runtime, ids, TOKENS, stops), stops)
        steps.append(chat.asked.form.read(text, finished).action)
    return steps


def printed(written: str, folder: Path, monkeypatch: Any, capsys: Any) -> str:
    monkeypatch.chdir(folder)
    capsys.readouterr()  # what an export said before
    exec(compile(written, "card", "exec"), {"__name__": "card"})
    return str(capsys.readouterr().out)


def test_the_adapters_program(run: Path, monkeypatch: Any, capsys: Any) -> None:
    recipe, base = recipe_of(run, run.parent / "base"), run.parent / "base"
    note_trained(recipe)
    write(recipe, run)
    written = program(run / "adapter")
    assert "BASE = 'the folder of the base model'" in written
    written = written.replace("'the folder of the base model'", repr(str(base)))
    runtime = TorchRuntime(base, 1, run / "adapter")
    chat = Chat(run / "merged", Asked(recipe.prompt.form))
    steps = answered(runtime, chat, stop_ids(run / "merged"))
    assert len(steps) > 1 and any(steps)
    assert printed(written, run / "adapter", monkeypatch, capsys) == "\n".join([*steps, ""])


@pytest.mark.parametrize("name", ["onnx-fp32", "mlx-fp32", "executorch-fp32"])
def test_the_program_of_an_artifact(name: str, run: Path, monkeypatch: Any, capfd: Any) -> None:
    match name.partition("-")[0]:
        case "onnx":
            from srl_edge.exporters.onnx import build as onnx

            folder = exported(run, name, lambda a, b: onnx.export(a, b, "fp32", CONTEXT))
        case "mlx":
            pytest.importorskip("mlx_lm")
            from srl_edge.exporters.converters import mlx

            folder = exported(run, name, lambda a, b: mlx.export(a, b, "fp32"))
        case _:
            from srl_edge.exporters.executorch import build as executorch

            folder = exported(run, name, lambda a, b: executorch.export(a, b, "fp32", CONTEXT))
    recipe = recipe_of(run, run.parent / "base")
    note_trained(recipe)
    write(recipe, run)
    loaded = load(folder)  # the card beside it does no harm
    runtime, stops = open_runtime(loaded, 1), loaded.manifest["stop_token_ids"]
    steps = answered(runtime, Chat(folder, Asked(recipe.prompt.form)), stops)
    assert len(steps) > 1 and any(steps)
    said = printed(program(folder), folder, monkeypatch, capfd)
    if name.startswith("executorch"):  # whose runner prints what it does in between
        places = [said.index(f"\n{step}\n") for step in steps]
        assert places == sorted(places)
    else:
        assert said == "\n".join([*steps, ""])
