"""Which problems are trained on and which are held out, so that no split knows another's."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from srl_edge.data.trajectories import ParseReport
from srl_edge.method.types import Trajectory

SPLITS = ("train", "validation", "test")
# Without a setting: how many are held out, and of a small set, one in so many.
HELD_OUT, ONE_IN = {"validation": 60, "test": 100}, 10
# A text that more than one in so many problems have is the whole set's own, and is on every side.
OWN_TEXT = 4
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def alike(problem: str) -> str:
    """What a problem says whatever its numbers; equal for near-duplicates."""
    return " ".join(_NUMBER.sub("0", problem.casefold()).split())


def unique(trajectories: Iterable[Trajectory], report: ParseReport) -> list[Trajectory]:
    """The last trajectory of each problem; the others are counted as dropped.

    In another world a problem is another one.
    """
    found: dict[tuple[str, str], Trajectory] = {}
    for t in trajectories:
        key = (t.problem, json.dumps(t.world, sort_keys=True))
        if key in found:
            leave_out([t], "the same problem twice", report)
        found[key] = t
    return list(found.values())


def divide(
    trajectories: Sequence[Trajectory], held_out: Mapping[str, float | None], seed: int
) -> dict[str, list[Trajectory]]:
    """Train and held-out splits of different problems, drawn at random.

    held_out: by split, a number of problems, a share of them below 1, or None for what a set of
    that size can give. Problems that differ in numbers alone go to one side, so that a split may
    have a few more than asked for; those of which there are too many for that do not.
    """
    order = list(trajectories)
    Random(seed).shuffle(order)
    groups: dict[str, list[Trajectory]] = defaultdict(list)
    for t in order:
        groups[alike(t.problem)].append(t)
    found: dict[str, list[Trajectory]] = {}
    taken: set[str] = set()
    for name in reversed([name for name in SPLITS if name in held_out]):
        count = number_of(held_out[name], len(order), name)
        split = found[name] = []
        for key, members in groups.items():
            if len(split) >= count:
                break
            if key not in taken and len(members) <= max(1, len(order) // OWN_TEXT):
                split += members
                taken.add(key)
        if not split:
            used = {t.problem for other in found.values() for t in other}
            split += [t for t in order if t.problem not in used][:count]
    used = {t.problem for split in found.values() for t in split}
    return {"train": [t for t in order if t.problem not in used], **found}


def number_of(asked: float | None, total: int, split: str) -> int:
    """How many problems a split has: a number, a share of all, or as many as a set can give."""
    if asked is None:
        return min(HELD_OUT[split], max(1, total // ONE_IN))
    return int(asked) if asked >= 1 else max(1, round(asked * total))


def apart(
    trajectories: Sequence[Trajectory], held: Iterable[Trajectory], report: ParseReport
) -> list[Trajectory]:
    """Those that are not in a split held out already, nor in it with other numbers, counted."""
    problems = {t.problem for t in held}
    texts = {alike(problem) for problem in problems}
    often = Counter(alike(t.problem) for t in trajectories)
    kept = []
    for t in trajectories:
        text = alike(t.problem)
        if t.problem in problems:
            leave_out([t], "a problem of a held-out split", report)
        elif text in texts and often[text] <= max(1, len(trajectories) // OWN_TEXT):
            leave_out([t], "a problem of a held-out split, with other numbers", report)
        else:
            kept.append(t)
    return kept


def near_duplicates(splits: Mapping[str, Sequence[Trajectory]]) -> dict[str, int]:
    """How many problems are another's but for the numbers, and how many of them on two sides."""
    sides: dict[str, Counter[str]] = defaultdict(Counter)
    for name, split in splits.items():
        for t in split:
            sides[alike(t.problem)][name] += 1
    several = [counts for counts in sides.values() if counts.total() > 1]
    return {
        "problems": sum(counts.total() for counts in several),
        "on_two_sides": sum(counts.total() for counts in several if len(counts) > 1),
    }


def leave_out(trajectories: Iterable[Trajectory], why: str, report: ParseReport) -> None:
    """Count trajectories as dropped that were kept before."""
    for t in trajectories:
        report.drop(why, f"id {t.id}", t.problem)
        report.kept -= 1
