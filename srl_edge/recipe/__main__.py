"""Prints docs/settings.md."""

from collections.abc import Mapping

from pydantic import BaseModel

from srl_edge.recipe import (
    Agents,
    Bench,
    Check,
    Columns,
    Data,
    Difficulty,
    Export,
    Home,
    Model,
    Prompt,
    Quality,
    Recipe,
    Stage,
    Stories,
    Trainer,
)
from srl_edge.recipe.listing import page

SECTIONS: Mapping[str, type[BaseModel]] = {
    "The recipe itself": Recipe,
    "[model]": Model,
    "[data]": Data,
    "[data.columns]": Columns,
    "[data.difficulty]": Difficulty,
    "[data.quality]": Quality,
    "[data.stories]": Stories,
    "[data.home]": Home,
    "[data.agents]": Agents,
    "[prompt]": Prompt,
    "[trainer]": Trainer,
    "[[stages]]": Stage,
    "[export]": Export,
    "[check]": Check,
    "[bench]": Bench,
}

if __name__ == "__main__":
    print(page(SECTIONS), end="")
