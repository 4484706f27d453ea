"""Metrics to a tracker, for those who watch their runs in one."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.logs import rows_so_far

Tracker = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def open_tracker(recipe: Recipe, folder: Path) -> Iterator[Tracker]:
    """Yield a function that takes a row of `metrics.jsonl`; it does nothing for `none`.

    TensorBoard files go to `folder/tensorboard`; trackio and wandb follow their own settings.
    Raises InputError where the library is missing.
    """
    name = recipe.trainer.tracker
    # A resumed run goes on counting where the interrupted one was.
    steps = {row["stage"]: row["step"] for row in rows_so_far(folder)}

    def total(row: dict[str, Any]) -> int:
        """Steps of earlier stages and of this one."""
        steps[row["stage"]] = row["step"]
        return sum(n for stage, n in steps.items() if stage <= row["stage"])

    if name == "none":
        yield lambda row: None
    elif name == "tensorboard":
        with _writer(folder / "tensorboard") as writer:
            yield lambda row: _scalars(writer, row, total(row))
    else:
        library = _import(name, name)
        library.init(project="srl-edge", name=Path(recipe.output).name, config=recipe.model_dump())
        try:
            yield lambda row: library.log(_numbers(row), step=total(row))
        finally:
            library.finish()


def _writer(folder: Path) -> Any:
    return _import("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))


def _scalars(writer: Any, row: dict[str, Any], step: int) -> None:
    for key, value in _numbers(row).items():
        writer.add_scalar(key, value, step)


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if k not in ("stage", "kind", "step")}


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            f"trainer.tracker: {package} is not installed; run `pip install {package}`."
        ) from None
