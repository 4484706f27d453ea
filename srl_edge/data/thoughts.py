"""What the writer of a solution thought, told from what the solution says."""

import re

from srl_edge.data.cutting import Span, without
from srl_edge.data.values import Unusable

_OPENED = r"<(?:think|thinking|thought|reasoning)>|<\|begin_of_thought\|>"
_CLOSED = r"</(?:think|thinking|thought|reasoning)>|<\|end_of_thought\|>"
_THOUGHT = re.compile(rf"(?:{_OPENED})(.*?)(?:{_CLOSED})", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(f"{_OPENED}|{_CLOSED}", re.IGNORECASE)

Thought = tuple[int, str]  # where in what is left it stood, and what it says


def split_thoughts(text: str) -> tuple[str, list[Thought]]:
    """A text without its thoughts, and these; raises Unusable for a thought without an end.

    What stands before a tag that closes alone is a thought as well.
    """
    matches = list(_THOUGHT.finditer(text))
    said = [plain_thought(match[1]) for match in matches]
    rest, places = without(text, [m.span() for m in matches], [m.start() for m in matches])
    found = list(zip(places, said, strict=True))
    if lone := list(re.finditer(_CLOSED, rest, re.IGNORECASE)):
        leading: Span = (0, lone[-1].end())
        inside = [thought for place, thought in found if place <= leading[1]]
        first = joined([plain_thought(rest[: leading[1]]), *inside])
        rest = rest[leading[1] :]
        after = [(place - leading[1], t) for place, t in found if place > leading[1]]
        found = [(0, first), *after]
    if re.search(_OPENED, rest, re.IGNORECASE):
        raise Unusable("a thought without an end")
    return rest, [(place, thought) for place, thought in found if thought]


def plain_thought(text: str) -> str:
    """A thought without tags, which a reply of a model has around it once."""
    return _TAG.sub("", text).strip()


def joined(thoughts: list[str]) -> str:
    """Thoughts that one step has, in their order."""
    return "\n\n".join(thought for thought in thoughts if thought)
