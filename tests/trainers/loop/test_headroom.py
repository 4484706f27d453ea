"""What a model does before training, measured on a policy whose replies are known."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from srl_edge.data.trajectories import write_jsonl
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory
from srl_edge.trainers.loop.headroom import headroom, training_seconds
from tests.helpers.command_line import srl_edge, write_recipe
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, BROKEN, GOOD, make_run


def test_right_replies_are_counted_by_problem(tmp_path: Path) -> None:
    recipe = make_run(tmp_path / "run")
    always = headroom(TablePolicy([GOOD]), recipe, recipe.run, 5, 4)
    assert (always.problems, always.solved, always.pass_at_k) == (5, (4,) * 5, 1.0)
    assert always.format_kept == 1.0 and always.similarity == 1.0 and always.spread == 0.0
    never = headroom(TablePolicy([BAD]), recipe, recipe.run, 99, 2)
    assert (never.problems, never.pass_at_k) == (12, 0.0)
    mixed = headroom(TablePolicy([GOOD, BROKEN, BAD]), recipe, recipe.run, 12, 8)
    assert mixed.share("sometimes") > 0.8 and 0.4 < mixed.pass_at_1 < 0.9
    assert mixed.format_kept is not None and 0.4 < mixed.format_kept < 0.9
    assert mixed.spread == 1.0


def test_the_policy_is_left_as_it_was(tmp_path: Path) -> None:
    recipe, policy = make_run(tmp_path / "run"), TablePolicy([GOOD, BAD])
    headroom(policy, recipe, recipe.run, 4, 2)
    assert policy.weights == [1.0, 1.0] and policy.gradient == [0.0, 0.0]


def test_more_steps_and_fewer_useful_groups_take_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**6))
    # The module's own clock: a progress bar's thread would tick a shared one.
    clock = SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr("srl_edge.trainers.loop.headroom.time", clock)
    few, policy = make_run(tmp_path / "few"), TablePolicy([GOOD, BAD])
    many = make_run(tmp_path / "many", steps=80)
    assert training_seconds(policy, few, few.run, 1.0, 1.0) == 2 * 2 + 8 * 2
    assert training_seconds(policy, many, many.run, 1.0, 1.0) == 2 * 2 + 80 * 2
    assert training_seconds(policy, few, few.run, 0.5, 1.0) == 2 * 2 + 8 * 3


def test_problems_without_answers_are_one_sentence(tmp_path: Path) -> None:
    recipe = make_run(tmp_path / "run")
    rows = [Trajectory("a", "problem", ("one", "two"), None)]
    write_jsonl(recipe.run / "data" / "train.jsonl", rows)
    with pytest.raises(InputError, match="no problem has an answer"):
        headroom(TablePolicy([GOOD]), recipe, recipe.run, 4, 2)


def test_the_verb_makes_the_data_measures_and_advises(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    flags = ("--trainer.own-way-tokens", "8", "--trainer.validation-problems", "1")
    done = srl_edge("headroom", path, "--problems", "3", "--k", "2", *flags)
    assert done.returncode == 0, done.stderr
    assert "3 problems, 2 replies each" in done.stdout and "Training by this recipe" in done.stdout
    assert done.stdout.strip().endswith(str(tmp_path / "run" / "headroom.json"))
    assert "- " in done.stdout
    refused = srl_edge("headroom", path, "--k", "1")
    assert refused.returncode == 2 and "at least 2 replies" in refused.stderr
