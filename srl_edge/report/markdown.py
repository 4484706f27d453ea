"""Tables and texts as Markdown."""

from html import escape

from srl_edge.report.tables import Table


def as_markdown(table: Table) -> str:
    """A table with its first column to the left and all others to the right."""
    lines = [[*table[0]], ["---", *["---:"] * (len(table[0]) - 1)]]
    lines += [[escape(c, quote=False).replace("|", "\\|") for c in row.values()] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verbatim(text: str) -> str:
    """A text as an indented block, which shows whatever a model wrote as it is."""
    return "    " + "\n    ".join(text.splitlines())
