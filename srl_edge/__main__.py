"""`python -m srl_edge`, without the modules of the current folder."""

import os
import sys

sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]

from srl_edge.cli import main  # noqa: E402 - what it imports must not come from there

main()
