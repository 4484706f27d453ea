"""Train small language models to reason step by step, and ship them to the device one has."""

import os

__version__ = "0.1.0"

# A thread that spins while it waits takes the core that it waits for: with every core asked for and
# one of them busy elsewhere, torch's default is more than ten times slower. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
