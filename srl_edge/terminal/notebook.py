"""Lines in a notebook that change in place, so that a cell's output does not grow meanwhile."""

import sys
from collections.abc import Callable
from itertools import count

_numbers = count(1)


def here() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def changing_line() -> Callable[[str], None]:
    """What shows a text in the cell's output, and then others in its place."""
    from IPython.display import display

    number, shown = f"srl-edge-{next(_numbers)}", False

    def show(text: str) -> None:
        nonlocal shown
        display({"text/plain": text}, raw=True, display_id=number, update=shown)
        shown = True

    return show
