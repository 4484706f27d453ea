"""Sampling many completions at once; rows that have finished leave the batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from srl_edge.method.types import Rollout
from srl_edge.trainers.policy.packing import PrefixCache

RETIRE_BELOW = 0.75  # compact the batch when that leaves at most this share of its cost
LINE = 600  # tokens of a prompt whose keys a line reads in the time that a row's weights take
Ids = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Drawn(NamedTuple):
    """A token for each row [R], and its log-probability under what it was drawn from."""

    ids: Ids
    logprobs: Floats


class Decoding(Protocol):
    """What runs the model and draws: prompts once, then the rows of their groups, token by token.

    Greedy at temperature 0; a seed gives the same draws again.
    """

    def start(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        """Read prompts and draw the first token of rows [P * G].

        prefix_cache: of an earlier call with the same weights. May be left as it is.
        """

    def advance(self, ids: Ids, step: int) -> Drawn:
        """Read one more token a row [P * G], the `step`-th of its completion; draw the next."""

    def keep(self, prompts: Ids, rows: Ids) -> None:
        """Go on with prompts [P'] and, of each, rows [P', G']; both may be there several times.

        A prompt whose group goes on over several lines, and slots that are padding.
        """

    def finish(self) -> None:
        """Let the caches go."""


def sample(
    decoding: Decoding,
    prompts: Sequence[tuple[int, ...]],
    group_size: int,
    max_new: int,
    temperature: float,
    stop_ids: Sequence[int],
    seed: int,
    decode: Any,
    prefix_cache: PrefixCache | None = None,
) -> list[list[Rollout]]:
    """Sample `group_size` completions of each prompt (greedy at temperature 0).

    decode: ids -> text. Finished rows leave the batch, so the longest completion does not keep the
    others' slots busy.
    """
    total = len(prompts) * group_size
    # The last one is of the slots that are padding: finished before it began.
    tokens = np.zeros((total + 1, max_new), np.int64)
    logprobs = np.zeros((total + 1, max_new), np.float32)
    ends = np.full(total + 1, max_new)
    finished = np.zeros(total + 1, bool)
    finished[total] = True
    rows = np.arange(total).reshape(len(prompts), group_size)
    longest = max(map(len, prompts))
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
        if width := _width(left, longest, step + 1):
            lines, order, padding = _narrowed(left, width)
            decoding.keep(lines, order)
            ids = ids.reshape(rows.shape)[lines[:, None], order].ravel()
            rows = np.where(padding, total, rows[lines[:, None], order])
        drawn = decoding.advance(ids, step)
    decoding.finish()
    groups = []
    for p, prompt in enumerate(prompts):
        group = []
        for i in range(p * group_size, (p + 1) * group_size):
            completion = tokens[i, : ends[i]].tolist()
            text = decode(completion[:-1] if finished[i] else completion)
            group.append(
                Rollout(
                    prompt,
                    tuple(completion),
                    tuple(logprobs[i, : ends[i]].tolist()),
                    text,
                    bool(finished[i]),
                )
            )
        groups.append(group)
    return groups


def _width(left: Mask, prompt_tokens: int, own_tokens: int) -> int | None:
    """Rows a line from now on, if going on with `left` [P, G] alone is worth moving the caches.

    Rows of a group read their prompt together. Where groups finish unevenly, most slots of a line
    as wide as the fullest are padding; narrower ones read the prompt more often, and keep it so.
    """
    counts = left.sum(1)

    def cost(lines: int, width: int) -> float:
        return lines * (width + prompt_tokens / LINE)

    def kept(lines: int, width: int) -> int:
        return lines * (prompt_tokens + width * own_tokens)

    now = left.shape
    found = [(int((-(-counts // w)).sum()), w) for w in range(1, now[1] + 1)]
    fitting = [grid for grid in found if kept(*grid) <= kept(*now)]
    lines, width = min(fitting, key=lambda grid: cost(*grid), default=now)
    return width if cost(lines, width) < RETIRE_BELOW * cost(*now) else None


def _narrowed(left: Mask, width: int) -> tuple[Ids, Ids, Mask]:
    """Lines [P'], of each its rows [P', width] that are left, and which of them are padding."""
    lines, order, padding = [], [], []
    for line, alive in enumerate(left):
        rows = np.flatnonzero(alive)
        for start in range(0, len(rows), width):
            part = rows[start : start + width]
            missing = width - len(part)
            lines.append(line)
            order.append(np.pad(part, (0, missing), mode="edge"))
            padding.append(np.arange(width) >= len(part))
    return np.array(lines), np.array(order), np.array(padding)
