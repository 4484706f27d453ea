"""A recipe: every setting of a run."""

from srl_edge.recipe.data import Columns, Data, Difficulty, Home, Stories
from srl_edge.recipe.schema import (
    Bench,
    Check,
    Export,
    Model,
    Prompt,
    Recipe,
    Stage,
    dumps,
    load,
)
from srl_edge.recipe.section import Section
from srl_edge.recipe.trainer import Trainer

__all__ = [
    "Bench",
    "Check",
    "Columns",
    "Data",
    "Difficulty",
    "Export",
    "Home",
    "Model",
    "Prompt",
    "Recipe",
    "Section",
    "Stage",
    "Stories",
    "Trainer",
    "dumps",
    "load",
]
