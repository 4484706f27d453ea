"""How hard problems are for a model: how often it solves each before it is trained."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from srl_edge.artifact import weights_sha256
from srl_edge.files import cache_folder, read_json_if_there, replace, text_sha256
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.headroom import own_way, right, temperature_of
from srl_edge.trainers.policy.contract import Policy

CHUNK = 64  # problems after which what is known is kept


def solved_counts(
    model: Path, open_policy: Callable[[], Policy], recipe: Recipe, problems: Sequence[Trajectory]
) -> list[int]:
    """Right answers of `data.difficulty.k` to each problem, in the model's own way.

    model: its folder. What was found is kept by the hash of its weights and all that the answers
    depend on, in `difficulty/` of the cache, so that a problem is asked once; the model is opened
    only for those that are new.
    """
    k = recipe.data.difficulty.k
    asked = recipe.prompt.own_form.as_dict() | {
        "model": weights_sha256(model),
        "k": k,
        "tokens": recipe.trainer.own_way_tokens,
        "temperature": temperature_of(recipe),
        "seed": recipe.seed,
    }
    key = text_sha256(json.dumps(asked, sort_keys=True))[:24]
    file = cache_folder() / "difficulty" / f"{key}.json"
    known: dict[str, int] = read_json_if_there(file, "Counts") or {}
    new = [t for t in problems if _key(t) not in known]
    policy = open_policy() if new else None
    for start in range(0, len(new), CHUNK):
        assert policy is not None
        part = new[start : start + CHUNK]
        groups = own_way(policy, recipe, part, k, f"difficulty {start}/{len(new)}")
        known |= {_key(t): right(group) for t, group in zip(part, groups, strict=True)}
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, json.dumps(known) + "\n")
    return [known[_key(t)] for t in problems]


def _key(problem: Trajectory) -> str:
    return text_sha256(f"{problem.problem}\n{problem.answer}")
