"""From a source's tables to trajectories: what shape their rows have, and how they are cut."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from srl_edge.data.cutting import AUTO
from srl_edge.data.shapes import fields
from srl_edge.data.sources import Table, open_source
from srl_edge.data.style import Choice, choose
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import numbers
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Data
from srl_edge.terminal import progress

Columns = Mapping[str, str]
Row = Mapping[str, Any]
_LOOKED_AT = 200  # rows of a table, by which its shape is known
_NAMED = 30  # columns in a message
_MANY = 2000, 5  # rows whose reading, or whose replay in a world, takes more than a moment


def columns_for(
    tables: Sequence[Table], columns: Columns | None, setting: str = "data.columns"
) -> Columns | None:
    """The columns to read tables by: those that are named, or None for the shapes that are known.

    setting: what names columns; '' where they were named for another source, and count only where
    they are here too. Raises InputError where there are no rows, where a column is not there, where
    no shape is known, and where two tables name their problems differently.
    """
    heads = {table.where: list(islice(table.rows(None), _LOOKED_AT)) for table in tables}
    heads = {where: rows for where, rows in heads.items() if rows}
    if not heads:
        raise InputError(f"{' and '.join(table.where for table in tables)}: no rows in it.")
    for where, rows in heads.items() if columns else ():
        there = {key for row in rows for key in row}
        for key, column in (columns or {}).items():
            if column not in there and not setting:
                return columns_for(tables, None)
            if column not in there:
                raise InputError(
                    f"{setting}: {where} has no column {column!r} for the {key}; it has "
                    f"{_named(rows)}."
                )
    if not columns:
        _require_one_shape(heads, setting or "data.columns")
    return columns


def _require_one_shape(heads: Mapping[str, Sequence[Row]], setting: str) -> None:
    asked = {where: Counter(map(_asked, rows)) for where, rows in heads.items()}
    known = {where: counts.most_common(1)[0][0] for where, counts in asked.items()}
    where, column = next(iter(known.items()))
    if other := next((at for at, its in known.items() if its != column), None):
        raise InputError(
            f"{where} and {other} are of different shapes: their problems are in "
            f"{column or 'no known column'!r} and {known[other] or 'no known column'!r}; give one "
            f"of them, or name the columns of both in {setting}."
        )
    if not column and len(asked[where]) == 1:
        raise InputError(
            f"{where}: its rows are of no known shape, since no problem text is found in their "
            f"columns ({_named(heads[where])}); name those of the problem and of its solution in "
            f"{setting}."
        )


def _named(rows: Sequence[Row]) -> str:
    """The columns of rows in one line, the first of them where there are very many."""
    keys = dict.fromkeys(key for row in rows for key in row)
    names = [" ".join(key.split())[:60] for key in keys]
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _asked(row: Row) -> str:
    try:
        return fields(row).asked
    except Unusable:
        return "?"  # of a known shape, though of no use


def read_source(
    name: str, data: Data, report: ParseReport, form: PromptForm = DEFAULT
) -> list[Trajectory]:
    """The trajectories of another source than the recipe's own, such as a stage's `data`.

    The recipe's limits hold for its own source alone.
    """
    tables = open_source(name).chosen(("train",))
    columns = columns_for(tables, data.columns.named, "")
    free = Data(style=data.style, answer_step=data.answer_step)
    return read_tables(tables, free, report, form, columns, choice_for(tables, free, columns))


def choice_for(tables: Sequence[Table], data: Data, columns: Columns | None) -> Choice:
    """The styles by which the solutions of some tables are cut."""
    rows = chain.from_iterable(table.rows(None) for table in tables)
    most = data.max_steps and data.max_steps - data.answer_step
    return choose(data.style, rows, columns, data.max_step_characters, most)


def read_tables(
    tables: Sequence[Table],
    data: Data,
    report: ParseReport,
    form: PromptForm,
    columns: Columns | None,
    choice: Choice,
) -> list[Trajectory]:
    """The trajectories of tables within the recipe's limits; the others are counted."""
    found = []
    with _advancing(tables) as shown:
        for table in tables:
            rows = shown(table.rows(report.bad))
            where = table.where.rpartition("/")[2]
            found += keep_fitting(rows, data, report, form, choice.styles, columns, where)
    return found


@contextmanager
def _advancing(tables: Sequence[Table]) -> Iterator[Callable[[Iterable[Row]], Iterable[Row]]]:
    """Yield what goes through rows and shows how far it is, where that takes more than a moment."""
    first = next(chain.from_iterable(table.rows(None) for table in tables), {})
    total = sum(1 for table in tables for _ in table.rows(None))
    if total < _MANY["world" in first]:
        yield iter
        return
    with progress.bar("data: rows", total) as advance:

        def shown(rows: Iterable[Row]) -> Iterator[Row]:
            for row in rows:
                yield row
                advance()

        yield shown


def keep_fitting(
    rows: Iterable[Row],
    data: Data,
    report: ParseReport,
    form: PromptForm = DEFAULT,
    styles: Sequence[str] = AUTO,
    columns: Columns | None = None,
    where: str = "",
) -> list[Trajectory]:
    """Trajectories within the recipe's limits; what is left out is counted in the report."""
    kept = []
    for trajectory in parse_rows(
        rows, report, styles, data.max_step_characters, form, data.answer_step, columns, where
    ):
        text = " ".join((trajectory.problem, *trajectory.steps))
        if data.max_steps and len(trajectory.steps) > data.max_steps:
            reason = f"more than {data.max_steps} steps"
        elif data.max_number and any(float(n) > data.max_number for n in numbers(text)):
            reason = f"a number larger than {data.max_number}"
        else:
            kept.append(trajectory)
            continue
        report.drop(reason, f"{where}{', ' if where else ''}id {trajectory.id}", trajectory.problem)
        report.kept -= 1
    return kept
