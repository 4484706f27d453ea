# ruff: noqa: RUF001 - other scripts' letters and punctuation are what is read
"""Where the numbered steps of a solution begin: which series of numbers in it they are."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

HEADING = re.compile(r"\s*(?:(#{1,6})[ \t][^\n]*|\*\*[^*\n]+\*\*[:：]?)\s*")

_STEP = (
    "step|schritt|[ée]tape|paso|passo|stap|krok|steg|vaihe|шаг|βήμα|adım|langkah|bước|चरण|الخطوة"
    "|步骤|步驟|ステップ|手順|단계"
)
_WORDS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_CHINESE = "[一二三四五六七八九十]{1,3}"
_SPELLED = rf"(?:{'|'.join(_WORDS)})\b|{_CHINESE}"
_ICON = "[\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]\ufe0f?[ \t]*"
# `Step 1`, `[Step 2]`, `Step Three`, 第四步, 5단계; in headings any word.
_NAMED = (
    rf"\[?(?P<step>{_STEP})[ \t]*(?:[#-]?(?P<of>\d+)|(?P<spelled>{_SPELLED}))"
    rf"|(?P<th>第)[ \t]?(?P<ordinal>\d+|{_CHINESE})[ \t]?步|(?P<count>\d+)단계"
    r"|(?(over)(?P<word>[^\W\d_]+)[ \t]+(?P<which>\d+)|(?!))"
)
# What is behind it, also after a title in brackets: a mark, or the end of what stands out.
_BEHIND = (
    r"[ \t]*(?:\([^()\n]{1,60}\)[ \t]*(?=[:：*\n]))?"
    r"(?:[.:)：\]]|(?=\*\*|__|\n|$|[-\u2013\u2014][ \t])|(?(th)[，,、 ]|(?!))"
    r"|(?(over)(?<=[ \t])|(?!)))"
)
# `1.`, `2)`, the same with wide marks, Chinese numbers, and pictures of digits.
_LISTED = (
    rf"(?(bullet)(?!))(?:（(?P<inside>\d+|{_CHINESE})）|(?P<number>\d+|{_CHINESE}(?=、))"
    r"(?P<mark>[.)](?=[ \t\n]|\*\*)|、(?!\d{1,9}、)|．(?!\d)|\ufe0f?\u20e3))"
)
_HEADER = re.compile(
    rf"^(?:(?P<over>#{{1,6}})[ \t]+|(?P<bullet>[-•>][ \t]+))?(?:{_ICON})?(?P<bold>\*\*?|__)?"
    rf"(?:{_ICON})?(?:(?:{_NAMED}){_BEHIND}|{_LISTED})",
    re.MULTILINE | re.IGNORECASE,
)
_MARKED, _BARE = 7, 8  # levels below those of headings
_OPEN = 8  # series of one form, the last, that may go on
_LOOKED_AT = 4000  # characters before a list, in which its paragraph begins
# How deep a heading is, whether it is a bold number, its word, and what is behind a number.
Form = tuple[int, bool, str, str]


@dataclass(slots=True, eq=False)
class _Series:
    """Where the numbers 1, 2, … of one form stand."""

    form: Form
    starts: list[int] = field(default_factory=list)

    @property
    def level(self) -> int:
        """How deep it is: of headings, of `Step N` or bold numbers, and of bare ones."""
        depth, *marked, _ = self.form
        return depth or (_MARKED if any(marked) else _BARE)


def starts(body: str, is_outside: Callable[[int], bool]) -> list[int]:
    """Where each step of the series that a text is cut at begins; [] for none with two steps.

    Headings (`### Part 1`, `**1. …**`) and `Step 1` come before bare numbers, which are their
    content; of several lists, that with most text is the steps, so that what is given before them
    and what is summed up after them is none. is_outside: tells whether a place can be cut at.
    """
    outer: list[_Series] = []
    for each in _series(body, is_outside):
        if len(each.starts) > 1 and not (outer and each.starts[-1] < outer[-1].starts[-1]):
            outer.append(each)  # which none of them encloses
    level = min((each.level for each in outer), default=_BARE)
    alike = [each.starts for each in outer if each.level == level]
    # The line before a list announces it.
    announced = (body.rfind("\n", 0, len(body[: its[0]].rstrip())) for its in alike[1:])
    ends = [*announced, len(body)]
    sized = zip(alike, ends, strict=False)
    return max(sized, key=lambda its: its[1] - its[0][0], default=([], 0))[0]


def most_of(body: str, found: Sequence[int]) -> bool:
    """Whether a series of `starts` is the solution, and no list of what is given or found in it.

    Headings and `Step 1` say that they are. Other numbers must hold more than half of the text, of
    which the last has its paragraph, and what follows that up to twice the longest other.
    """
    header = _HEADER.match(body, found[0])
    if header is None or header["over"] or any(_form(header)[2:3]):
        return True
    sizes = [after - at for at, after in pairwise(found)]
    last = body[found[-1] :]
    sizes.append(max(len(last.partition("\n\n")[0]), min(len(last), 2 * max(sizes))))
    return 2 * sum(sizes) > len(body.strip())


def _series(body: str, is_outside: Callable[[int], bool]) -> list[_Series]:
    """All series, also of one step; a list that begins anew inside a step is that step's."""
    found: list[_Series] = []
    by_form: dict[Form, list[_Series]] = {}
    lists = False  # whether there was one of bare numbers
    for match in _HEADER.finditer(body):
        if not is_outside(match.end()):
            continue
        form = _form(match)
        number, alike = _number(match), by_form.setdefault(form, [])
        if number == 1 and (any(form[:3]) or not lists or _is_apart(body, match.start())):
            found.append(_Series(form, [match.start()]))
            alike[:] = [*alike[1 - _OPEN :], found[-1]]
            lists = lists or found[-1].level == _BARE
            continue
        for each in reversed(alike):
            if len(each.starts) + 1 == number:
                each.starts.append(match.start())
                del alike[alike.index(each) + 1 :]  # those in its last step are at their end
                break
    return found


_NUMBERS = ("of", "spelled", "ordinal", "count", "which", "inside", "number")


def _number(match: re.Match[str]) -> int:
    """The number of a header, in digits of any script or spelled."""
    text = next(match[name] for name in _NUMBERS if match[name])
    if text.isdecimal():
        return int(text[:9])
    if text.lower() in _WORDS:
        return _WORDS.index(text.lower()) + 1
    tens, ten, ones = text.rpartition("十")
    digits = "零一二三四五六七八九"
    return 10 * (digits.find(tens or "一") if ten else 0) + digits.find(ones or "零")


def _form(match: re.Match[str]) -> Form:
    words = (match["step"], match["th"], match["count"] and "단계", match["word"])
    depth, word = len(match["over"] or ""), next(filter(None, words), "").lower()
    bold = bool(match["bold"]) and not (depth or word)
    return depth, bold, word, match["mark"] or ""


def _is_apart(body: str, at: int) -> bool:
    """Whether a list begins after what ends the one before it: a heading, or a paragraph that is
    no step of that one.
    """
    paragraph = body[max(0, at - _LOOKED_AT) : at].rstrip().rpartition("\n\n")[2]
    if HEADING.fullmatch(paragraph.rpartition("\n")[2]):
        return True
    return not (paragraph[:1].isspace() or _HEADER.match(paragraph))
