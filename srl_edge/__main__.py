"""`python -m srl_edge`, without the modules of the current folder."""

import contextlib
import os
import sys

here = [""]
with contextlib.suppress(FileNotFoundError):  # it was deleted
    here.append(os.getcwd())
sys.path[:] = [place for place in sys.path if place not in here]

from srl_edge.cli import main  # noqa: E402 - what it imports must not come from there

main()
