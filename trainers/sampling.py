"""Sampling many completions at once; rows that have finished leave the batch."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from srl_edge.types import Rollout

BLOCK = 256  # vocabulary entries that are summed before one is chosen
RETIRE_BELOW = 0.75  # compact the batch when that leaves at most this share of its slots


class Decoding(Protocol):
    """What runs the model: prompts once, then the rows of their groups, a token at a time."""

    device: torch.device

    def start(
        self, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int
    ) -> torch.Tensor:
        """Read prompts; logits [P, V] after each. Rows [P, G] go on from there."""

    def advance(self, ids: torch.Tensor, step: int) -> torch.Tensor:
        """Logits [P * G, V] after one more token a row, the `step`-th of its completion."""

    def keep(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Keep prompts [P'] and, of each, rows [P', G']; slots may repeat as padding."""

    def finish(self) -> None:
        """Let the caches go."""


@torch.inference_mode()
def sample(
    decoding: Decoding, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int,
    temperature: float, stop_ids: Sequence[int], seed: int, decode: Any,
) -> list[list[Rollout]]:  # fmt: skip
    """Sample `group_size` completions of each prompt (greedy at temperature 0).

    decode: ids -> text. Finished rows leave the batch, so the longest completion does not keep the
    others' slots busy.
    """
    device = decoding.device
    logits = decoding.start(prompts, group_size, max_new).repeat_interleave(group_size, 0)
    scratch = scratch_for(logits)
    generator = torch.Generator(device).manual_seed(seed)
    stops = torch.tensor(list(stop_ids), device=device)
    total = len(prompts) * group_size
    tokens = torch.zeros(total, max_new, dtype=torch.long, device=device)
    logprobs = torch.zeros(total, max_new, device=device)
    ends = torch.full((total,), max_new, device=device)
    finished = torch.zeros(total, dtype=torch.bool, device=device)
    rows = torch.arange(total, device=device).view(len(prompts), group_size)
    for step in range(max_new):
        ids, chosen = draw(logits, temperature, generator, scratch)
        flat = rows.flatten()
        alive = ~finished[flat]
        tokens[flat[alive], step] = ids[alive]
        logprobs[flat[alive], step] = chosen[alive]
        done = alive & torch.isin(ids, stops)
        finished[flat[done]] = True
        ends[flat[done]] = step + 1
        left = ~finished[rows]
        if step + 1 == max_new or not left.any():
            break
        prompts_left = left.any(1).nonzero().flatten()
        kept = left[prompts_left]
        if len(kept) * int(kept.sum(1).max()) < RETIRE_BELOW * left.numel():
            # Padding slots repeat a finished row: `alive` above ignores what they draw.
            order = kept.int().sort(dim=1, descending=True, stable=True).indices
            order = order[:, : int(kept.sum(1).max())]
            slot = prompts_left[:, None] * rows.shape[1] + order
            decoding.keep(prompts_left, order)
            rows = rows[prompts_left[:, None], order]
            ids = ids[slot.flatten()]
        logits = decoding.advance(ids, step)
    decoding.finish()
    groups = []
    for p, prompt in enumerate(prompts):
        group = []
        for g in range(group_size):
            i = p * group_size + g
            end = int(ends[i])
            completion = tokens[i, :end].tolist()
            text = decode(completion[:-1] if finished[i] else completion)
            group.append(
                Rollout(prompt, tuple(completion), tuple(logprobs[i, :end].tolist()), text,
                        bool(finished[i]))
            )  # fmt: skip
        groups.append(group)
    return groups


def draw(
    logits: torch.Tensor, temperature: float, generator: torch.Generator, scratch: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row of logits [R, V] and its log-probability under what it was drawn from.

    Greedy tokens carry their log-probability at temperature 1. scratch: what `scratch_for` made,
    overwritten; new memory of that size at each token would cost more than the arithmetic.
    """
    count = logits.shape[1]
    weights = scratch[: len(logits)]
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
        at = torch.rand(len(weights), 1, generator=generator, device=weights.device) * total
        block = _first_above(cumulative, at)
        at = at[:, 0] - F.pad(cumulative, (1, 0))[rows, block]
        inside = blocks[rows, block].cumsum(-1)
        ids = block * BLOCK + _first_above(inside, at[:, None])
        # Rounding may point at an entry of no probability, or beyond the last.
        ids = ids.clamp(max=count - 1)
    chosen = weights[rows, ids].clamp(min=torch.finfo(weights.dtype).tiny)
    return ids, torch.log(chosen / total[:, 0])


def scratch_for(logits: torch.Tensor) -> torch.Tensor:
    """Room for `draw` to work in, with logits [R, V] or fewer rows of them."""
    width = -(-logits.shape[1] // BLOCK) * BLOCK
    return torch.empty(len(logits), width, device=logits.device)


def _first_above(cumulative: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Index of the first entry of each row above `at` [R, 1], or of the row's last."""
    found = torch.searchsorted(cumulative, at, right=True)[:, 0]
    return found.clamp(max=cumulative.shape[1] - 1)
