"""What the writer of a solution thought, told from what the solution says."""

import re
from collections.abc import Sequence

from srl_edge.data.cutting import MARK, Span, enclosed, stated, without
from srl_edge.data.values import Unusable
from srl_edge.method.answers import is_value

_THOUGHT = r"(?:seed:)?(?:think|thinking|thought|reasoning|scratch_?pad)"
_OPENED = re.compile(
    rf"<{_THOUGHT}>|\[THINK\]|<\|begin_of_thought\|>"
    r"|<\|channel>thought|<\|channel\|>analysis<\|message\|>|<start_working_out>",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    rf"</{_THOUGHT}>|\[/THINK\]|<\|end_of_thought\|>"
    r"|<channel\|>|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>"
    r"|<end_working_out>",
    re.IGNORECASE,
)
_TAG = re.compile(f"{_OPENED.pattern}|{_CLOSED.pattern}", re.IGNORECASE)

# What some models write around the rest of a reply, or around an answer at its end.
_WHOLE = "answer|solution|response|output"
_WRAP = re.compile(f"<({_WHOLE}|final_answer)>", re.IGNORECASE)
_WRAP_ENDS = re.compile(f"</({_WHOLE}|final_answer)>", re.IGNORECASE)
_HALF = re.compile(rf"\A\s*<(?:{_WHOLE})>[ \t]*|</(?:{_WHOLE})>\s*\Z", re.IGNORECASE)

# Replies that are taught with GRPO have their steps in such tags, and nothing but an answer after.
_REASONED = re.compile(
    r"\A\s*<(?:reasoning|start_working_out)>[ \t]*(.*)<(?:/reasoning|end_working_out)>"
    r"\s*<(answer|solution|output)>\s*([^\n]{1,100}?)\s*</\2>\s*\Z",
    re.DOTALL | re.IGNORECASE,
)

Thought = tuple[int, str]  # where in what is left it stood, and what it says


def of_solution(text: str) -> tuple[str, list[Thought]]:
    """As `split_thoughts`, of a solution: reasoning that an answer alone follows is no thought."""
    return split_thoughts(_REASONED.sub(rf"\1\n{MARK} \3", text))


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
        after = [(place, thought) for place, thought in found if place > leading[1]]
        rest, places = without(rest, [leading], [place for place, _ in after])
        found = [(0, first), *zip(places, (thought for _, thought in after), strict=True)]
    if _OPENED.search(rest):
        raise Unusable("a thought without an end")
    return rest, [(place, thought) for place, thought in found if thought]


def unwrapped(text: str, places: Sequence[int] = ()) -> tuple[str, list[int], str]:
    """A text without the tags around its solution, where places of it are then, and its answer.

    Tags stand at its beginning or end. The answer is what they hold beside a solution, or alone
    where it is a value; it is left out of the text, and stands in its tags. '' for none.
    """
    spans: list[Span] = []
    answer = ""
    for opened, closed in enclosed(text, _WRAP, _WRAP_ENDS):
        said = text[opened.end() : closed.start()].strip()
        before, after = text[: opened.start()], text[closed.end() :]
        if opened[1].lower() != closed[1].lower() or (before.strip() and after.strip()):
            continue
        asked = f"<answer>{said}</answer>"
        short = "\n" not in said and (before + after).strip() and stated(asked)
        if short or is_value(said):
            answer = asked
            spans.append((opened.start(), closed.end()))
        else:
            spans += [opened.span(), closed.span()]
    if not spans:
        spans = [match.span() for match in _HALF.finditer(text)]
    return *without(text, spans, places), answer


def plain_thought(text: str) -> str:
    """A thought without tags, which a reply of a model has around it once."""
    return _TAG.sub("", text).strip()


def joined(thoughts: list[str]) -> str:
    """Thoughts that one step has, in their order."""
    return "\n\n".join(thought for thought in thoughts if thought)
