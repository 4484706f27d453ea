"""What is exported and checked: of a run, or of a model and adapter that were given by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from srl_edge.data import trajectories
from srl_edge.devices.runtimes.chat import Asked
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Bench, Check, Export, Recipe
from srl_edge.run_folder import base_of

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with an adapter or none, and all that its export and its gate take.

    name: the model's, as in recipes. base: its folder. adapter: a PEFT folder. folder: where the
    merged model is made. texts: trajectories that weights are fitted to (train), that candidates
    are compared over (validation), and that the gate asks (test). asked: how a prompt asks.
    """

    name: str
    base: Path
    adapter: Path | None
    folder: Path
    texts: Callable[[Split], Sequence[Trajectory]]
    asked: Asked
    export: Export
    check: Check
    bench: Bench
    seed: int = 0

    @property
    def merged(self) -> Path:
        """The model folder that artifacts are made of, and that they are compared with."""
        return self.folder / "merged"

    @property
    def dequantized(self) -> Path:
        """The frozen weights that an adapter of quantized ones saw, where they are kept."""
        return self.folder / "base-dequantized"


def of_run(recipe: Recipe, run: Path) -> Subject:
    """The adapter that a run trained, with the run's own splits and settings."""
    return Subject(
        recipe.model.name,
        base_of(recipe),
        run / "adapter",
        run,
        lambda split: trajectories.load(run / "data" / f"{split}.jsonl"),
        Asked(recipe.prompt.form, recipe.whole),
        recipe.export,
        recipe.check,
        recipe.benchmark,
        recipe.seed,
    )
