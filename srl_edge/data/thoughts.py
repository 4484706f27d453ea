"""What the writer of a solution thought, told from what the solution says."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from srl_edge.data.cutting import MARK, Span, enclosed, stated, without
from srl_edge.data.values import Unusable
from srl_edge.method.answers.reading import is_value

_NAMES = (
    r"think|thinking(?:_process)?|thoughts?|reason|reasoning|rationale|reflection|analysis|cot"
    r"|scratch_?pad|(?:inner_)?monologue|internal_thoughts?|antThinking"
)
# What opens a thought and what closes it, by families of models. A new one is a line here.
_MARKS = (
    (
        rf"(?:<|&lt;) ?(?:seed:)?(?P<name>{_NAMES})(?: [^<>\n]{{0,80}})?(?:>|&gt;)",
        rf"(?:<|&lt;) ?/ ?(?:seed:)?(?P<name>{_NAMES}) ?(?:>|&gt;)",
    ),
    (r"\[THINK\]", r"\[/THINK\]"),  # Mistral
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThoughts
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Cohere
    (r"◁think▷", r"◁/think▷"),  # Kimi
    (r"\[unused16\]", r"\[unused17\]"),  # Pangu
    (r"<start_working_out>", r"<end_working_out>"),  # GRPO on Gemma
    (r"<\|channel>thought", r"<channel\|>"),  # Gemma
    (
        r"<\|channel\|>analysis<\|message\|>|\A(?-i:analysis(?=[A-Z]))",  # gpt-oss
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>",
    ),
)
_OPENED = re.compile("|".join(opens for opens, _ in _MARKS), re.IGNORECASE)
_CLOSED = re.compile("|".join(closes for _, closes in _MARKS), re.IGNORECASE)
# What stands around a thought only where both do: words, and marks that others use as well.
_TOGETHER = re.compile(
    r"\A\s*analysis(?=[A-Z])(.*?)assistantfinal"  # gpt-oss without its special tokens
    r"|\A\s*Here(?: is|'s) my thought process:(.*?)\nHere(?: is|'s) my response:"  # Granite
    r"|\A(?:\s*Here are my reasoning steps:)?(.*?)\[BEGIN FINAL RESPONSE\]"  # Apriel
    r'|<details type="reasoning"[^<>]*>\s*+(?:<summary>[^<]*</summary>)?+'  # Open WebUI
    r"((?:(?!<details).)*?)</details>"
    r"|^```(?:thinking|thought|reasoning)\n((?:(?!^```).)*)^```$",
    re.DOTALL | re.MULTILINE,
)
_QUOTES = ("``", "''", '""')
_BEFORE = ("", *"\n.!?:>")  # what a thought without an end stands behind
_NEAR = 40  # characters before it
_QUOTED = re.compile(r"^> ?", re.MULTILINE)

# What some models write around the rest of a reply, or around an answer at its end.
_WHOLE = "answer|solution|response|output"
_WRAP = re.compile(f"<({_WHOLE}|final_answer)>", re.IGNORECASE)
_WRAP_ENDS = re.compile(f"</({_WHOLE}|final_answer)>", re.IGNORECASE)
_HALF = re.compile(rf"\A\s*<(?:{_WHOLE})>[ \t]*|</(?:{_WHOLE})>\s*\Z", re.IGNORECASE)

# Replies that are taught with GRPO have their steps in such tags, and nothing but an answer after.
_REASONED = re.compile(
    r"\A\s*<(?:(?P<tag>reason|reasoning|rationale|analysis|cot)|start_working_out)>[ \t]*"
    r"(?P<said>.*)<(?:/(?P=tag)|end_working_out)>"
    r"\s*<(?P<held>answer|solution|output)>\s*(?P<answer>[^\n]{1,100}?)\s*</(?P=held)>\s*\Z",
    re.DOTALL | re.IGNORECASE,
)

_IN_QUOTES = re.compile(r"\A\"([^\"]*)\"\Z")

Thought = tuple[int, str]  # where in what is left it stood, and what it says


def of_solution(text: str) -> tuple[str, list[Thought]]:
    """As `split_thoughts`, of a solution: reasoning that an answer alone follows is no thought.

    Quotes around the whole of it, as MathQA has them, are left out.
    """
    text = _IN_QUOTES.sub(r"\1", text)
    return split_thoughts(_REASONED.sub(rf"\g<said>\n{MARK} \g<answer>", text))


def split_thoughts(text: str) -> tuple[str, list[Thought]]:
    """A text without its thoughts, and these; raises Unusable for a thought without an end.

    What stands before a mark that closes alone is a thought as well. A tag in quotes, or that a
    sentence has in it without an end, is only spoken of.
    """
    text = _TOGETHER.sub(_in_tags, text)
    closed = _tags(_CLOSED, text)
    spans = _pairs(_tags(_OPENED, text), closed)
    if lone := _outside(closed, spans):
        leading: Span = (0, lone[-1].end())
        spans = [leading, *(span for span in spans if span[0] >= leading[1])]
    if any(_begins(text, opened) for opened in _outside(_tags(_OPENED, text), spans)):
        raise Unusable("a thought without an end")
    rest, places = without(text, spans, [start for start, _ in spans])
    said = (plain_thought(text[start:end]) for start, end in spans)
    return rest, [(place, thought) for place, thought in zip(places, said, strict=True) if thought]


def _in_tags(match: re.Match[str]) -> str:
    said = next(text for text in match.groups() if text is not None)
    return f"<think>{_QUOTED.sub('', said) if match[0].startswith('<') else said}</think>"


def _tags(marks: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Where marks stand, but for those in quotes."""
    return [m for m in marks.finditer(text) if not _is_quoted(text, *m.span())]


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] + text[end : end + 1] in _QUOTES


def _pairs(opened: list[re.Match[str]], closed: list[re.Match[str]]) -> list[Span]:
    """From what opens to the first of its name that closes behind it, or to the first of all."""
    by_name: dict[str, list[re.Match[str]]] = {}
    for match in closed:
        by_name.setdefault(_name(match), []).append(match)
    spans: list[Span] = []
    for match in opened:
        if spans and match.start() < spans[-1][1]:
            continue
        behind = (_first(by_name.get(_name(match), []), match.end()), _first(closed, match.end()))
        if end := next(filter(None, behind), None):
            spans.append((match.start(), end.end()))
    return spans


def _name(match: re.Match[str]) -> str:
    return (match["name"] or "").lower()


def _first(matches: list[re.Match[str]], at: int) -> re.Match[str] | None:
    """The first of what stands in order that begins at a place or behind it."""
    found = bisect_left(matches, at, key=lambda match: match.start())
    return matches[found] if found < len(matches) else None


def _outside(matches: list[re.Match[str]], spans: list[Span]) -> list[re.Match[str]]:
    """Those in none of the spans, which stand in order."""
    ends = [end for _, end in spans]
    found = []
    for match in matches:
        at = bisect_right(ends, match.start())
        if at == len(spans) or match.end() <= spans[at][0]:
            found.append(match)
    return found


def _begins(text: str, opened: re.Match[str]) -> bool:
    """Whether a thought begins at a mark that no other closes; a tag in a sentence is a word."""
    ahead = text[max(0, opened.start() - _NEAR) : opened.start()].rstrip(" \t")[-1:]
    return not opened["name"] or ahead in _BEFORE


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
    return _CLOSED.sub("", _OPENED.sub("", text)).strip()


def joined(thoughts: list[str]) -> str:
    """Thoughts that one step has, in their order."""
    return "\n\n".join(thought for thought in thoughts if thought)
