"""Tokens drawn from logits on PyTorch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional as F

from srl_edge.trainers.policy.sampling import Drawn

BLOCK = 256  # vocabulary entries that are summed before one is chosen


class Draws:
    """The draws of one `sample`: temperature, random numbers, and memory that is used again."""

    def __init__(self, logits: torch.Tensor, temperature: float, seed: int) -> None:
        self.temperature, self.divisor = temperature, temperature or 1.0
        self.generator = torch.Generator(logits.device).manual_seed(seed)
        # New memory of that size at each token would cost more than the arithmetic.
        self.scratch = torch.empty(logits.shape, device=logits.device)

    def __call__(self, logits: torch.Tensor) -> Drawn:
        """One token a row of logits [R, V]; no more rows than at first.

        Greedy tokens carry their log-probability at temperature 1.
        """
        # In place of a copy in fp32: a softmax from bfloat16 into fp32 takes four times as long.
        weights = self.scratch[: len(logits)].copy_(logits)
        if self.divisor != 1:
            weights /= self.divisor
        torch.softmax(weights, -1, out=weights)
        return self.of(logits, weights)

    def of(self, logits: torch.Tensor, weights: torch.Tensor) -> Drawn:
        """The same of logits over `divisor` and their softmax, both [R, V]."""
        # max() finds the same place as argmax() in a quarter of the time.
        ids = logits.max(-1).indices if self.temperature == 0 else self._drawn(weights)
        chosen = weights.gather(1, ids[:, None])[:, 0].clamp(min=torch.finfo(weights.dtype).tiny)
        return Drawn(ids.cpu().numpy(), torch.log(chosen).cpu().numpy())

    def _drawn(self, weights: torch.Tensor) -> torch.Tensor:
        """An entry of each row [R, V], as often as its share of the row says."""
        # Inverse of the cumulative distribution, first over blocks, then inside one: one random
        # number a row and one pass, where Gumbel races need a number a vocabulary entry.
        last = weights.shape[1] - 1
        whole = weights.shape[1] // BLOCK * BLOCK
        sums = [weights[:, :whole].unflatten(1, (whole // BLOCK, BLOCK)).sum(-1)]
        if whole <= last:
            sums.append(weights[:, whole:].sum(-1, keepdim=True))
        cumulative = torch.cat(sums, -1).cumsum(-1)
        at = torch.rand(len(weights), 1, generator=self.generator, device=weights.device)
        at *= cumulative[:, -1:]
        block = _first_above(cumulative, at)
        at -= F.pad(cumulative, (1, 0)).gather(1, block)
        places = block * BLOCK + torch.arange(BLOCK, device=weights.device)
        inside = weights.gather(1, places.clamp(max=last)).cumsum(-1)
        # Rounding may point beyond the last entry.
        return (block * BLOCK + _first_above(inside, at)).clamp(max=last)[:, 0]


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: those of ONNX Runtime wait on the cores for their next step, and more
    of PyTorch's would wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _first_above(cumulative: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Index [R, 1] of the first entry of each row above `at` [R, 1], or of the row's last."""
    found = torch.searchsorted(cumulative, at, right=True)
    return found.clamp(max=cumulative.shape[1] - 1)
