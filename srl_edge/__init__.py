"""Train small language models to reason step by step, and ship them to the device one has."""

import os

__version__ = "0.1.0"

# A thread that spins while it waits takes the core that it waits for: with one core busy elsewhere,
# torch's default is more than ten times slower. This keeps 95% of the speed of an
# idle machine. Read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "8000")
