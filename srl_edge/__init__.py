"""Train small language models to reason step by step, and ship them to the device one has.

recipe = srl_edge.Recipe.load("demo", output="runs/mine")
run = srl_edge.Run(recipe)
run.all()
model = run.artifacts["onnx-int4"].open()
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srl_edge.api import Artifact, Model, Run
    from srl_edge.devices.serving.model import Reply, Sampling
    from srl_edge.errors import InputError, ParityError, StageError, UnmeasuredError
    from srl_edge.recipe import Recipe

__version__ = "0.1.0"

# A thread that spins while it waits takes the core that it waits for: with one core busy elsewhere,
# torch's default is more than ten times slower. This keeps 95% of the speed of an
# idle machine. Read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "8000")

__all__ = [
    "Artifact",
    "InputError",
    "Model",
    "ParityError",
    "Recipe",
    "Reply",
    "Run",
    "Sampling",
    "StageError",
    "UnmeasuredError",
]
# Where each name is, so that it is imported when it is asked for and `import srl_edge` stays light.
_PLACES = {
    "srl_edge.api": ("Artifact", "Model", "Run"),
    "srl_edge.devices.serving.model": ("Reply", "Sampling"),
    "srl_edge.errors": ("InputError", "ParityError", "StageError", "UnmeasuredError"),
    "srl_edge.recipe": ("Recipe",),
}


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
