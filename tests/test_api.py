"""The Python API as a notebook uses it: a recipe with changes, the stages, and what they wrote."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import srl_edge
from srl_edge.recipe import starters
from srl_edge.terminal.libraries import libraries_quiet
from tests.helpers.command_line import write_recipe


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    taught_model: Path,
    word_problems: list[dict[str, str]],
) -> srl_edge.Run:
    """A run through to its artifact, of a recipe file with changes."""
    file = write_recipe(tmp_path_factory.mktemp("api"), taught_model, word_problems)
    recipe = srl_edge.Recipe.load(
        file,
        stages={1: {"steps": 3}},
        export={"artifacts": ["onnx-int8"]},
        check={"agreement": {"int8": 0.5}},
        bench={"own_way_problems": 0},
    )
    run = srl_edge.Run(recipe)
    run.data()
    run.train()
    run.export()
    return run


def test_from_import_to_an_answer_in_fifteen_lines(
    taught_model: Path, word_problems: list[dict[str, str]], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    examples = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 15
    # The page as it is, with a recipe of a tiny model by the name of the demo.
    write_recipe(tmp_path, taught_model, word_problems).rename(tmp_path / "demo")
    out = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)], cwd=tmp_path, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    assert (tmp_path / "runs" / "mine" / "adapter" / "adapter_model.safetensors").is_file()
    assert out.stdout.strip()


def test_every_stage_gives_what_it_made(run: srl_edge.Run) -> None:
    assert run.data()["splits"]["train"]["problems"] == 16
    assert (run.train() / "adapter_model.safetensors").is_file()
    artifact = run.export()["onnx-int8"]
    assert artifact.name == "onnx-int8" and artifact.megabytes > 0
    (found,) = run.check()
    assert found["passed"] and found["artifact"] == "onnx-int8"
    names = [row.name for row in run.bench().rows]
    assert names == ["torch base", "torch after sft", "torch tuned", "onnx-int8"]
    assert run.report().read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run.all() == run.folder / "report.html"  # everything is current


def test_what_is_current_is_skipped_unless_it_is_wanted_again(
    run: srl_edge.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run.folder / "data"
    before = (folder / "train.jsonl").stat().st_mtime_ns
    run.data()
    assert "data: done and current, skipped" in capsys.readouterr().err
    assert (folder / "train.jsonl").stat().st_mtime_ns == before
    run.data(again=True)
    assert (folder / "train.jsonl").stat().st_mtime_ns > before
    assert "skipped" not in capsys.readouterr().err


def test_rows_are_as_they_are_on_disk(run: srl_edge.Run) -> None:
    steps = [row for row in run.metrics if row["kind"] == "srl" and "reward" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    sampled = run.rollouts(step=2)
    assert len(sampled) >= 8 and {row["step"] for row in sampled} == {2}
    best = run.rollouts(step=2, pick="best")
    assert best and best[0]["reward"] == max(row["reward"] for row in sampled)
    assert {row["step"] for row in run.rollouts()} == {3}
    prompt = run.prompts()[0]
    assert prompt.messages[-1]["content"].startswith("Problem: ") and prompt.expert_action
    assert len(run.trajectories("test")) == 4


def test_a_reply_is_scored_as_in_training(run: srl_edge.Run) -> None:
    row = next(row for row in run.rollouts() if row["finished"])
    where = (row["trajectory_id"], row["step_index"])
    prompt = next(p for p in run.prompts() if (p.trajectory_id, p.step_index) == where)
    assert run.score(prompt, row["completion"]).total == pytest.approx(row["reward"])
    right = run.score(prompt, f"<think>Hm.</think>\n{prompt.expert_action}")
    assert right.total == 1 and right.parts["similarity"] == 1 and not right.fault
    assert run.score(prompt, prompt.expert_action).total == -1


def test_a_run_that_is_there_is_opened_by_its_folder(
    run: srl_edge.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.folder.parent)
    again = srl_edge.Run("run")
    assert again.recipe.stages[1].steps == 3 and again.metrics == run.metrics
    with pytest.raises(srl_edge.InputError, match="no run is there"):
        srl_edge.Run(tmp_path / "none")


def test_an_artifact_is_opened_and_asked(run: srl_edge.Run) -> None:
    model = run.artifacts["onnx-int8"].open(threads=1)
    replies = list(model.solve("Ann has 3 cats and 4 dogs.", max_steps=2))
    assert 1 <= len(replies) <= 2 and replies[0].text
    folder = run.folder / "artifacts" / "onnx-int8"
    assert repr(srl_edge.Artifact.load(folder)) == repr(run.artifacts["onnx-int8"])


def test_artifacts_are_measured_on_a_device_that_is_named(
    run: srl_edge.Run, tmp_path: Path
) -> None:
    (row,) = run.bench_on("local", tmp_path / "bench", artifacts=["onnx-int8"]).rows
    assert row.name == "onnx-int8" and row.tasks["held-out"].problems == 3
    with pytest.raises(srl_edge.InputError, match=r"onnx-int4: no such artifact .* onnx-int8"):
        run.bench_on("local", tmp_path / "other", artifacts=["onnx-int4"])
    with pytest.raises(srl_edge.InputError, match="toaster"):
        run.bench_on("toaster", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_headroom_is_figures_and_advice(run: srl_edge.Run) -> None:
    few = srl_edge.Run(run.recipe.changed(trainer={"own_way_tokens": 16}))
    found = few.headroom(problems=2, k=2)
    assert found.problems == 2 and str(found).startswith("2 problems, 2 replies each")
    assert any("2 problems say little" in sentence for sentence in few.advice(found))
    with pytest.raises(srl_edge.InputError, match="at least 1 problem and 2 replies"):
        few.headroom(problems=0)


def test_what_is_not_there_yet_says_what_writes_it(tmp_path: Path) -> None:
    run = srl_edge.Run(srl_edge.Recipe.load("demo", output=tmp_path / "run"))
    reads: list[tuple[str, Any]] = [
        ("data", lambda: run.prompts()),
        ("data", lambda: run.trajectories("test")),
        ("train", lambda: run.metrics),
        ("train", lambda: run.rollouts()),
        ("bench", lambda: run.results),
    ]
    for stage, read in reads:
        with pytest.raises(srl_edge.InputError, match=rf"not there yet; Run\.{stage}\(\)"):
            read()
    assert run.artifacts == {} and run.parity == []
    assert not run.folder.exists()  # looking makes nothing


MISTAKES = [
    ({"exprt": {}}, "unknown key 'exprt'; did you mean 'export'?"),
    ({"export": {"artifcts": []}}, "unknown key 'export.artifcts'; did you mean 'artifacts'?"),
    ({"stages": {0: {"stps": 3}}}, "unknown key 'stages.0.stps'; did you mean 'steps'?"),
    ({"stages": {2: {"steps": 3}}}, "unknown key 'stages.2'; known: 0, 1."),
    ({"stages": {0: {"steps": 0}}}, "'stages.0.steps': input should be greater than 0 (got 0)."),
    ({"seed": "one"}, "'seed': input should be a valid integer"),
    ({"export": {"artifacts": ["onnx-int3"]}}, "onnx-int3"),
]


@pytest.mark.parametrize(("changes", "said"), MISTAKES)
def test_a_mistake_in_settings_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(srl_edge.InputError) as mistake:
        srl_edge.Recipe.load("demo", **changes)
    assert said in str(mistake.value) and "\n" not in str(mistake.value)


def test_a_recipe_is_made_of_keywords(tmp_path: Path) -> None:
    recipe = srl_edge.Recipe(
        output=tmp_path / "run",
        model="smollm2-135m-instruct",
        data=tmp_path / "rows.jsonl",
        stages=[{"kind": "sft", "steps": 3}],
    )
    assert recipe.data.source == str(tmp_path / "rows.jsonl")
    assert recipe.model.name == "smollm2-135m-instruct" and recipe.stages[0].learning_rate == 1e-4
    with pytest.raises(srl_edge.InputError, match=r"^'output' is missing\.$"):
        srl_edge.Recipe(model="x", stages=[{"kind": "sft", "steps": 3}])  # type: ignore[call-arg]


def test_changes_leave_the_rest_as_it_was(tmp_path: Path) -> None:
    demo = srl_edge.Recipe.load("demo")
    changed = demo.changed(data=tmp_path / "rows.jsonl", stages={1: {"reward": {"tokens": 1.0}}})
    assert changed.data.test_problems == demo.data.test_problems
    assert changed.stages[0] == demo.stages[0] and changed.stages[1].steps == demo.stages[1].steps
    assert changed.stages[1].reward == {"tokens": 1.0}
    assert demo.stages[1].reward == {}
    only = demo.changed(stages=[{"kind": "sft", "steps": 2}])
    assert [stage.kind for stage in only.stages] == ["sft"]


@pytest.mark.parametrize("name", starters.names())
def test_every_recipe_that_ships_is_loaded_by_its_name(name: str) -> None:
    assert srl_edge.Recipe.load(name).stages
    with pytest.raises(srl_edge.InputError, match=f"{name}-not: no such recipe"):
        srl_edge.Recipe.load(f"{name}-not")


def test_the_package_names_what_it_offers_and_loads_none_of_it() -> None:
    assert set(srl_edge.__all__) <= set(dir(srl_edge))
    assert all(getattr(srl_edge, name).__doc__ for name in srl_edge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Rn'"):
        srl_edge.Rn  # noqa: B018
    code = "import srl_edge, sys; print([m for m in sys.modules if m.startswith('srl_edge.')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_libraries_are_quiet_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    with libraries_quiet():
        assert os.environ["TQDM_DISABLE"] == "1"
        assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
        warnings.warn("hidden", stacklevel=1)
    assert "TQDM_DISABLE" not in os.environ
    with pytest.warns(UserWarning, match="seen"):
        warnings.warn("seen", stacklevel=1)
