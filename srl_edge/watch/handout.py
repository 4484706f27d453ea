"""Two runs compared on one page that can be handed on and needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from srl_edge import __version__
from srl_edge.errors import InputError
from srl_edge.files import read_text, replace
from srl_edge.report.layout import Part, document
from srl_edge.report.training_rows import placed
from srl_edge.watch import charts, page
from srl_edge.watch.run import Run
from srl_edge.watch.templates import FOLDER


def write(runs: Sequence[Run], out: Path) -> Path:
    """Write the page of two runs to a new file; return it.

    Raises InputError where the file is there already, or nothing is known of either run.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or name another file with --out.")
    states = [run.follow_to_end() for run in runs]
    sides = page.sides(runs, states)
    if not any(side.rows for side in sides):
        raise InputError(f"{runs[0].folder} and {runs[1].folder}: nothing to compare yet.")
    labels = page.short([side.name for side in sides])
    curves = [charts.Curves(label, placed(s.rows)) for label, s in zip(labels, sides, strict=True)]
    shown = [*page.figures(curves), *page.beside(sides)]
    parts = [Part(f"part-{at}", title, body) for at, (title, body) in enumerate(shown)]
    called = [side.name for side in sides]
    text = document(
        f"srl-edge {__version__}: two runs compared",
        " and ".join(called),
        "Curves over each other, the settings that differ, and results side by side.",
        (),
        parts,
        page.legend(labels, called),
        css=read_text(FOLDER / "watch.css"),
    )
    replace(out, text)
    return out
