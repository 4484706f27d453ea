"""Tables and texts as Markdown."""

import re
from html import escape

from srl_edge.report.tables import Table


def as_markdown(table: Table) -> str:
    """A table with its first column to the left and all others to the right."""
    lines = [[*table[0]], ["---", *["---:"] * (len(table[0]) - 1)]]
    lines += [[escape(c, quote=False).replace("|", "\\|") for c in row.values()] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """A text as prose on one line, whose markup shows as it was written."""
    return escape(" ".join(text.split()), quote=False)


def fenced(text: str, language: str) -> str:
    """A text as a block of code, whatever backticks are in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}{fence}"


def verbatim(text: str) -> str:
    """A text as an indented block, which shows whatever a model wrote as it is."""
    return "    " + "\n    ".join(text.splitlines())
