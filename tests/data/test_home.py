"""Requests to a home: what is held out shares nothing with training that could be copied."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from srl_edge.data import home, trajectories
from srl_edge.data.stage import prepare
from srl_edge.errors import InputError
from srl_edge.method.verifiers import is_correct
from srl_edge.recipe import Recipe


def recipe_of(run: Path, preset: str = "commands") -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": "none"},
            "prompt": {"preset": preset},
            "data": {
                "source": "home",
                "home": {"problems": 40, "things": 3},
                "validation_problems": 10,
                "test_problems": 12,
            },
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )


def test_splits_share_no_sentence_no_room_and_nothing_that_commands_are_about() -> None:
    for one, other in combinations(home.SPLITS.values(), 2):
        for name in ("rooms", "devices", "openings", "music", "degrees"):
            assert not set(getattr(one, name)) & set(getattr(other, name)), name
        for command in home.COMMANDS:
            assert not set(one.frames[command]) & set(other.frames[command]), command


def test_a_request_is_fulfilled_by_its_commands_and_by_nothing_else(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path / "run")
    recipe.run.mkdir()
    folder = prepare(recipe, recipe.run)
    found = {s: trajectories.load(folder / f"{s}.jsonl") for s in ("train", "validation", "test")}
    assert {s: len(rows) for s, rows in found.items()} == {
        "train": 40,
        "validation": 10,
        "test": 12,
    }
    form = recipe.prompt.form
    for t in (t for rows in found.values() for t in rows):
        *commands, end = t.steps
        assert len(commands) == 3 and end == "done" and t.answer == "\n".join(commands)
        for command in commands:
            assert all(word in t.problem.casefold() for word in command.split()[1:])
        assert is_correct("\n".join(t.steps), t.answer, form)
        assert not is_correct("\n".join(t.steps[1:]), t.answer, form)
        assert not is_correct("\n".join([*commands, commands[0], end]), t.answer, form)
        assert form.states_answer(end) and not any(map(form.states_answer, commands))
    again = prepare(recipe, recipe.run)
    assert trajectories.load(again / "train.jsonl") == found["train"]


def test_every_frame_names_what_its_command_is_about() -> None:
    for words in home.SPLITS.values():
        for command, frames in words.frames.items():
            wanted = set(re.findall(r"{(\w+)}", home.COMMANDS[command]))
            assert all(set(re.findall(r"{(\w+)}", frame)) == wanted for frame in frames), command


def test_a_prompt_that_ends_otherwise_is_refused_with_the_one_that_fits(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path / "run", "word-problems")
    recipe.run.mkdir()
    with pytest.raises(InputError, match=r"set prompt\.preset = 'commands'"):
        prepare(recipe, recipe.run)
