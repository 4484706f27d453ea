"""Training on actions: prompts hold what came of the last ones, and a world can be the reward."""

from pathlib import Path

from srl_edge.data import trajectories
from srl_edge.data.agents.worlds import recorded
from srl_edge.data.stage import prepare
from srl_edge.files import read_rows
from srl_edge.method.prompts import first_prompts
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.batches import sample_solutions
from srl_edge.trainers.loop.train import train
from tests.helpers.fakes import TablePolicy

HOME = {"kind": "home", "state": {"hall": {"lamp": "off"}}}


def recipe_of(run: Path, *stages: dict[str, object]) -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": "none"},
            "prompt": {"preset": "agent", "think": False},
            "data": {
                "source": "agent-home",
                "agents": {"problems": 12},
                "validation_problems": 3,
                "test_problems": 3,
            },
            "trainer": {"validation_problems": 2, "own_way_problems": 0},
            "stages": list(stages),
        }
    )


def test_the_goal_of_a_world_is_a_reward(tmp_path: Path) -> None:
    _, world = recorded(HOME, ["turn_on lamp hall"])
    task = Trajectory("t", "Light!", (), "", world=world)
    stage = {"kind": "rlvr", "steps": 1, "group_size": 16, "max_steps": 4}
    recipe = recipe_of(tmp_path, stage)
    (prompts,) = first_prompts([task], recipe.prompt.form)
    policy = TablePolicy(["turn_on lamp hall", "look hall", "done"])
    (group,) = sample_solutions(policy, prompts, recipe.stages[0], 0)
    for replies, reward in zip(group.rollouts, group.rewards, strict=True):
        said = [rollout.text for _, rollout in replies]
        assert reward.total == float("turn_on lamp hall" in said and said[-1] == "done")
    assert {reward.total for reward in group.rewards} == {0.0, 1.0}
    asked = {prompt.messages[-1]["content"] for replies in group.rollouts for prompt, _ in replies}
    assert "Task: Light!\n\n> look hall\nlamp off\n> turn_on lamp hall\nok\n" in asked
    assert not any(text.count("\n> ") > 2 for text in asked)  # the last two pairs


def test_stages_learn_from_a_home_and_are_validated_in_it(tmp_path: Path) -> None:
    common = {"steps": 1, "prompts_per_step": 4, "max_steps": 3, "validate_every": 1}
    recipe = recipe_of(
        tmp_path,
        {"kind": "sft", **common},
        {"kind": "srl", "group_size": 8, **common},
    )
    tmp_path.mkdir(exist_ok=True)
    prepare(recipe, tmp_path)
    split = trajectories.load(tmp_path / "data" / "train.jsonl")
    assert len(split) == 12 and all(t.world and t.observations for t in split)
    first = split[0].steps[0]
    train(recipe, tmp_path, TablePolicy([first, "done", "look cellar"]))
    rows = read_rows(tmp_path / "train" / "metrics.jsonl", "Metrics")
    assert all("eval_accuracy" in row for row in rows if "eval_reward" in row)
    rollouts = read_rows(tmp_path / "train" / "rollouts.jsonl", "RolloutRow")
    later = [row for row in rollouts if row["previous_steps"]]
    assert later and all(len(r["observations"]) == len(r["previous_steps"]) for r in later)
    assert {"call", "similarity", "format"} <= set(rollouts[0]["parts"])
