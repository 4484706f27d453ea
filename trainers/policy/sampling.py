"""Sampling many completions at once; rows that have finished leave the batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from srl_edge.method.types import Rollout
from srl_edge.trainers.policy.packing import PrefixCache

RETIRE_BELOW = 0.75  # compact the batch when that leaves at most this share of its slots
Ids = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Drawn(NamedTuple):
    """A token for each row [R], and its log-probability under what it was drawn from."""

    ids: Ids
    logprobs: Floats


class Decoding(Protocol):
    """What runs the model and draws: prompts once, then the rows of their groups, token by token.

    Greedy at temperature 0; a seed gives the same draws again.
    """

    def start(
        self, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int, temperature: float,
        seed: int, prefix_cache: PrefixCache | None = None,
    ) -> Drawn:  # fmt: skip
        """Read prompts and draw the first token of rows [P * G].

        prefix_cache: of an earlier call with the same weights. May be left as it is.
        """

    def advance(self, ids: Ids, step: int) -> Drawn:
        """Read one more token a row [P * G], the `step`-th of its completion; draw the next."""

    def keep(self, prompts: Ids, rows: Ids) -> None:
        """Keep prompts [P'] and, of each, rows [P', G']; slots may repeat as padding."""

    def finish(self) -> None:
        """Let the caches go."""


def sample(
    decoding: Decoding, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int,
    temperature: float, stop_ids: Sequence[int], seed: int, decode: Any,
    prefix_cache: PrefixCache | None = None,
) -> list[list[Rollout]]:  # fmt: skip
    """Sample `group_size` completions of each prompt (greedy at temperature 0).

    decode: ids -> text. Finished rows leave the batch, so the longest completion does not keep the
    others' slots busy.
    """
    total = len(prompts) * group_size
    tokens = np.zeros((total, max_new), np.int64)
    logprobs = np.zeros((total, max_new), np.float32)
    ends = np.full(total, max_new)
    finished = np.zeros(total, bool)
    rows = np.arange(total).reshape(len(prompts), group_size)
    drawn = decoding.start(prompts, group_size, max_new, temperature, seed, prefix_cache)
    for step in range(max_new):
        ids, flat = drawn.ids, rows.ravel()
        alive = ~finished[flat]
        tokens[flat[alive], step] = ids[alive]
        logprobs[flat[alive], step] = drawn.logprobs[alive]
        done = alive & np.isin(ids, stop_ids)
        finished[flat[done]] = True
        ends[flat[done]] = step + 1
        left = ~finished[rows]
        if step + 1 == max_new or not left.any():
            break
        prompts_left = np.flatnonzero(left.any(1))
        kept = left[prompts_left]
        widest = int(kept.sum(1).max())
        if len(kept) * widest < RETIRE_BELOW * left.size:
            # Padding slots repeat a finished row: `alive` above ignores what they draw.
            order = np.argsort(~kept, axis=1, kind="stable")[:, :widest]
            slot = prompts_left[:, None] * rows.shape[1] + order
            decoding.keep(prompts_left, order)
            rows = rows[prompts_left[:, None], order]
            ids = ids[slot.ravel()]
        drawn = decoding.advance(ids, step)
    decoding.finish()
    groups = []
    for p, prompt in enumerate(prompts):
        group = []
        for i in range(p * group_size, (p + 1) * group_size):
            completion = tokens[i, : ends[i]].tolist()
            text = decode(completion[:-1] if finished[i] else completion)
            group.append(
                Rollout(prompt, tuple(completion), tuple(logprobs[i, : ends[i]].tolist()), text,
                        bool(finished[i]))
            )  # fmt: skip
        groups.append(group)
    return groups
