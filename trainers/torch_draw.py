"""Tokens drawn from logits on PyTorch."""

import torch
from torch.nn import functional as F

from srl_edge.trainers.sampling import Drawn

BLOCK = 256  # vocabulary entries that are summed before one is chosen


class Draws:
    """The draws of one `sample`: temperature, random numbers, and memory that is used again."""

    def __init__(self, logits: torch.Tensor, temperature: float, seed: int) -> None:
        self.temperature = temperature
        self.generator = torch.Generator(logits.device).manual_seed(seed)
        # New memory of that size at each token would cost more than the arithmetic.
        width = -(-logits.shape[1] // BLOCK) * BLOCK
        self.scratch = torch.empty(len(logits), width, device=logits.device)

    def __call__(self, logits: torch.Tensor) -> Drawn:
        """One token a row of logits [R, V]; no more rows than at first.

        Greedy tokens carry their log-probability at temperature 1.
        """
        count, temperature = logits.shape[1], self.temperature
        weights = self.scratch[: len(logits)]
        weights[:, :count].copy_(logits)
        weights[:, count:] = float("-inf")
        if temperature not in (0, 1):
            weights.div_(temperature)
        # Not divided by their sum: that would be one more pass over the vocabulary.
        weights.sub_(weights.amax(-1, keepdim=True)).exp_()
        rows = torch.arange(len(weights), device=weights.device)
        # Inverse of the cumulative distribution, first over blocks, then inside one: one random
        # number a row and one pass, where Gumbel races need a number a vocabulary entry.
        blocks = weights.view(len(weights), -1, BLOCK)
        cumulative = blocks.sum(-1).cumsum(-1)
        total = cumulative[:, -1:]
        if temperature == 0:
            ids = logits.argmax(-1)
        else:
            at = torch.rand(len(weights), 1, generator=self.generator, device=weights.device)
            at *= total
            block = _first_above(cumulative, at)
            at = at[:, 0] - F.pad(cumulative, (1, 0))[rows, block]
            inside = blocks[rows, block].cumsum(-1)
            ids = block * BLOCK + _first_above(inside, at[:, None])
            # Rounding may point at an entry of no probability, or beyond the last.
            ids = ids.clamp(max=count - 1)
        chosen = weights[rows, ids].clamp(min=torch.finfo(weights.dtype).tiny)
        return Drawn(ids.cpu().numpy(), torch.log(chosen / total[:, 0]).cpu().numpy())


def _first_above(cumulative: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Index of the first entry of each row above `at` [R, 1], or of the row's last."""
    found = torch.searchsorted(cumulative, at, right=True)[:, 0]
    return found.clamp(max=cumulative.shape[1] - 1)
