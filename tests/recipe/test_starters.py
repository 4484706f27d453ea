"""A recipe to begin with, written where nothing is."""

from pathlib import Path

import pytest

from srl_edge import recipe
from srl_edge.recipe.starters import names, write_starter
from tests.helpers.command_line import srl_edge


def test_each_recipe_that_comes_along_can_be_begun_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names() == sorted(path.stem for path in Path("recipes").glob("*.toml"))
    done = srl_edge("init", tmp_path / "new" / "mine.toml")
    assert done.returncode == 0 and "srl-edge headroom" in done.stdout, done.stderr
    mine = recipe.load(tmp_path / "new" / "mine.toml")
    assert [stage.kind for stage in mine.stages] == ["sft", "srl"]
    shipped = Path("recipes/starter.toml").read_text(encoding="utf-8")
    assert (tmp_path / "new" / "mine.toml").read_text() == shipped and "# " in shipped


def test_what_is_there_stays_and_a_misspelt_name_gets_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("mine")
    refused = srl_edge("init", file, "--from", "gsm8k")
    assert refused.returncode == 2 and "stays as it is" in refused.stderr
    assert file.read_text() == "mine"
    misspelt = srl_edge("init", tmp_path / "other.toml", "--from", "gms8k")
    assert misspelt.returncode == 2 and "did you mean gsm8k?" in misspelt.stderr
    assert not (tmp_path / "other.toml").exists()


def test_recipes_of_two_names_have_two_run_folders(tmp_path: Path) -> None:
    outputs = set()
    for name in ("mine", "yours", 'a "b"'):
        for shipped in names():
            file = write_starter(tmp_path / shipped / f"{name}.toml", shipped)
            outputs.add(recipe.load(file).output)
    assert outputs == {"runs/mine", "runs/yours", 'runs/a "b"'}
