"""Prompts and completions packed so that what they share is computed once.

All step prompts of one trajectory are prefixes of one another, up to the few tokens that close a
chat turn. The longest of them is the trunk; every other sequence is a row that leaves the trunk
at some position. The trunk is run once for its keys and values; rows attend to those and to
themselves, in as many passes as memory asks for. Together they give what one pass over each full
sequence would, and the same gradient, for the fewest tokens.
"""

from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from srl_edge.method.prompts import shared_length

# Keys and values of prompts by their token ids. A call of the sampler takes what it can use, and
# leaves those of its own prompts instead: they hold for one adapter, and who holds them ends them.
PrefixCache = dict[tuple[int, ...], Any]

Item = TypeVar("Item")

TOKENS_AT_ONCE = 512  # of rows whose trunks were read: products are as fast as with more
LEARNED_AT_ONCE = 1024  # of sequences that share little: with 512 a pass takes a fifth longer


@dataclass(frozen=True, slots=True)
class Pack:
    """One trunk and the rows that leave it.

    trunk: token ids [T]. rows: token ids of each row after it leaves the trunk, at least one of
    them of its prompt. bounds: how many trunk tokens each row sees. owners: which of the packed
    sequences each row continues.
    """

    trunk: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    bounds: tuple[int, ...]
    owners: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens computed, trunk and rows together."""
        return len(self.trunk) + sum(map(len, self.rows))

    def spans(self, start: int = 0) -> Iterator[tuple[int, int, slice]]:
        """Of each row: whose it is, how much of the trunk it sees, its place among row tokens.

        start: where the first row's is.
        """
        end = start
        for owner, bound, row in zip(self.owners, self.bounds, self.rows, strict=True):
            start, end = end, end + len(row)
            yield owner, bound, slice(start, end)

    def cut(self, most_tokens: int) -> Iterator["Pack"]:
        """The same trunk with the rows in turn, at most so many row tokens at a time."""
        start = used = 0
        for row, ids in enumerate((*self.rows, None)):
            if ids is None or (row > start and used + len(ids) > most_tokens):
                here = slice(start, row)
                yield Pack(self.trunk, self.rows[here], self.bounds[here], self.owners[here])
                start, used = row, 0
            used += len(ids or ())


def chunks(
    items: Iterable[Item], most_tokens: int, size: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Items in turn, at most so many tokens at a time, or one; size: an item's tokens."""
    chunk: list[Item] = []
    used = 0
    for item in items:
        if chunk and used + size(item) > most_tokens:
            yield chunk
            chunk, used = [], 0
        chunk.append(item)
        used += size(item)
    if chunk:
        yield chunk


def before_each(packs: Sequence[Pack], completions: Sequence[Sequence[int]]) -> list[int]:
    """Where the token before each token of the rows' completions is among the packs' row tokens."""
    ends = accumulate(len(row) for packed in packs for row in packed.rows)
    spans = zip(ends, map(len, completions), strict=True)
    return [at for end, length in spans for at in range(end - length - 1, end - 1)]


def pack(
    prompts: Sequence[tuple[int, ...]],
    tails: Sequence[tuple[int, ...]],
    gate: float = 1.1,
    read: Collection[tuple[int, ...]] = (),
) -> list[Pack]:
    """Pack sequences prompt + tail into as few tokens as their shared prefixes allow.

    One trunk serves prompts that are alike where that saves more than `gate` times the tokens of
    smaller trunks; else those have one that are alike beyond what all of them begin with, or each
    distinct prompt has its own, whichever takes fewer tokens. read: sequences whose
    keys and values are known; one is the trunk of the prompts that share half of themselves with
    it, and all its tokens are in `Pack.trunk`.
    """
    going_on = _going_on(prompts, read)
    packs = [_around(trunk, prompts, tails, members) for trunk, members in going_on.items()]
    fresh = sorted({*range(len(prompts))} - {i for members in going_on.values() for i in members})
    for alike in _alike(prompts, fresh):
        distinct = dict.fromkeys(prompts[i] for i in alike)
        members = [[i for i in alike if prompts[i] == prompt] for prompt in distinct]
        # A template and a system message are half of many prompts, and make no problems alike.
        ordered = sorted(prompts[i] for i in alike)
        finer = _alike(prompts, alike, shared_length(ordered[0], ordered[-1]))
        together, *apart = (
            [_around_longest(prompts, tails, each) for each in chosen]
            for chosen in ([alike], members, finer)
        )
        fewest = min(apart, key=_tokens)
        packs += together if _tokens(together) * gate < _tokens(fewest) else fewest
    return packs


def _tokens(packs: Sequence[Pack]) -> int:
    return sum(p.tokens for p in packs)


def passes(
    packs: Sequence[Pack], read: Collection[tuple[int, ...]], most_tokens: int = TOKENS_AT_ONCE
) -> Iterator[list[Pack]]:
    """Packs whose rows are run at once, few tokens each.

    most_tokens: of a pass's rows, and of its trunks that were not read, which are then let go.
    """

    def tokens(packed: Pack) -> int:
        return sum(map(len, packed.rows)) if packed.trunk in read else packed.tokens

    return chunks(packs, most_tokens, tokens)


def gathered(
    packs: Sequence[Pack],
    prompts: Sequence[tuple[int, ...]],
    tails: Sequence[tuple[int, ...]] | None = None,
    read: Collection[tuple[int, ...]] = (),
    most_tokens: int = TOKENS_AT_ONCE,
) -> list[Pack]:
    """Packs of one sequence each put together around the beginning that all their prompts share.

    A chat template begins every prompt alike. That saves few tokens, but a pass that reads all
    weights for one prompt takes nearly as long as one for several. most_tokens: of a pack.
    """
    tails = tails or [()] * len(prompts)
    lengths = [len(prompt) + len(tail) for prompt, tail in zip(prompts, tails, strict=True)]
    alone = [p for p in packs if len(p.rows) == 1 and p.trunk not in read]
    owners = sorted((p.owners[0] for p in alone), key=lambda i: lengths[i])
    chunks: list[list[int]] = []
    used = 0
    for owner in owners:
        used += lengths[owner]
        if not chunks or used > most_tokens:
            chunks.append([])
            used = lengths[owner]
        chunks[-1].append(owner)
    found = [p for p in packs if p not in alone]
    for chunk in chunks:
        first, *others = (prompts[i] for i in chunk)
        shared = min((shared_length(first, other) for other in others), default=0)
        shared = min(shared, len(first) - 1)
        if shared:
            found.append(_around(first[:shared], prompts, tails, chunk))
        else:
            found += [p for p in alone if p.owners[0] in chunk]
    return found


def _going_on(
    prompts: Sequence[tuple[int, ...]], read: Collection[tuple[int, ...]]
) -> dict[tuple[int, ...], list[int]]:
    """Of sequences that were read, the prompts that share half of themselves with each."""
    ordered = sorted(read)
    found: dict[tuple[int, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        at = bisect(ordered, prompt)
        shares = {x: shared_length(x, prompt) for x in ordered[max(0, at - 1) : at + 1]}
        nearest = max(shares, key=shares.__getitem__, default=())
        if 2 * shares.get(nearest, 0) >= len(prompt):
            found.setdefault(nearest, []).append(index)
    return found


def _alike(
    prompts: Sequence[tuple[int, ...]], among: Sequence[int], common: int = 0
) -> list[list[int]]:
    """Indices of prompts, together where each shares half of the one before, in sorted order.

    common: tokens that all of them begin with, of which none counts.
    """
    order = sorted(among, key=prompts.__getitem__)
    groups = [order[:1]] if order else []
    for before, index in pairwise(order):
        shared = shared_length(prompts[before], prompts[index]) - common
        if 2 * shared >= min(len(prompts[before]), len(prompts[index])) - common:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [sorted(group) for group in groups]


def _around_longest(
    prompts: Sequence[tuple[int, ...]], tails: Sequence[tuple[int, ...]], members: Sequence[int]
) -> Pack:
    # A prompt's last token predicts its completion, so it belongs to the row.
    longest = max((prompts[i] for i in members), key=len)
    return _around(longest[:-1], prompts, tails, members)


def _around(
    trunk: tuple[int, ...],
    prompts: Sequence[tuple[int, ...]],
    tails: Sequence[tuple[int, ...]],
    members: Sequence[int],
) -> Pack:
    bounds = {i: min(shared_length(trunk, prompts[i]), len(prompts[i]) - 1) for i in members}
    rows = {i: prompts[i][bounds[i] :] + tails[i] for i in members}
    # A pass looks at the trunk as far as its furthest row does, and pads rows to its longest.
    owners = sorted(members, key=lambda i: (bounds[i], len(rows[i])))
    return Pack(
        trunk, tuple(rows[i] for i in owners), tuple(bounds[i] for i in owners), tuple(owners)
    )
