"""The warm-up teaches thoughts that the model has itself, where they lead to the expert's step."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from srl_edge import recipe as recipes
from srl_edge.errors import InputError, StageError
from srl_edge.method.types import Rollout, Sample
from srl_edge.trainers.loop.train import train
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.packing import PrefixCache
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import make_run, rows

# What follows `<think>`: the prompt ends with it.
NEAR = "hm, three</think>\nadd 1 and 2 to get 3"
FAR = "no idea</think>\nzzz"
BROKEN = "three and four"


class Remembering(TablePolicy):
    """One that keeps what it was taught, and what it was asked."""

    def __init__(self, *replies: str) -> None:
        super().__init__(replies)
        self.taught: list[str] = []
        self.asked: list[str] = []

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> list[list[Rollout]]:
        if group_size > 1:
            self.asked += ["".join(map(chr, prompt)) for prompt in prompts]
        return super().sample(prompts, group_size, max_new_tokens, temperature, seed)

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        self.taught += ["".join(map(chr, s.completion_ids[:-1])) for g in groups for s in g]
        return {"loss": 1.0, "token_ratio": 1.0, "num_tokens": 1.0}


def recipe_of(run: Path, thoughts: str) -> recipes.Recipe:
    found = make_run(run)
    stage = found.stages[0].model_copy(update={"warm_up_thoughts": thoughts})
    return found.model_copy(update={"stages": (stage,)})


def test_own_thoughts_are_those_that_came_close(tmp_path: Path) -> None:
    policy = Remembering(NEAR, FAR, BROKEN)
    train(recipe_of(tmp_path, "own"), tmp_path, policy)
    assert policy.taught and set(policy.taught) == {f"<think>{NEAR}"}
    assert policy.asked and all(prompt.endswith("<think>") for prompt in policy.asked)
    assert (tmp_path / "train" / "thoughts-0.json").is_file()


def test_no_thoughts_and_the_datas_need_no_sampling(tmp_path: Path) -> None:
    for thoughts, begin in (("none", "<think></think>\n"), ("data", "<think>")):
        policy = Remembering(NEAR)
        train(recipe_of(tmp_path / thoughts, thoughts), tmp_path / thoughts, policy)
        assert policy.taught and all(text.startswith(begin) for text in policy.taught)
        assert not policy.asked


def test_a_run_goes_on_with_the_thoughts_that_it_began_with(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "own")
    first = Remembering(NEAR, FAR)
    train(recipe, tmp_path, first)
    noted = (tmp_path / "train" / "thoughts-0.json").read_text()
    more = recipe.model_copy(update={"stages": (recipe.stages[0].model_copy(update={"steps": 4}),)})
    again = Remembering(FAR, BROKEN)
    train(more, tmp_path, again)
    assert not again.asked and set(again.taught) == {f"<think>{NEAR}"}
    assert (tmp_path / "train" / "thoughts-0.json").read_text() == noted
    assert rows(tmp_path)[-1]["step"] == 4


def test_a_model_without_such_thoughts_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="came close to the expert's step 0 times"):
        train(recipe_of(tmp_path, "own"), tmp_path, Remembering(FAR, BROKEN))


def test_a_prompt_without_thoughts_cannot_have_them(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        "output = 'r'\n[model]\nname = 'm'\n[prompt]\npreset = 'math'\n[[stages]]\nkind = 'sft'\n"
        "steps = 1\nwarm_up_thoughts = 'own'\n"
    )
    with pytest.raises(InputError, match="needs a prompt with thoughts"):
        recipes.load(path)
