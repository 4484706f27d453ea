"""What `compare` says beside the figures: that they are of an earlier state of a run."""

from pathlib import Path

import pytest

from srl_edge.commands.outcome import Outcome
from srl_edge.recipe import dumps
from srl_edge.run_folder import begin, finish, inputs_of
from tests.helpers.command_line import called
from tests.helpers.reports import recipe_of, whole_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, the second of which has exported since it was measured."""
    for name in ("old", "new"):
        run = whole_run(tmp_path / name)
        (run / "recipe.toml").write_text(dumps(recipe_of(run)))
    begin(recipe_of(tmp_path / "new"), "export")
    return tmp_path / "old", tmp_path / "new"


def notes(done: Outcome) -> list[str]:
    said = [line for line in done.text.splitlines() if line.startswith("Note: ")]
    assert [f"Note: {each}" for each in done.facts["notes"]] == said
    return said


@pytest.mark.parametrize("part", ["", "bench"])
def test_figures_of_an_earlier_export_are_said_to_be(part: str, runs: tuple[Path, Path]) -> None:
    old, new = (run / part for run in runs)
    done = called("compare", old, new)
    (said,) = notes(done)
    assert said.startswith(
        f"Note: {new}: its benchmark is of an earlier state of the run (it has not "
    )
    assert done.code == 0  # as the figures alone have it
    recipe = recipe_of(runs[1])
    finish(recipe, "bench", inputs_of(recipe, "bench"))
    assert notes(called("compare", old, new)) == []


def test_results_whose_state_cannot_be_told_are_compared(runs: tuple[Path, Path]) -> None:
    old, new = runs
    (old / "recipe.toml").write_text("of_another_version = 1")
    (new / "bench" / "results.json").replace(new / "results.json")
    assert notes(called("compare", old, new)) == []
