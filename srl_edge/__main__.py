"""`python -m srl_edge` is `srl-edge`."""

from srl_edge.cli import main

main()
