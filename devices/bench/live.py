"""The table that is seen while a benchmark runs."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from srl_edge.terminal.signs import printable


class Board:
    """A row for each model, a column for each figure that has been shown so far."""

    def __init__(self, names: Sequence[str]) -> None:
        self._rows: dict[str, dict[str, str]] = {name: {} for name in names}

    def show(self, name: str, **figures: str) -> None:
        """Put figures into a model's row, in place of older ones."""
        self._rows[name] |= figures

    def table(self) -> Table:
        """The table as it is now."""
        columns = list(dict.fromkeys(key for row in self._rows.values() for key in row))
        table = Table("model", *columns, box=None, padding=(0, 2, 0, 0))
        for name, row in self._rows.items():
            table.add_row(Text(printable(name)), *(row.get(column, "") for column in columns))
        return table
