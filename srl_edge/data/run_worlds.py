"""The worlds of a run's tasks, before anything is done in them."""

from collections.abc import Iterator, Sequence
from typing import Any

from srl_edge.data.agents.sandbox import is_weak, kept
from srl_edge.data.agents.worlds import announce
from srl_edge.data.formats import rows_of
from srl_edge.data.splits import SPLITS
from srl_edge.errors import InputError
from srl_edge.recipe import Recipe

# Which tasks a stage lets a model act in.
_ACTED: dict[str, Sequence[str]] = {
    "train": ("train", "validation"),
    "headroom": ("train",),
    "check": ("test",),
    "bench": ("test",),
}


def say(recipe: Recipe, stage: str) -> None:
    """Say what keeps a stage's commands in their folder; raises InputError where it is too little.

    A run folder may be somebody else's, and so is what stands in its data.
    """
    announce(stage, _of(recipe, _ACTED.get(stage, ())))


def require_confined(recipe: Recipe) -> None:
    """Raise InputError where a run's commands are kept in their folder by limits alone."""
    of_shell = (isinstance(r, dict) and r.get("kind") == "shell" for r in _of(recipe, SPLITS))
    if (recipe.data.source == "agent-shell" or any(of_shell)) and is_weak():
        raise InputError(
            f"{recipe.output}: {kept()}, which stop no one who means harm; --no-code refuses "
            "them; install bubblewrap."
        )


def _of(recipe: Recipe, splits: Sequence[str]) -> Iterator[Any]:
    for name in splits:
        file = recipe.run / "data" / f"{name}.jsonl"
        if file.is_file():
            yield from (row.get("world") for row in rows_of(file))
