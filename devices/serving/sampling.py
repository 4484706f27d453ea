"""How the next token is taken from logits: the likeliest, or drawn."""

import numpy as np

from srl_edge.devices.runtimes.contract import Choose, Logits, likeliest

_SEEDS = 1 << 64


def chooser(temperature: float, top_p: float = 1.0, seed: int | None = None) -> Choose:
    """What takes tokens one after the other; with a seed, the same ones each time.

    temperature: 0 is the likeliest. top_p: drawn are the likeliest tokens that together have this
    probability at least. Source: nucleus sampling, arXiv 1904.09751, section 3.1.
    """
    if temperature == 0:
        return likeliest
    generator = np.random.default_rng(None if seed is None else seed % _SEEDS)

    def draw(logits: Logits) -> int:
        weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
        if top_p == 1:
            order, sums = None, np.cumsum(weights)
        else:
            order = np.argsort(-weights, kind="stable")
            sums = np.cumsum(weights[order])
            sums = sums[: int(np.searchsorted(sums, top_p * sums[-1])) + 1]
        # What rounding leaves beyond the last token is the last token's.
        at = min(int(np.searchsorted(sums, generator.random() * sums[-1], "right")), len(sums) - 1)
        return at if order is None else int(order[at])

    return draw
