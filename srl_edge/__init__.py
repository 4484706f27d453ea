"""Train small language models to reason step by step, and ship them to the device one has."""

__version__ = "0.1.0"
