"""What the writer of a solution thought, told from what the solution says."""

import re

from srl_edge.data.cutting import Span, enclosed, without
from srl_edge.data.values import Unusable

_OPENED = re.compile(
    r"<(?:think|thinking|thought|reasoning)>|<\|begin_of_thought\|>", re.IGNORECASE
)
_CLOSED = re.compile(r"</(?:think|thinking|thought|reasoning)>|<\|end_of_thought\|>", re.IGNORECASE)
_TAG = re.compile(f"{_OPENED.pattern}|{_CLOSED.pattern}", re.IGNORECASE)

Thought = tuple[int, str]  # where in what is left it stood, and what it says


def split_thoughts(text: str) -> tuple[str, list[Thought]]:
    """A text without its thoughts, and these; raises Unusable for a thought without an end.

    What stands before a tag that closes alone is a thought as well.
    """
    tags = list(enclosed(text, _OPENED, _CLOSED))
    said = [plain_thought(text[a.end() : b.start()]) for a, b in tags]
    spans: list[Span] = [(a.start(), b.end()) for a, b in tags]
    rest, places = without(text, spans, [start for start, _ in spans])
    found = list(zip(places, said, strict=True))
    if lone := list(_CLOSED.finditer(rest)):
        leading: Span = (0, lone[-1].end())
        inside = [thought for place, thought in found if place <= leading[1]]
        first = joined([plain_thought(rest[: leading[1]]), *inside])
        rest = rest[leading[1] :]
        after = [(place - leading[1], t) for place, t in found if place > leading[1]]
        found = [(0, first), *after]
    if _OPENED.search(rest):
        raise Unusable("a thought without an end")
    return rest, [(place, thought) for place, thought in found if thought]


def plain_thought(text: str) -> str:
    """A thought without tags, which a reply of a model has around it once."""
    return _TAG.sub("", text).strip()


def joined(thoughts: list[str]) -> str:
    """Thoughts that one step has, in their order."""
    return "\n\n".join(thought for thought in thoughts if thought)
