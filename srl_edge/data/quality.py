"""How good trajectories are to learn from: what the data stage reports, and can leave out."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from srl_edge.data import splits
from srl_edge.data.arithmetic import wrong_equations
from srl_edge.data.row import read
from srl_edge.data.sources import open_source
from srl_edge.data.trajectories import ParseReport
from srl_edge.data.values import Unusable
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory
from srl_edge.recipe.data import Quality
from srl_edge.terminal import progress

Splits = Mapping[str, Sequence[Trajectory]]
Gram = tuple[str, ...]
OVERLAP = 13  # words in a row; source: GPT-3, arXiv 2005.14165, appendix C
_SHINGLE = 3  # words
_HASHES = 128
_WORD = re.compile(r"\w+")
_LOOKED_AT, _SEVERAL = 200, 10  # problems, by which it is known what all of them say
IN_WORDS = {
    "near_duplicate": "another that is nearly the same",
    "evaluation": f"{OVERLAP} words in a row shared with a problem that is measured on",
    "arithmetic": "a wrong sum in its steps",
    "no_answer": "no final answer",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A training trajectory and what is wrong with it, by the names in `IN_WORDS`, and why."""

    trajectory: Trajectory
    faults: Mapping[str, str]

    def as_row(self) -> dict[str, Any]:
        """What `quality.jsonl` says of it; lengths are in characters."""
        steps = self.trajectory.steps
        return {
            "id": self.trajectory.id,
            "steps": len(steps),
            "longest_step": max(map(len, steps)),
            "shortest_step": min(map(len, steps)),
            "faults": dict(self.faults),
        }


def judged(found: Splits, settings: Quality) -> list[Judged]:
    """What is to be said of each training trajectory; held-out ones are not to be met in them."""
    train = found["train"]
    held = [t for name, split in found.items() if name != "train" for t in split]
    there = find_spec("datasketch") is not None
    if "near_duplicate" in settings.drop and not there:
        raise InputError("data.quality: near_duplicate needs pip install 'srl-edge[data]'.")
    alike = near_duplicates(held, train, settings.similarity) if there else {}
    own = _own_text(train)
    known = {gram: t.id for t in held for gram in _grams(_words(t.problem, own))}
    for source in settings.evaluation:
        texts = (_words(text, own) for text in _problems_of(source))
        known |= {gram: source for words in texts for gram in _grams(words)}
    return [Judged(t, dict(_faults(t, alike, known, own))) for t in train]


def _faults(
    t: Trajectory, alike: Mapping[str, str], known: Mapping[Gram, str], own: Set[Gram]
) -> Iterator[tuple[str, str]]:
    if t.id in alike:
        yield "near_duplicate", alike[t.id]
    grams = _grams(_words(t.problem, own))
    if shared := next((known[gram] for gram in grams if gram in known), None):
        yield "evaluation", shared
    if wrong := wrong_equations("\n".join(t.steps)):
        yield "arithmetic", wrong[0]
    if t.answer is None:
        yield "no_answer", ""


def filtered(
    found: dict[str, list[Trajectory]], settings: Quality, report: ParseReport
) -> tuple[list[Judged], dict[str, int]]:
    """Leave out of the training split what the settings name; all that was judged, and counts."""
    listed = judged(found, settings)
    for name in settings.drop:
        splits.leave_out(
            (each.trajectory for each in listed if name == next(_named(each, settings), None)),
            IN_WORDS[name],
            report,
        )
    found["train"] = [each.trajectory for each in listed if not any(_named(each, settings))]
    return listed, dict(Counter(name for each in listed for name in each.faults))


def _named(each: Judged, settings: Quality) -> Iterator[str]:
    return (name for name in settings.drop if name in each.faults)


def near_duplicates(
    before: Iterable[Trajectory], trajectories: Sequence[Trajectory], similarity: float
) -> dict[str, str]:
    """By id, which earlier trajectory each is nearly the same as, in its problem and steps.

    similarity: Jaccard's, of their sets of three words in a row, estimated by MinHash.
    """
    from datasketch import MinHash, MinHashLSH

    # Few are missed, and what is found is compared.
    seen = MinHashLSH(threshold=similarity, num_perm=_HASHES, weights=(0.1, 0.9))
    held, found, known = list(before), {}, dict[tuple[int, str], Any]()
    own = _own_text(trajectories)
    with progress.bar("data: near-duplicates", len(held) + len(trajectories)) as advance:
        for number, t in enumerate((*held, *trajectories)):
            hashed = MinHash(num_perm=_HASHES)
            hashed.update_batch([gram.encode() for gram in _shingles(t, own)])
            like = [key for key in seen.query(hashed) if known[key].jaccard(hashed) >= similarity]
            if number >= len(held) and like:
                found[t.id] = min(like)[1]
            else:
                known[number, t.id] = hashed
                seen.insert((number, t.id), hashed, check_duplication=False)
            advance()
    return found


def _shingles(t: Trajectory, own: Set[Gram]) -> list[str]:
    words = [*_words(t.problem, own), *_words(" ".join(t.steps))]
    grams = (words[at : at + _SHINGLE] for at in range(max(1, len(words) - _SHINGLE + 1)))
    return list(dict.fromkeys(" ".join(gram) for gram in grams))


def _words(text: str, own: Set[Gram] = frozenset()) -> list[str]:
    """The words of a text, without what is the whole set's own."""
    words = _WORD.findall(text.casefold())
    left_out = {
        place
        for at, gram in enumerate(_grams(words) if own else ())
        if gram in own
        for place in range(at, at + OVERLAP)
    }
    return [word for at, word in enumerate(words) if at not in left_out]


def _grams(words: Sequence[str]) -> Iterator[Gram]:
    return (tuple(words[at : at + OVERLAP]) for at in range(len(words) - OVERLAP + 1))


def _own_text(trajectories: Sequence[Trajectory]) -> Set[Gram]:
    """What many problems say in the same words, such as the policy that an agent's tasks share."""
    problems = [t.problem for t in trajectories[:_LOOKED_AT]]
    often = Counter(gram for text in problems for gram in set(_grams(_words(text))))
    many = max(_SEVERAL, len(problems) // splits.OWN_TEXT)
    return {gram for gram, count in often.items() if count > many}


def _problems_of(source: str) -> Iterator[str]:
    for table in open_source(source).chosen(("test", "train")):
        for number, row in enumerate(table.rows(None)):
            try:
                yield read(row, str(number)).problem
            except Unusable:
                continue


def in_words(counts: Mapping[str, int], settings: Quality) -> str:
    """What of the training split may be left out; '' where nothing is."""
    left = {name: count for name, count in counts.items() if name not in settings.drop}
    if not left:
        return ""
    said = ", ".join(f"{count} with {IN_WORDS[name]}" for name, count in left.items())
    return f"still in training: {said} (data.quality.drop leaves them out)"


def write(listed: Sequence[Judged]) -> str:
    """The rows of `quality.jsonl`."""
    return "".join(json.dumps(each.as_row(), ensure_ascii=False) + "\n" for each in listed)
