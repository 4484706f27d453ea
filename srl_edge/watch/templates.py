"""The parts that pages are made of, and the reports' own, of which these reuse some."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from srl_edge.report import layout

FOLDER = Path(__file__).parent / "parts"
_TEMPLATES = layout.environment(FOLDER, layout.TEMPLATES)


def render(template: str, **values: Any) -> Markup:
    """A template with values, of which all that is no markup is escaped."""
    return Markup(_TEMPLATES.get_template(template).render(**values))
