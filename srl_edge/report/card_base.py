"""The base model in a card: what it is called, and its licence with what that asks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import expanded, read_text
from srl_edge.models.wheels import KNOWN
from srl_edge.recipe import Recipe

HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
# By the words of known models, the hub's name.
_NAMES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "Gemma Terms of Use": "gemma"}
_LICENCES = {  # by the hub's name: what it is called, where it stands, and what handing on takes
    "apache-2.0": (
        "Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0)",
        "give a copy of that licence along, keep the notices that came with the model, and say "
        "that its weights were changed",
    ),
    "mit": ("MIT", "keep its copyright notice and the licence's text with what you hand on"),
    "gemma": (
        "the Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
        "give a copy of those terms along, bind whoever gets it to their restrictions of use, say "
        "in the files that they were changed, and add the notice that the terms ask for",
    ),
}


def base_name(recipe: Recipe) -> str:
    """What a base model is called, which is never where it lies."""
    name = recipe.model.name
    return Path(name).name if expanded(name).is_dir() else name


def base_on_hub(recipe: Recipe) -> str | None:
    """The hub's id of a run's base model; None where only its folder is known."""
    name = recipe.model.name
    if name in KNOWN:
        return KNOWN[name].hub
    return name if HUB_ID.fullmatch(name) and not expanded(name).is_dir() else None


def metadata_of(card: Path) -> Mapping[str, Any]:
    """The metadata of a card; none where there is no card, or what it has cannot be read."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return {}
    try:
        data: Any = ModelCard(read_text(card), ignore_metadata_errors=True).data
    except (InputError, ValueError, TypeError):
        return {}
    except Exception as error:  # the parser's own, of a package that is not asked for here
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        return {}
    found: Mapping[str, Any] = data.to_dict()
    return found


def licence_of(recipe: Recipe) -> str | None:
    """The base model's licence by the hub's name for it; None where nothing here says it.

    Of a folder, what its README has as metadata.
    """
    if recipe.model.name in KNOWN:
        return _NAMES.get(KNOWN[recipe.model.name].licence)
    folder = expanded(recipe.model.name)
    said = metadata_of(folder / "README.md").get("license")
    return said if isinstance(said, str) and re.fullmatch(r"[\w.-]+", said) else None


def licence(recipe: Recipe, base: str | None, found: str | None) -> str:
    """The base model's licence, and what it asks of whoever hands the result on."""
    model = base or base_name(recipe)
    if found in _LICENCES:
        called, duties = _LICENCES[found]
        return f"The base model {model} is under {called}. To hand this on, {duties}."
    if found:
        return (
            f"The base model {model} says that its licence is {found}; see there what it asks of "
            "whoever hands this on."
        )
    return f"See the base model, {model}, for its licence and what that asks of this one."
