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


def inline(text: str) -> str:
    """A text as prose on one line in which nothing is markup: Markdown, HTML or a formula."""
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", plain(text))


def code(text: str) -> str:
    """A text on one line as it is, in the letters of code, whatever backticks are in it."""
    text = " ".join(text.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def fenced(text: str, language: str) -> str:
    """A text as a block of code, whatever backticks are in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}{fence}"


def verbatim(text: str) -> str:
    """A text as an indented block, which shows whatever a model wrote as it is."""
    return "    " + "\n    ".join(text.splitlines())
