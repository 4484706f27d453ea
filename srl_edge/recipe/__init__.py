"""A recipe: every setting of a run."""

from srl_edge.recipe.data import Agents, Columns, Data, Difficulty, Home, Quality, Stories
from srl_edge.recipe.schema import (
    Bench,
    Check,
    Export,
    Model,
    Prompt,
    Recipe,
    dumps,
    load,
)
from srl_edge.recipe.section import Section
from srl_edge.recipe.stage import Stage
from srl_edge.recipe.trainer import Trainer

__all__ = [
    "Agents",
    "Bench",
    "Check",
    "Columns",
    "Data",
    "Difficulty",
    "Export",
    "Home",
    "Model",
    "Prompt",
    "Quality",
    "Recipe",
    "Section",
    "Stage",
    "Stories",
    "Trainer",
    "dumps",
    "load",
]
