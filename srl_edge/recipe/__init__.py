"""A recipe: every setting of a run."""

from srl_edge.recipe.schema import (
    Bench,
    Check,
    Data,
    Export,
    Model,
    Prompt,
    Recipe,
    Section,
    Stage,
    Trainer,
    dumps,
    load,
)

__all__ = [
    "Bench",
    "Check",
    "Data",
    "Export",
    "Model",
    "Prompt",
    "Recipe",
    "Section",
    "Stage",
    "Trainer",
    "dumps",
    "load",
]
