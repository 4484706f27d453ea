"""A row's values by what they are, and the shapes that rows have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

# Columns with a problem, of rows of no source that is known by name.
PROBLEMS = ("problem", "question", "question_concat")


@dataclass(frozen=True, slots=True)
class Fields:
    """A row's values by what they are, as they stand in it.

    shape: the name of its shape; '' where none is known. asked: the column of its problem.
    solutions: in the order in which they are tried. thought: the first solution's. observations:
    what came of steps that are actions; None where they are none. tools: what could be called.
    told: the column of the solution.
    """

    shape: str
    asked: str
    problem: Any
    solutions: tuple[Any, ...] = ()
    steps: Any = None
    answer: Any = None
    thought: Any = None
    observations: tuple[str, ...] | None = None
    tools: tuple[Any, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape by its name, the columns that its rows have, and what reads one (None: it is not)."""

    name: str
    has: tuple[str, ...]
    read: Callable[[Row], Fields | None]
