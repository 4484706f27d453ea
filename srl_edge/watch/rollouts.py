"""The rollouts of a run, of which only what they are sorted and filtered by is held in memory."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from srl_edge.files import parsed
from srl_edge.watch.tail import AT_ONCE, Tail

Row = dict[str, Any]
Sort = Literal["newest", "oldest", "best", "worst", "longest", "shortest"]
Pick = Literal["all", "best", "worst"]
SORTS: tuple[Sort, ...] = get_args(Sort)
PICKS: tuple[Pick, ...] = get_args(Pick)
FAULTLESS, FAULTY = "none", "some"
_SEARCHED = ("problem", "expert_action", "completion", "trajectory_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a rollout's row is in the file, in bytes, and what it is found by.

    number: counts rows from 0. group: counts groups of rollouts that are compared with each other.
    length: characters of the reply.
    """

    number: int
    at: int
    size: int
    stage: int
    kind: str
    step: int
    group: int
    rollout: int
    reward: float
    length: int
    fault: str


@dataclass(frozen=True, slots=True)
class Query:
    """Which rollouts, and in which order.

    text: in the problem, the expert's step, or the reply, whatever the case. fault: `none`, `some`,
    or one by its words; '' for all. pick: the best or the worst of each group, whose last reply
    stands for a solution found step by step.
    """

    text: str = ""
    stage: int | None = None
    step: int | None = None
    fault: str = ""
    pick: Pick = "all"
    sort: Sort = "newest"


class Rollouts:
    """`train/rollouts.jsonl` while it grows."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self.edition = 0  # counts changes
        self._begin()

    def _begin(self) -> None:
        self.entries: list[Entry] = []
        self.skipped: list[str] = []  # why lines are not shown
        self.left = 0  # bytes that are still to be read
        self._last: tuple[Any, ...] = ()
        self._found: tuple[str, int, list[Entry]] = ("", 0, [])
        self._strings: dict[str, str] = {}

    def follow(self, most: int = AT_ONCE) -> bool:
        """Take in what was added, about `most` bytes of it; whether anything changed."""
        news = self._tail.news(most)
        if news.anew:
            self._begin()
        for at, line in news.lines:
            self._add(at, line)
        self.left = news.left if news.more else 0
        changed = news.anew or bool(news.lines)
        self.edition += changed
        return changed

    def follow_to_end(self) -> None:
        """Take in all that is there."""
        while self.follow():
            pass

    def _add(self, at: int, line: bytes) -> None:
        try:
            row = parsed(line, "RolloutRow")
        except ValueError as error:
            self.skipped.append(f"the line at byte {at} is left out: {error}.")
            return
        stage, step, rollout = row["stage"], row["step"], row["rollout"]
        place = (stage, step, row["trajectory_id"])
        group = self.entries[-1].group if self.entries else -1
        # Rollouts are numbered within a group, and one prompt may be sampled as two groups.
        if not self._last or self._last[:-1] != place or rollout < self._last[-1]:
            group += 1
        self._last = (*place, rollout)
        kind, fault = (self._strings.setdefault(row[k], row[k]) for k in ("kind", "fault"))
        self.entries.append(
            Entry(
                len(self.entries),
                at,
                len(line),
                stage,
                kind,
                step,
                group,
                rollout,
                float(row["reward"]),
                len(row["completion"]),
                fault,
            )
        )

    def steps(self) -> dict[int, tuple[str, int]]:
        """Of each stage that has rollouts, its kind and its newest step."""
        return {e.stage: (e.kind, e.step) for e in self.entries}

    def faults(self) -> dict[str, int]:
        """How often each fault is, the commonest first."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            if entry.fault:
                counts[entry.fault] = counts.get(entry.fault, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def find(self, query: Query) -> list[Entry]:
        """The entries that a query asks for, in its order."""
        found = self._with_text(query.text) if query.text else self.entries
        kept = [e for e in found if _asked(e, query)]
        if query.pick != "all":
            chosen = {e.number for e in _extremes(self.entries, query.pick)}
            kept = [e for e in kept if e.number in chosen]
        match query.sort:
            case "oldest":
                return kept
            case "best" | "worst":
                return sorted(kept, key=lambda e: e.reward, reverse=query.sort == "best")
            case "longest" | "shortest":
                return sorted(kept, key=lambda e: e.length, reverse=query.sort == "longest")
        return kept[::-1]

    def newest(self, groups: int) -> list[Entry]:
        """The entries of the newest step's groups whose rewards differ most, in order."""
        found: dict[int, list[Entry]] = {}
        for entry in reversed(self.entries):
            if (entry.stage, entry.step) != (self.entries[-1].stage, self.entries[-1].step):
                break
            found.setdefault(entry.group, []).append(entry)
        spread = {
            group: max(e.reward for e in part) - min(e.reward for e in part)
            for group, part in sorted(found.items())
        }
        most = sorted(spread, key=lambda group: -spread[group])[:groups]
        return sorted((e for group in most for e in found[group]), key=lambda e: e.number)

    def rows(self, entries: Sequence[Entry]) -> list[tuple[Entry, Row]]:
        """The rows of entries; without those that the file has no more."""
        found = []
        for entry, line in self._lines(entries):
            try:
                found.append((entry, parsed(line, "RolloutRow")))
            except ValueError:
                continue
        return found

    def _lines(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, bytes]]:
        try:
            with self._tail.path.open("rb") as file:
                for entry in entries:
                    file.seek(entry.at)
                    yield entry, file.read(entry.size)
        except FileNotFoundError:
            return

    def _with_text(self, text: str) -> list[Entry]:
        """The entries that hold a text; of the last text asked for, only what is new is read."""
        asked, seen, found = self._found
        if asked != text:
            seen, found = 0, []
        wanted = text.casefold()
        # As it stands in the file, so that most lines need not be taken apart.
        written = json.dumps(wanted)[1:-1] if text.isascii() else ""
        for entry, line in self._lines(self.entries[seen:]):
            if written in line.decode("utf-8", "replace").casefold() and _holds(line, wanted):
                found.append(entry)
        self._found = (text, len(self.entries), found)
        return list(found)


def _holds(line: bytes, wanted: str) -> bool:
    """Whether a row, whose shape was looked at before, has a text in what is searched."""
    try:
        row = json.loads(line)
        return any(wanted in row[key].casefold() for key in _SEARCHED)
    except (ValueError, LookupError, TypeError, AttributeError):  # the file is another meanwhile
        return False


def _asked(entry: Entry, query: Query) -> bool:
    if query.stage is not None and entry.stage != query.stage:
        return False
    if query.step is not None and entry.step != query.step:
        return False
    match query.fault:
        case "":
            return True
        case "none":
            return not entry.fault
        case "some":
            return bool(entry.fault)
    return entry.fault == query.fault


def _extremes(entries: Sequence[Entry], pick: Pick) -> Iterator[Entry]:
    """The best or the worst of each group."""
    groups: dict[int, dict[int, Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, {})[entry.rollout] = entry
    choose = max if pick == "best" else min
    for group in groups.values():
        yield choose(group.values(), key=lambda e: e.reward)
