"""What of a run is current: told by settings, by contents of files, and by the version."""

import json
import shutil
from pathlib import Path
from typing import Literal

import pytest

from srl_edge import line, owned, run_folder
from srl_edge.artifact import ADAPTER
from srl_edge.errors import InputError, ParityError
from srl_edge.method.verifiers import same_value
from srl_edge.recipe import Data, Model, Recipe
from srl_edge.recipe.data import Difficulty, Quality
from srl_edge.run_folder import STAGES, begin, finish, inputs_of, outdated
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.train import train
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD, make_run, noted_run, rows


@pytest.fixture
def done(tmp_path: Path) -> Recipe:
    return noted_run(tmp_path)


def test_a_line_that_changed_behind_the_source_is_noticed(done: Recipe) -> None:
    Path(done.data.source).write_text('{"problem": "another"}\n', encoding="utf-8")
    assert outdated(done, "data") == "data.source has other contents than then"
    begin(done, "data")
    assert outdated(done, "report") == "it has no finished result yet"


@pytest.mark.parametrize("made", ["the same", "other rows"])
def test_a_stage_that_makes_the_same_again_leaves_those_after_it_current(
    made: str, done: Recipe
) -> None:
    begin(done, "data")
    assert outdated(done, "train") == "it has no finished result yet"
    if made != "the same":
        owned.write(done.run / "data" / "train.jsonl", "{}\n")
    finish(done, "data", inputs_of(done, "data"))
    current = [outdated(done, name) is None for name in STAGES]
    assert current == [True, *[made == "the same"] * 5]


@pytest.mark.parametrize(
    ("file", "stage", "words"),
    [
        ("data/train.jsonl", "train", "data.train has"),
        ("adapter/adapter_model.safetensors", "export", "the adapter has"),
        ("artifacts/onnx-int8/manifest.json", "check", "the artifact onnx-int8 has"),
        ("artifacts/onnx-int8/manifest.json", "bench", "the artifact onnx-int8 has"),
        ("data/test.jsonl", "bench", "data.test has"),
    ],
)
def test_each_stage_notices_the_files_it_reads(
    done: Recipe, file: str, stage: str, words: str
) -> None:
    path = done.run / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("new")
    assert outdated(done, stage) == f"{words} other contents than then"
    assert (outdated(done, "data") is None) == (not file.startswith("data/"))


def test_settings_and_an_upgrade_are_told_apart(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = done.bench.model_copy(update={"repeats": 3})
    changed = done.model_copy(update={"bench": bench})
    assert outdated(changed, "bench") == "bench.repeats was 5, and is 3"
    assert outdated(changed, "check") is None and outdated(changed, "report") is not None
    monkeypatch.setattr(run_folder, "__version__", "99.0")
    said = outdated(done, "data")
    assert said and said.startswith("it was made by srl-edge ") and said.endswith("this is 99.0")


def test_training_on_data_that_changed_is_set_aside_and_not_lost(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    folder = tmp_path / "train"
    assert checkpoints.set_aside_if_of_other_data(folder, recipe) is None
    data = tmp_path / "data" / "train.jsonl"
    data.write_text(data.read_text().replace("problem 3", "problem 33"))
    said = checkpoints.set_aside_if_of_other_data(folder, recipe)
    assert said and said.startswith("data.train has changed since")
    assert (tmp_path / "train-earlier" / "metrics.jsonl").is_file() and not folder.exists()
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))


def test_training_with_other_settings_is_not_set_aside(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    other = recipe.model_copy(update={"seed": 7})
    assert checkpoints.set_aside_if_of_other_data(tmp_path / "train", other) is None
    assert (tmp_path / "train").is_dir()


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A run that is trained, and whose recipe is noted."""
    run = owned.claim(tmp_path_factory.mktemp("training") / "run", "run")
    recipe = make_run(run)
    line.note_recipe(recipe)
    train(recipe, run, TablePolicy([BAD, GOOD]))
    return recipe


@pytest.fixture
def trained(training: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A copy of that, and stages that do nothing."""
    run = shutil.copytree(training.run, tmp_path / "run")
    monkeypatch.setattr(line, "_stage", lambda name: lambda settings, run: run)
    monkeypatch.setattr(line, "_require_all", lambda *_: None)
    monkeypatch.setattr(line, "require_routes", lambda *_: None)
    return training.model_copy(update={"output": str(run)})


def of_another_source(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"data": Data(source="other.jsonl", answer_step=False)})


@pytest.mark.parametrize("deleted", ["nothing", "checkpoints", "train"])
@pytest.mark.parametrize("name", STAGES)
def test_no_stage_takes_a_run_that_was_trained_with_another_recipe(
    trained: Recipe, name: str, deleted: str
) -> None:
    folder = trained.run / "train"
    gone = {"nothing": [], "checkpoints": folder.glob("checkpoint-*"), "train": [folder]}
    for path in gone[deleted]:
        shutil.rmtree(path)
    before = {p: p.read_bytes() for p in trained.run.rglob("*") if p.is_file()}
    for other, key in (
        (of_another_source(trained), r"data\.source"),
        (trained.model_copy(update={"seed": 7}), "seed"),
    ):
        with pytest.raises(InputError, match=rf"was (written|trained) with another {key} \("):
            line.run_stage(other, name)
    assert {p: p.read_bytes() for p in trained.run.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("deleted", ["nothing", "checkpoints", "train", "train and adapter"])
def test_what_takes_nothing_from_a_training_is_done(trained: Recipe, deleted: str) -> None:
    folder, (first, last) = trained.run / "train", trained.stages
    match deleted:
        case "checkpoints":
            for path in folder.glob("checkpoint-*"):
                shutil.rmtree(path)
        case "train" | "train and adapter":
            shutil.rmtree(folder)
    longer = (first, last.model_copy(update={"steps": 20}))
    allowed = [
        trained,
        trained.model_copy(update={"bench": trained.bench.model_copy(update={"repeats": 1})}),
        trained.model_copy(update={"stages": longer}),
        trained.model_copy(update={"trainer": trained.trainer.model_copy(update={"keep_last": 7})}),
    ]
    if deleted == "train and adapter":
        shutil.rmtree(trained.run / "adapter")
        allowed.append(of_another_source(trained))
    for settings in allowed:
        line.run_stage(settings, "data")
    rows = trained.run / "data" / "train.jsonl"
    rows.write_text(rows.read_text().replace("problem 3", "problem 33"))
    line.run_stage(allowed[-1], "data")  # the next training says what becomes of the one before


def test_a_finished_run_takes_more_steps(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))

    def given(first: int, last: int) -> Recipe:
        stages = tuple(
            stage.model_copy(update={"steps": steps})
            for stage, steps in zip(recipe.stages, (first, last), strict=True)
        )
        return recipe.model_copy(update={"stages": stages})

    train(given(2, 11), tmp_path, TablePolicy([BAD, GOOD]))
    steps = [row["step"] for row in rows(tmp_path) if row["stage"] == 1 and "loss" in row]
    assert steps == list(range(1, 12))
    for first, last in ((3, 11), (2, 9)):  # an earlier stage, or less than was done
        with pytest.raises(InputError, match=r"was trained with another stages\.\d\.steps"):
            train(given(first, last), tmp_path, TablePolicy([BAD, GOOD]))


@pytest.mark.parametrize(
    ("gone", "stage"),
    [
        ("data/train.jsonl", "data"),
        ("adapter/adapter_model.safetensors", "train"),
        ("merged/config.json", "export"),
        ("artifacts/onnx-int8/manifest.json", "export"),
        ("parity/onnx-int4.json", "check"),
        ("bench/results.json", "bench"),
        ("report.html", "report"),
    ],
)
def test_a_result_that_was_deleted_is_made_again(done: Recipe, gone: str, stage: str) -> None:
    (done.run / gone).unlink()
    assert outdated(done, stage) == f"{gone} is not there"


@pytest.mark.parametrize(
    ("other", "stage", "words"),
    [
        ("merged/config.json", "export", "merged/config.json is gone, or other than it was"),
        ("parity/onnx-int4.json", "check", "parity/onnx-int4.json is gone, or other than it was"),
        ("report.html", "report", "report.html is gone, or other than it was"),
    ],
)
def test_a_result_that_was_edited_is_made_again(
    done: Recipe, other: str, stage: str, words: str
) -> None:
    (done.run / other).write_text("edited")
    assert (outdated(done, stage) or "").startswith(words)


@pytest.mark.parametrize(
    ("result", "stage"),
    [
        ("data", "data"),
        ("adapter", "train"),
        ("merged", "export"),
        ("artifacts/onnx-int4", "export"),
        ("parity", "check"),
        ("bench", "bench"),
    ],
)
def test_a_result_of_another_run_in_its_place_is_refused(
    done: Recipe, result: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, place = tmp_path / "other", done.run / result
    shutil.copytree(place, other)
    for file in [file for file in other.glob("*.*") if file.name != owned.MARKER]:
        owned.write(file, "of another run")
    shutil.rmtree(place)
    shutil.copytree(other, place)
    said = outdated(done, stage) or ""
    assert said.startswith(result) and said.endswith(f" is not what this run's {stage} made")
    monkeypatch.setattr(line, "_stage", lambda name: lambda settings, run: run)
    before = {p: p.read_bytes() for p in done.run.rglob("*") if p.is_file()}
    for begun in (line.due, lambda recipe, name: line._run_stage(recipe, recipe.run, name)):
        with pytest.raises(InputError, match=r"made, and it would be lost here; move it elsewh"):
            begun(done, stage)
    assert {p: p.read_bytes() for p in done.run.rglob("*") if p.is_file()} == before
    place.rename(tmp_path / "elsewhere")
    assert line.due(done, stage)


def test_a_run_that_did_not_note_what_it_made_is_not_called_broken(done: Recipe) -> None:
    noted = json.loads((done.run / run_folder.DONE).read_text())
    for stage in noted.values():
        del stage[run_folder.MADE]
    (done.run / run_folder.DONE).write_text(json.dumps(noted))
    assert [outdated(done, name) for name in STAGES] == [None] * 6


def test_a_card_is_not_what_a_stage_made(done: Recipe) -> None:
    for folder in ("adapter", "artifacts/onnx-int4"):
        owned.write(done.run / folder / "README.md", "a card")
    assert [outdated(done, name) for name in STAGES] == [None] * 6


def test_texts_with_slashes_count_whole(done: Recipe) -> None:
    inputs = []
    for system in ("/think a/b", "/no_think a/b"):
        prompt = done.prompt.model_copy(update={"system": system})
        inputs.append(inputs_of(done.model_copy(update={"prompt": prompt}), "data"))
    assert (
        run_folder.difference(*inputs) == "prompt.system was '/think a/b', and is '/no_think a/b'"
    )


def test_files_count_by_their_contents_wherever_they_lie(done: Recipe, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "source.jsonl"
    moved.parent.mkdir()
    Path(done.data.source).rename(moved)
    same = done.model_copy(update={"data": Data(source=str(moved))})
    assert outdated(same, "data") is None
    moved.write_text('{"problem": "another"}\n')
    assert outdated(same, "data") == "data.source has other contents than then"


def test_a_local_model_may_move(tmp_path: Path, tiny_model: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    recipe = make_run(tmp_path / "run").model_copy(update={"model": Model(name=str(model))})
    train(recipe, recipe.run, TablePolicy([BAD, GOOD]))
    before = {name: inputs_of(recipe, name) for name in STAGES}
    moved = Path(shutil.move(model, tmp_path / "elsewhere" / "model"))
    recipe = recipe.model_copy(update={"model": Model(name=str(moved))})
    after = {name: inputs_of(recipe, name) for name in STAGES}
    assert [run_folder.difference(before[name], after[name]) for name in STAGES] == [None] * 6
    checkpoints.require_same(recipe.run / "train", recipe)
    other = recipe.model_copy(update={"model": Model(name=str(tiny_model))})
    with pytest.raises(InputError, match=r"with another model\.name"):
        checkpoints.require_same_settings(recipe.run / "train", other)
    (moved / "model.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match=r"with another the model's model\.safetensors"):
        checkpoints.require_same(recipe.run / "train", recipe)


def test_a_local_models_further_templates_count(tmp_path: Path, tiny_model: Path) -> None:
    recipe = make_run(tmp_path / "run")
    model = shutil.copytree(tiny_model, tmp_path / "model")
    recipe = recipe.model_copy(update={"model": Model(name=str(model))})
    template = model / "additional_chat_templates" / "tool_use.jinja"
    template.parent.mkdir()
    template.write_text("A {{ tools }}")
    for name in ("train", "export", "check", "bench"):
        template.write_text("A {{ tools }}")
        before = inputs_of(recipe, name)
        template.write_text("B {{ tools }}")
        said = run_folder.difference(before, inputs_of(recipe, name))
        named = "the model's additional_chat_templates/tool_use.jinja"
        assert said == f"{named} has other contents than then"


def test_a_local_models_weights_count(tmp_path: Path, tiny_model: Path) -> None:
    recipe = make_run(tmp_path / "run")
    model = shutil.copytree(tiny_model, tmp_path / "model")
    recipe = recipe.model_copy(update={"model": Model(name=str(model))})
    before = inputs_of(recipe, "train")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    said = run_folder.difference(before, inputs_of(recipe, "train"))
    assert said == "the model's model.safetensors has other contents than then"


class Named(TablePolicy):
    """As it is, with its adapter also in a file of the name that PEFT gives it."""

    def save_adapter(self, folder: Path) -> None:
        super().save_adapter(folder)
        shutil.copy(folder / "weights.json", folder / ADAPTER)


@pytest.mark.parametrize("moved", ["no adapter", "adapter"])
@pytest.mark.parametrize("deleted", ["checkpoints", "checkpoints and logs", "all"])
def test_training_whose_checkpoints_were_deleted_is_set_aside(
    deleted: str, moved: str, tmp_path: Path
) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, Named([BAD, GOOD]))
    folder = tmp_path / "train"
    if moved == "adapter":
        (tmp_path / "adapter").rename(tmp_path / "moved")
    if deleted == "all":
        shutil.rmtree(folder)
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path)
    for path in folder.glob("*.jsonl") if deleted == "checkpoints and logs" else ():
        path.unlink()
    before = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    train(recipe, tmp_path, Named([BAD, GOOD]))
    earlier = tmp_path / "train-earlier"
    assert earlier.exists() == (deleted != "all")
    only_copy = deleted == "all" and moved == "no adapter"
    assert (tmp_path / "adapter-earlier" / ADAPTER).is_file() == only_copy
    now = {p.relative_to(earlier): p.read_bytes() for p in earlier.rglob("*") if p.is_file()}
    assert now == before


def test_a_start_that_came_to_no_checkpoint_is_begun_again(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)

    class Interrupted(TablePolicy):
        def optim_step(self, rate: float, max_norm: float) -> float:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, Interrupted([BAD, GOOD]))
    assert (tmp_path / "train" / "best").is_dir()
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    assert not (tmp_path / "train-earlier").exists()


def test_every_file_that_rows_are_read_from_counts(tmp_path: Path) -> None:
    recipe = make_run(tmp_path / "run")
    folder, own, stage = tmp_path / "set", tmp_path / "own.csv", tmp_path / "stage"
    for place in (folder, stage):
        (place / "part").mkdir(parents=True)
        (place / "part" / "train.jsonl").write_text("{}")
    own.write_text("problem,answer")
    data = Data(source=str(folder), validation=f"hf:{stage}:main", test=str(own))
    stages = (recipe.stages[0].model_copy(update={"data": str(stage)}), *recipe.stages[1:])
    recipe = recipe.model_copy(update={"data": data, "stages": stages})
    noted = {name: inputs_of(recipe, name) for name in ("data", "train")}
    keys = {key.removesuffix(" (contents)") for key in noted["data"] if "contents" in key}
    assert keys == {
        "data.source: part/train.jsonl",
        "data.validation: part/train.jsonl",
        "data.test",
    }
    assert noted["data"]["data.source"] == "set"
    assert noted["data"]["data.validation"] == "hf:stage:main"
    own.write_text("problem,answer,more")
    said = run_folder.difference(noted["data"], inputs_of(recipe, "data"))
    assert said == "data.test has other contents than then"
    (folder / "part" / "new.csv").write_text("x")
    (own).write_text("problem,answer")
    said = run_folder.difference(noted["data"], inputs_of(recipe, "data"))
    assert said == "data.source: part/new.csv has other contents than then"
    (stage / "part" / "train.jsonl").write_text("{1}")
    said = run_folder.difference(noted["train"], inputs_of(recipe, "train"))
    assert said == "stages.0.data: part/train.jsonl has other contents than then"


def test_a_row_that_was_corrected_in_a_large_file_counts(done: Recipe) -> None:
    with Path(done.data.source).open("r+b") as source:
        source.truncate(65 << 20)
    finish(done, "data", inputs_of(done, "data"))
    assert outdated(done, "data") is None
    with Path(done.data.source).open("r+b") as source:
        source.seek(2 << 20)
        source.write(b"4")
    assert outdated(done, "data") == "data.source has other contents than then"


def test_what_was_made_from_results_that_were_not_current_is_not(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_stage", lambda name: lambda settings, run: run)
    adapter = done.run / "adapter" / "adapter_model.safetensors"
    before = adapter.read_text()
    adapter.write_text("edited for a try")
    line._run_stage(done, done.run, "bench")
    adapter.write_text(before)
    assert [outdated(done, name) for name in ("train", "export", "check")] == [None] * 3
    said = outdated(done, "bench")
    assert said and said.startswith("it went on from results that were not current (train: ")
    line._run_stage(done, done.run, "bench")
    assert outdated(done, "bench") is None


def test_a_gate_that_was_not_passed_is_asked_again_and_found_what_it_found(
    done: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(recipe: Recipe, run: Path) -> Path:
        raise ParityError("onnx-int4: differs")

    monkeypatch.setattr(line, "_stage", lambda name: failing)
    with pytest.raises(ParityError):
        line._run_stage(done, done.run, "check")
    assert outdated(done, "check") == "the gate was not passed"
    assert run_folder.superseded(done, "check") is None
    monkeypatch.setattr(line, "_stage", lambda name: lambda settings, run: run)
    line._run_stage(done, done.run, "bench")
    assert outdated(done, "bench") is None
    (done.run / "artifacts" / "onnx-int4" / "manifest.json").write_text("made again")
    said = run_folder.superseded(done, "check")
    assert said == "the artifact onnx-int4 has other contents than then"


def test_the_revision_and_split_of_a_hub_dataset_count(done: Recipe) -> None:
    names = ("hf:a/b@v1:main:train", "hf:a/b@v2:main:train", "hf:a/b@v2:main:test")
    noted = [
        inputs_of(done.model_copy(update={"data": Data(source=name)}), "data") for name in names
    ]
    for before, now, old, new in zip(noted, noted[1:], names, names[1:], strict=False):
        assert run_folder.difference(before, now) == f"data.source was {old!r}, and is {new!r}"


def test_evaluations_count_as_the_data_that_is_kept_from_them(done: Recipe, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("one.jsonl", "set/two.jsonl"):
        (tmp_path / name).write_text("{}")
    named = (str(tmp_path / "one.jsonl"), str(tmp_path / "set"))
    quality = Quality(evaluation=named, drop=("evaluation",))
    recipe = done.model_copy(update={"data": done.data.model_copy(update={"quality": quality})})
    begin(recipe, "data")
    finish(recipe, "data", inputs_of(recipe, "data"))
    assert outdated(recipe, "data") is None
    for name, said in (("one.jsonl", "0"), ("set/two.jsonl", "1: two.jsonl")):
        (tmp_path / name).write_text("{1}")
        expected = f"data.quality.evaluation.{said} has other contents than then"
        assert outdated(recipe, "data") == expected
        (tmp_path / name).write_text("{}")
    moved = tuple(str(tmp_path / "moved" / Path(name).name) for name in named)
    (tmp_path / "moved").mkdir()
    for name, to in zip(named, moved, strict=True):
        Path(name).rename(to)
    quality = quality.model_copy(update={"evaluation": moved})
    data = done.data.model_copy(update={"quality": quality})
    assert outdated(recipe.model_copy(update={"data": data}), "data") is None


@pytest.mark.parametrize("keep", [(), ("sometimes",)])
def test_what_tells_how_hard_problems_are_counts_where_it_is_asked(
    keep: tuple[Literal["sometimes"], ...], done: Recipe, tmp_path: Path, tiny_model: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    verifier = tmp_path / "judge.py"
    verifier.write_text("def judge(a, b): return True")
    data = done.data.model_copy(update={"difficulty": Difficulty(keep=keep)})
    prompt = done.prompt.model_copy(update={"verifier": f"{verifier}:judge"})
    update = {"data": data, "model": Model(name=str(model)), "prompt": prompt}
    recipe = done.model_copy(update=update)
    for file, said in (
        (verifier, "prompt.verifier has other contents than then"),
        (model / "config.json", "the model's config.json has other contents than then"),
    ):
        begin(recipe, "data")
        finish(recipe, "data", inputs_of(recipe, "data"))
        assert outdated(recipe, "data") is None
        file.write_text(file.read_text() + "\n")
        assert outdated(recipe, "data") == (said if keep else None)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("judge.py", ("train", "check", "bench")),
        ("model/model.safetensors", ("train", "export", "check", "bench")),
    ],
)
def test_the_verifier_and_the_base_count_where_they_judge_and_are_asked(
    name: str, stages: tuple[str, ...], done: Recipe, tmp_path: Path, tiny_model: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "judge.py").write_text("def judge(a, b): return False")
    prompt = done.prompt.model_copy(update={"verifier": f"{tmp_path / 'judge.py'}:judge"})
    recipe = done.model_copy(update={"model": Model(name=str(model)), "prompt": prompt})
    before = {stage: inputs_of(recipe, stage) for stage in STAGES}
    with (tmp_path / name).open("ab") as file:
        file.write(b"#")
    found = {stage for stage in STAGES if inputs_of(recipe, stage) != before[stage]}
    assert found == set(stages)


def test_what_is_held_out_counts_where_a_stage_has_data_of_its_own(
    done: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "own.jsonl").write_text("{}")
    own = done.stages[1].model_copy(update={"data": str(tmp_path / "own.jsonl")})
    recipes = [done, done.model_copy(update={"stages": (done.stages[0], own)})]
    before = [inputs_of(recipe, "train") for recipe in recipes]
    (done.run / "data" / "test.jsonl").write_text("other")
    changed = [inputs_of(recipe, "train") for recipe in recipes]
    assert [a == b for a, b in zip(before, changed, strict=True)] == [True, False]


def test_a_stage_runs_the_code_that_is_there_as_it_begins(
    done: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook, one process runs them all."""
    judge, said = tmp_path / "judge.py", []

    def stage(settings: Recipe, run: Path) -> Path:
        said.append(same_value("1", "2", f"{judge}:same"))
        return run

    monkeypatch.setattr(line, "_stage", lambda name: stage)
    for verdict in (False, True):
        judge.write_text(f"def same(a, b): return {verdict}")
        line._run_stage(done, done.run, "bench")
    assert said == [False, True]


def test_what_is_sampled_from_is_built_anew_of_other_weights(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = shutil.copytree(tiny_model, tmp_path / "model"), make_run(tmp_path / "run")
    monkeypatch.setattr("srl_edge.trainers.open.open_policy", lambda *given: given[-1](tmp_path))
    monkeypatch.setattr(
        "srl_edge.exporters.onnx.adapter.export_base", lambda model, adapter, out, how: out
    )
    folders = [line._opened(recipe, recipe.run, model) for _ in range(2)]
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"#")
    folders.append(line._opened(recipe, recipe.run, model))
    assert folders[0] == folders[1] != folders[2]
