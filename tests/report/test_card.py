"""Model cards of a synthetic run: metadata, what they say and leave out, and whose they are."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from srl_edge import owned, run_folder
from srl_edge.errors import InputError
from srl_edge.files import scratch_folder
from srl_edge.method.prompt_form import PRESETS
from srl_edge.recipe import Recipe, load
from srl_edge.report.card import write
from srl_edge.report.card_base import metadata_of
from srl_edge.report.facts import gather
from srl_edge.run_folder import FAILED, begin
from tests.helpers.command_line import called, srl_edge
from tests.helpers.reports import (
    note_found,
    note_trained,
    recipe_of,
    whole_run,
    write_data,
    write_training,
)
from tests.helpers.reports import write as write_json

HEADINGS = [
    "Results",
    "How it must be asked",
    "How to run it",
    "What it was trained on",
    "How it was trained",
    "Licence",
    "Limits",
]


def with_adapter(run: Path) -> Path:
    scratch = run / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "adapter_model.safetensors").write_bytes(b"weights")
    owned.publish(scratch, run / "adapter")
    note_trained(recipe_of(run))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return with_adapter(whole_run(tmp_path / "run"))


def card(folder: Path) -> Any:
    return ModelCard((folder / "README.md").read_text(encoding="utf-8"))


def changed(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """A recipe with fields of its sections set to what no check has seen."""
    return recipe.model_copy(
        update={
            name: getattr(recipe, name).model_copy(update=fields)
            for name, fields in sections.items()
        }
    )


def test_every_part_has_a_card_with_what_was_measured_of_it(run: Path) -> None:
    found = write(recipe_of(run), run)
    assert found["kept"] == [] and len(found["written"]) == 2 * 4
    adapter, small = card(run / "adapter"), card(run / "artifacts" / "onnx-int4")
    assert adapter.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (adapter.data.base_model_relation, small.data.base_model_relation) == (
        "adapter",
        "quantized",
    )
    assert (adapter.data.library_name, small.data.library_name) == ("peft", "onnxruntime-genai")
    assert adapter.data.license == "apache-2.0" and adapter.data.language == ["en"]
    assert {"srl-edge", "sft", "srl", "onnx"} == set(small.data.tags)
    # The tuned model's row is the adapter's, and an artifact has its own.
    assert [each.metric_value for each in adapter.data.eval_results] == [0.208]
    assert [each.metric_value for each in small.data.eval_results] == [0.167]
    text = small.text
    assert "onnx-int4 (this one)" in text and "52.3 ± 0.8" in text and "1019" in text
    assert "Example CPU @ 2.50GHz (2 cores, 2 threads; Linux x86\\_64)" in text
    assert "onnx-int8" not in text and "executorch-8da4w" not in text
    assert (
        "It passed srl-edge's gate" in text
        and "the same next token, or a near tie, at 87.1% of 611" in text
    )
    assert [h for h in re.findall(r"^## (.+)", adapter.text, re.M)] == HEADINGS
    svg = ET.parse(run / "adapter" / "training.svg").getroot()
    assert svg.tag.endswith("svg") and len(list(svg.iter("{http://www.w3.org/2000/svg}svg"))) == 3
    assert "![Rewards and losses over the steps of training](training.svg)" in text


def test_a_failed_gate_and_an_older_adapter_come_first(run: Path) -> None:
    file = run / "artifacts" / "onnx-int4" / "manifest.json"
    write_json(file, json.loads(file.read_text()) | {"adapter_sha256": "0" * 64})
    note_found(recipe_of(run), "check", **{FAILED: True})
    write(recipe_of(run), run)
    failed = card(run / "artifacts" / "executorch-8da4w").text
    assert failed.index("> The gate found that this artifact does not answer") < 600
    assert "It did not pass srl-edge's gate" in failed
    old = card(run / "artifacts" / "onnx-int4").text
    assert "> This artifact was made of an earlier adapter than the run has now." in old


@pytest.mark.parametrize("linked", ["adapter", "artifacts/onnx-int4", "artifacts"])
def test_no_card_is_written_through_a_link(linked: str, run: Path, tmp_path: Path) -> None:
    elsewhere = (run / linked).rename(tmp_path / "elsewhere")
    (run / linked).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(InputError, match=f"{linked}: is a link, and srl-edge writes through none"):
        write(recipe_of(run), run, "a/b")
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("deed", ["exported again", "other settings", "edited", "named no more"])
def test_what_was_found_of_an_earlier_state_is_not_claimed(deed: str, run: Path) -> None:
    recipe = recipe_of(run)
    match deed:
        case "exported again":  # as `srl-edge export` begins
            begin(recipe, "export")
        case "other settings":
            recipe = changed(recipe, export={"context_length": 640})
        case "edited":
            for file in (run / "bench" / "results.json", run / "parity" / "onnx-int4.json"):
                file.write_text(file.read_text() + " ")
        case _:
            recipe = changed(recipe, export={"artifacts": ("onnx-int8",)})
    write(recipe, run)
    found = card(run / "artifacts" / "onnx-int4")
    assert found.data.eval_results is None and "model-index" not in found.content
    assert "srl-edge's gate" not in found.text and "onnx-int4 (this one)" not in found.text
    assert "have not been measured since the run changed." in found.text
    assert "(srl-edge check) has not been run on it as it is now." in found.text
    assert re.search(r"What .*(check|bench) left is of an earlier state of the run: ", found.text)
    assert card(run / "adapter").data.eval_results is None


@pytest.mark.parametrize("deed", ["not noted", "other data", "other settings", "another's"])
def test_what_was_trained_otherwise_than_the_run_says_has_no_card(
    deed: str, run: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(run)
    (run / "data" / "train.jsonl").write_text("{}")
    note_trained(recipe)
    write(recipe, run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    match deed:
        case "not noted":
            (run / "stages.json").unlink()
            why = "it has not been finished since"
        case "other data":
            (run / "data" / "train.jsonl").write_text("{1}")
            why = "data.train has other contents than then"
        case "other settings":
            recipe = changed(recipe, data={"source": "rb.jsonl"})
            why = "data.source was 'gsm_symbolic', and is 'rb.jsonl'"
        case _:
            (run / "adapter").rename(tmp_path / "moved")
            with scratch_folder(run, "adapter") as scratch:
                (scratch / "adapter_model.safetensors").write_bytes(b"of another run")
                owned.publish(scratch, run / "adapter")
            why = "adapter is not what this run's train made"
    if deed != "not noted":
        begin(recipe, "data")  # as `srl-edge data` does
    changes = (run / "adapter", run / "stages.json", run / "data" / "train.jsonl")
    with pytest.raises(InputError, match=f"a card would name \\(train: {why}"):
        write(recipe, run)
    for file, content in before.items():
        told = file.is_relative_to(changes[0]) or file in changes
        assert told or file.read_bytes() == content


def test_the_same_data_again_an_upgrade_a_model_that_is_gone_and_threads_do_not_take_the_card(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    recipe = changed(recipe_of(run), model={"name": str(model)})
    note_trained(recipe)
    begin(recipe, "data")
    monkeypatch.setattr(run_folder, "__version__", "99.0")
    (model / "config.json").unlink()
    assert write(changed(recipe, trainer={"threads": 7}), run)["written"]


def test_an_artifact_that_passed_is_not_blamed_for_one_that_failed(run: Path) -> None:
    (run / "parity" / "onnx-int8.json").unlink()  # which could not be loaded
    note_found(recipe_of(run), "check", **{FAILED: True})
    write(recipe_of(run), run)
    assert "It passed srl-edge's gate" in card(run / "artifacts" / "onnx-int4").text
    failed = card(run / "artifacts" / "executorch-8da4w")
    assert "It did not pass srl-edge's gate" in failed.text and failed.data.eval_results
    assert not {"check", "bench"} & gather(recipe_of(run), run).outdated.keys()


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    run = with_adapter(tmp_path / "run")
    write_data(run)
    write_training(run)
    write(recipe_of(run), run)
    found = card(run / "adapter")
    assert found.data.eval_results is None and "model-index" not in found.content
    assert "Accuracy, speed and memory have not been measured yet" in found.text
    assert "Its accuracy, speed and memory have not been measured." in found.text
    assert "| model |" not in found.text and str(tmp_path) not in found.text


def test_an_artifact_is_asked_as_its_own_manifest_says(run: Path) -> None:
    file = run / "artifacts" / "onnx-int4" / "manifest.json"
    form = PRESETS["commands"].as_dict() | {"system": "Of an earlier recipe.", "reply": "step"}
    write_json(file, json.loads(file.read_text()) | {"prompt": form})
    write(recipe_of(run), run)
    said = "Of an earlier recipe."
    assert card(file.parent).text.count(said) == 2 and said not in card(run / "adapter").text


def test_texts_of_other_people_stay_text(run: Path, tmp_path: Path) -> None:
    evil = "a|b*c*_d_ `e` [f](javascript:g) <script>$h$</script>\n---\n# i: 'j'.jsonl"
    report = json.loads((run / "data" / "report.json").read_text())
    report["dropped"] = {evil: 3}
    write_json(run / "data" / "report.json", report)
    system = "Say {problem}\n```\n---\n# no heading\n<script>"
    recipe = changed(
        recipe_of(run),
        data={"source": f"{tmp_path}/{evil}"},
        prompt={"system": system},
        model={"name": "some|one/<b>model"},
    )
    note_trained(recipe)
    note_found(recipe)
    write(recipe, run)
    found = card(run / "artifacts" / "onnx-int4")
    assert found.data.base_model is None and found.data.license is None
    tokens = MarkdownIt("commonmark").enable("table").parse(found.text)
    inner = [each for token in tokens for each in token.children or ()]
    assert not {"html_block", "hr"} & {token.type for token in tokens}
    assert not {"html_inline", "link_open", "em_open", "strong_open"} & {t.type for t in inner}
    titles = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert titles[1:] == [
        *HEADINGS[:5],
        "Does it answer as the trained model does?",
        *HEADINGS[5:],
    ]
    shown = "".join(each.content for each in inner)
    assert " ".join(evil.split()) in shown and system in found.text
    (name,) = {each.dataset_name for each in found.data.eval_results}
    assert name.startswith(evil.rpartition("/")[2][:10])


def test_no_card_says_where_anything_lies(run: Path, tmp_path: Path) -> None:
    base = tmp_path / "their-model"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: mit\n---\n")
    stage = recipe_of(run).stages[0].model_copy(update={"data": f"{tmp_path}/more.jsonl"})
    recipe = changed(
        recipe_of(run),
        model={"name": str(base)},
        data={"source": f"{tmp_path}/rows.jsonl"},
        prompt={"verifier": f"{tmp_path}/mine.py:same"},
        trainer={"vllm_url": "http://node1:8000", "vllm_folder": f"{tmp_path}/shared"},
    ).model_copy(update={"stages": (stage, *recipe_of(run).stages[1:])})
    note_trained(recipe)
    write(recipe, run)
    said = (run / "adapter" / "README.md").read_text()
    assert str(tmp_path) not in said and "node1" not in said
    for name in ("their-model", "rows.jsonl", "more.jsonl", "mine.py:same"):
        assert name in said
    found = metadata_of(run / "adapter" / "README.md")
    assert "base_model" not in found and found["license"] == "mit"
    write(recipe, run, base="them/their-model")
    write(recipe, run)  # as the card has it
    assert metadata_of(run / "adapter" / "README.md")["base_model"] == "them/their-model"


def test_a_card_of_others_stays_and_its_own_is_written_again(run: Path) -> None:
    theirs = run / "adapter" / "README.md"
    theirs.write_text("My words.")
    found = write(recipe_of(run), run)
    assert found["kept"] == [theirs] and theirs.read_text() == "My words."
    assert not (run / "adapter" / "training.svg").exists()
    own = run / "artifacts" / "onnx-int4" / "README.md"
    before = own.read_text()
    (run / "bench" / "results.json").unlink()
    assert own in write(recipe_of(run), run)["written"] and own.read_text() != before
    own.write_text(f"{before}\nWhat I found.\n")
    assert write(recipe_of(run), run)["kept"] == [theirs, own]
    assert own.read_text().endswith("What I found.\n")


def test_a_card_is_no_result(run: Path) -> None:
    write(recipe_of(run), run)
    assert owned.changed(run / "adapter") is None
    (run / "adapter" / "README.md").write_text("changed")
    (run / "adapter" / "training.svg").unlink()
    assert owned.changed(run / "adapter") is None
    with pytest.raises(InputError, match=r"README\.md has changed since srl-edge wrote it"):
        owned.remove(run / "adapter")
    (run / "adapter" / "README.md").unlink()
    write(recipe_of(run), run)
    owned.remove(run / "adapter")  # with the card that is its own
    assert not (run / "adapter").exists()


def test_the_verb(run: Path, tmp_path: Path) -> None:
    recipe = '[model]\nname = "smollm2-135m-instruct"\n[[stages]]\nkind = "srl"\nsteps = 1\n'
    for folder in (run, tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        (folder / "recipe.toml").write_text(f'output = "x"\n{recipe}')
    note_trained(load(run))
    done = srl_edge("card", run, "--json")
    assert done.returncode == 0, done.stderr
    assert str(run / "adapter" / "README.md") in json.loads(done.stdout)["written"]
    again = called("card", run, "--base-model", "a/b").text
    assert again.count("training.svg") == 4 and "stays" not in again
    with pytest.raises(InputError, match="'x y' is no id like"):
        called("card", run, "--base-model", "x y")
    with pytest.raises(InputError, match="nothing is trained yet; run `srl-edge train"):
        called("card", tmp_path / "empty")
    (run / "adapter" / "README.md").write_text("mine")
    assert "README.md: stays, as srl-edge did not write it" in called("card", run).text
