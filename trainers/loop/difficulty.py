"""How hard problems are for a model: how often it solves each before it is trained."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from srl_edge.artifact import weights_sha256
from srl_edge.files import (
    cache_folder,
    contents_sha256,
    file_sha256,
    read_json_if_there,
    replace,
    text_sha256,
)
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.headroom import own_way, right, temperature_of
from srl_edge.trainers.policy.contract import Policy

_TOLD = ("*.json", "*.jinja")  # the tokenizer, its chat template, what ends a reply
CHUNK = 64  # problems after which what is known is kept


def solved_counts(
    model: Path, open_policy: Callable[[], Policy], recipe: Recipe, problems: Sequence[Trajectory]
) -> list[int]:
    """Right answers of `data.difficulty.k` to each problem, in the model's own way.

    model: its folder. What was found is kept by the hash of its files, of the recipe's verifier and
    of all else that the answers depend on, in `difficulty/` of the cache, so that a problem is
    asked once; the model is opened only for those that are new.
    """
    k = recipe.data.difficulty.k
    asked = recipe.prompt.own_form.as_dict() | {
        "model": weights_sha256(model),
        "told": contents_sha256(file for kind in _TOLD for file in model.glob(kind)),
        "k": k,
        "tokens": recipe.trainer.own_way_tokens,
        "temperature": temperature_of(recipe),
        "seed": recipe.seed,
    }
    file, colon, function = recipe.prompt.verifier.rpartition(":")
    if colon:  # of which `as_dict` says nothing
        asked["verifier"] = f"{file_sha256(Path(file))}:{function}"
    key = text_sha256(json.dumps(asked, sort_keys=True))[:24]
    kept = cache_folder() / "difficulty" / f"{key}.json"
    known: dict[str, int] = read_json_if_there(kept, "Counts") or {}
    new = [t for t in problems if _key(t) not in known]
    policy = open_policy() if new else None
    for start in range(0, len(new), CHUNK):
        assert policy is not None
        part = new[start : start + CHUNK]
        groups = own_way(policy, recipe, part, k, f"difficulty {start}/{len(new)}")
        known |= {_key(t): right(group) for t, group in zip(part, groups, strict=True)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace(kept, json.dumps(known) + "\n")
    return [known[_key(t)] for t in problems]


def _key(problem: Trajectory) -> str:
    return text_sha256(f"{problem.problem}\n{problem.answer}")
