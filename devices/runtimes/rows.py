"""Several sequences at once: a step reads the weights once for all of them."""

from collections.abc import Sequence
from typing import Protocol

from srl_edge.devices.runtimes.contract import Choose, Logits

BATCH = 64  # rows
CACHES = 2 << 30  # bytes that the keys and values of all rows may take


class Rows(Protocol):
    """Sequences that a model decodes together, each in a row of its own."""

    def bytes_a_token(self) -> int:
        """What the keys and values of one token take."""

    def start(self, prompts: Sequence[Sequence[int]], room: int) -> Logits:
        """Logits [R, V] after each prompt; at most `room` tokens will follow."""

    def advance(self, tokens: Sequence[int]) -> Logits:
        """Logits [R, V] after one more token in each row."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""


def complete(
    rows: Rows,
    most: int,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    stops: Sequence[int],
    choices: Sequence[Choose],
) -> list[list[int]]:
    """A completion of each prompt, with the stop token that ended it, if any.

    most: rows at once, or fewer where their caches would be too large. limits: most tokens of each
    completion. choices: how each takes its next token; it draws alone, so that it draws the same in
    any company.
    """
    longest = max(map(len, prompts), default=0) + max(limits, default=0)
    most = max(1, min(most, CACHES // (rows.bytes_a_token() * max(longest, 1))))
    found = []
    for at in range(0, len(prompts), most):
        part = slice(at, at + most)
        found += _together(rows, prompts[part], limits[part], stops, choices[part])
    return found


def _together(
    rows: Rows,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    stops: Sequence[int],
    choices: Sequence[Choose],
) -> list[list[int]]:
    replies: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    logits = rows.start(prompts, max(limits))
    while True:
        for row, at in enumerate(going):
            replies[at].append(choices[at](logits[row]))
        kept = [
            row
            for row, at in enumerate(going)
            if replies[at][-1] not in stops and len(replies[at]) < limits[at]
        ]
        if not kept:
            return replies
        if len(kept) < len(going):
            rows.keep(kept)
            going = [going[row] for row in kept]
        logits = rows.advance([replies[at][-1] for at in going])
