"""Tasks in worlds as a recipe's data."""

import json
from pathlib import Path

import pytest

from srl_edge.data import trajectories
from srl_edge.data.agents import home_requests, shell_tasks
from srl_edge.data.stage import prepare
from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.recipe import Recipe, load


def recipe_of(run: Path, source: str, preset: str = "agent") -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": "none"},
            "prompt": {"preset": preset},
            "data": {
                "source": source,
                "agents": {"problems": 8},
                "validation_problems": 3,
                "test_problems": 4,
            },
            "stages": [{"kind": "sft", "steps": 1}],
        }
    )


@pytest.mark.parametrize(
    ("source", "made"),
    [("agent-home", home_requests.problems), ("agent-shell", shell_tasks.problems)],
)
def test_splits_are_recorded_tasks(
    tmp_path: Path, source: str, made: object, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(tmp_path, source)
    folder = prepare(recipe, tmp_path)
    found = {n: trajectories.load(folder / f"{n}.jsonl") for n in ("train", "validation", "test")}
    assert {name: len(split) for name, split in found.items()} == {
        "train": 8,
        "validation": 3,
        "test": 4,
    }
    assert callable(made) and found["test"] == made("test", 4, 0)
    report = read_json(folder / "report.json", "DataReport")
    assert sum(report["families"]["train"].values()) == 8
    said = "commands are kept in their folder by" in capsys.readouterr().err
    assert said == (source == "agent-shell") == ("confinement" in report)


def test_another_way_of_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a step that says done; set prompt.preset = 'agent'"):
        prepare(recipe_of(tmp_path, "agent-home", "general"), tmp_path)


@pytest.mark.parametrize(
    ("preset", "action", "said"),
    [
        ("general", "", "prompt.preset = 'agent' is for those with prompt.action = 'call'"),
        ("agent", "", "prompt.action = 'call' reads them, and what is said to the user"),
        ("agent", "", "12 steps cannot be read as commands of a shell, and are scored as text"),
        ("agent", "action = 'call'", ""),
    ],
)
def test_calls_are_no_commands(
    preset: str, action: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"type": "function", "function": {"name": "book", "arguments": '{"flight": "A1"}'}}
    chats = [
        [
            {"role": "user", "content": f"Book flight {number}."},
            {"role": "assistant", "content": "", "tool_calls": [call | {"id": "c"}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
            {"role": "assistant", "content": "I've booked it."},
        ]
        for number in range(12)
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    path = tmp_path / "r.toml"
    path.write_text(
        f"output = 'run'\n[model]\nname = 'm'\n[data]\nsource = '{file}'\n"
        "validation_problems = 2\ntest_problems = 2\n"
        f"[prompt]\npreset = '{preset}'\n{action}\n[[stages]]\nkind = 'sft'\nsteps = 1\n"
    )
    (tmp_path / "run").mkdir()
    prepare(load(path), tmp_path / "run")
    printed = capsys.readouterr().err
    assert ("prompt.action" in printed) == bool(said) and said in printed
    if action:
        assert load(path).prompt.form.read("<think></think>\nI've booked it.").fault == ""
