"""The look of a report: one HTML document that needs nothing else, made from templates."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from srl_edge.report import plots
from srl_edge.report.markdown import inline
from srl_edge.terminal.signs import printable

TEMPLATES = Path(__file__).parent / "templates"


class Part(NamedTuple):
    """A section of a page: its id, its title, and what is in it."""

    id: str
    title: str
    body: Markup


def environment(*folders: Path) -> Environment:
    """Templates of folders, the first that has one; what is no markup is escaped in them."""
    found = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["prose"] = prose
    return found


def prose(text: str) -> Markup:
    """A sentence of ours, whose parts in backticks are code; all else is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


_TEMPLATES = environment(TEMPLATES)
_CODE = _TEMPLATES.overlay(autoescape=False)
_MARKDOWN = _CODE.overlay(
    finalize=lambda value: value if isinstance(value, Markup) else inline(str(value))
)


def render(template: str, **values: Any) -> Markup:
    """A template with values, of which all that is no markup is escaped."""
    return Markup(_TEMPLATES.get_template(template).render(**values))


def render_markdown(template: str, **values: Any) -> str:
    """A template of Markdown with values, of which all that is no markup is escaped.

    Nor does it hold what a terminal would heed, where it is printed there.
    """
    return printable(_MARKDOWN.get_template(template).render(**values))


def render_code(template: str, **literals: Any) -> str:
    """A template of code with values, each as the code's language writes it."""
    return _CODE.get_template(template).render(**literals)


def document(
    kind: str,
    name: str,
    summary: str,
    numbers: Sequence[Sequence[str]],
    parts: Sequence[Part],
    lead: Markup | str = "",
    warnings: Sequence[str] = (),
    css: str = "",
) -> str:
    """A whole page under a name, with the few numbers that matter, each with its label.

    lead: a picture that comes first. warnings: sentences about the page itself. css: of what
    this page alone has.
    """
    return render(
        "page.html",
        kind=kind,
        name=name,
        summary=summary,
        numbers=numbers,
        parts=parts,
        lead=lead,
        warnings=warnings,
        plots_css=Markup(plots.CSS + css),
    )


def marked(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """A text with each span (start, length) of it in a `<mark>`; spans are in order."""
    html, end = Markup(), 0
    for start, length in spans:
        html += escape(text[end:start])
        html += Markup("<mark>{}</mark>").format(text[start : start + length])
        end = start + length
    return html + escape(text[end:])
