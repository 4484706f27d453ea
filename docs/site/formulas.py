"""Formulas as MathML, which browsers draw without a script or a font from elsewhere."""

import re
from html import unescape

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor

# What pymdownx's arithmatex leaves of `$…$` and `$$…$$`.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


class _Formulas(Postprocessor):  # type: ignore[misc]
    def run(self, text: str) -> str:
        text = _INLINE.sub(lambda found: convert(unescape(found[1])), text)
        return _BLOCK.sub(lambda found: _block(unescape(found[1])), text)


def _block(formula: str) -> str:
    """A formula in a paragraph of its own, which scrolls where it is too wide."""
    return f'<div class="formula">{convert(formula, display="block")}</div>'


class Formulas(Extension):  # type: ignore[misc]
    """Markdown's extension; arithmatex, with `generic`, goes before it."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.postprocessors.register(_Formulas(md), "formulas", priority=0)


def makeExtension() -> Formulas:
    """What Markdown calls for the extension's name."""
    return Formulas()
