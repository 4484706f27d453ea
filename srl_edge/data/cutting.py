# ruff: noqa: RUF001 - Chinese punctuation is what is read
"""A written solution, cut into the steps that it consists of. A new style is added here."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from srl_edge.data.numbering import HEADING, most_of, starts
from srl_edge.method.answers.reading import final_answer, is_answer
from srl_edge.method.verifiers import same_value

MARK = "####"
STYLES = ("numbered", "lines", "paragraphs", "sentences")
AUTO = ("numbered", "lines")  # of a row alone; of many rows: `style.choose`
Span = tuple[int, int]

# GSM8K's `<<48/2=24>>`; code and formulas that shift bits have spaces, names or no sum there.
_ANNOTATION = re.compile(r"<<[-+(.\d][-+*/.,%()\d]*=[-.,\d]*\d>>")
_MARKED = re.compile(r"\s*####\s*([^#].*)")

_WIDE = ("：", "，", "、")  # Chinese and Japanese marks after which a text goes on

# What is never cut inside: code, drawings, formulas on lines of their own, and those in a line.
_CLOSED_BLOCKS = (
    r"```.*?```|<llm-code>(?:(?!<llm-code>).)*?</llm-code>"
    r"(?:\s*<llm-code-output>(?:(?!<llm-code).)*?</llm-code-output>)?|\[asy\](?:(?!\[asy\]).)*?\[/asy\]|\$\$.{1,4000}?\$\$|\\\[.{1,4000}?\\\]"
    r"|\\begin\{(?P<kind>[A-Za-z]+\*?)\}.{0,4000}?\\end\{(?P=kind)\}"
)
# A dollar that opens a formula is followed by its text, and one that closes it by no digit: what
# else has a dollar is money.
_IN_LINE = (
    r"\\\([^\n]{1,4000}?\\\)|(?<![\\$])\$(?=[^\s$])(?:\\.|[^$\\\n]|\n(?!\s*\n))+(?<=\S)\$(?!\d)"
)
_BLOCKS = re.compile(_CLOSED_BLOCKS, re.DOTALL)
_FORMULAS = re.compile(f"{_CLOSED_BLOCKS}|{_IN_LINE}", re.DOTALL)

_LINE_END = re.compile(r"\n")
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_DISPLAYED = re.compile(r"\s*(?:\$\$|\\\[|\\begin\{|\[asy\])")
_RULE = re.compile(r"(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}")
_BLANKS = re.compile(r"(?<!\n)[ \t]+")
_DISPLAYED_STOP = "\1"  # of a formula on lines of its own, after which there need be no space
_ENDED = rf"(?:(?P<mark>[.!?])[\"')\]*_\u201d\u2019]*\s+|{_DISPLAYED_STOP}\s*)"
_SENTENCE_END = re.compile(rf"{_ENDED}(?=[\"'(\[*_\u201c\u2018]*[^\Wa-z_]|[-\\])")
_LOWER_SENTENCE_END = re.compile(rf"{_ENDED}(?=[^\s.!?,;:)\]])")  # of a text without capitals
_WORDS = re.compile(r"(?<![\\a-z])[a-z]{2,} [a-z]{2,}")
# Full stops of Chinese, Japanese, Hindi, Arabic, Urdu, Amharic, Khmer and Burmese: no space need
# follow. A wide point may be a decimal one.
_STOP_ELSEWHERE = re.compile(
    "(?:[\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4\u1362\u17d4\u104b]|(?<!\\d)\uff0e|\uff0e(?!\\d))++"
    "[\"')\\]*_\u201d\u2019\u300d\u300f\uff09\u3011]*+\\s*+"
    r"(?=\S)(?!\u3068)"  # what is quoted goes on in Japanese
)
_LABEL = re.compile(r"\(?\w{1,3}\)?\.")  # of a case or a choice
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|resp|approx|viz|w\.l\.o\.g|W\.l\.o\.g|Dr|Mrs?|Ms|St|Prof|Jr|Sr"
    r"|Lt|Col|Gen|Capt|Sgt|Rev|Mt|Ph\.D|Nos?|Figs?|Eqs?|Thm|Sec|Ch|pp?|al|a\.m|p\.m|U\.S|U\.K)\.$"
)
# What is one only before a number, or a letter that stands for it.
_BEFORE_A_NUMBER = re.compile(
    r"(?:^|[\s(])(?:no|approx|Sects?|Chap|Rs|Exs?|Props?|Lem|Cor|Defs?|Arts?|Vol|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov"
    r"|Dec|max|min|ft|lbs?|oz|sq)\s?\.$",
    re.IGNORECASE,
)
_A_NUMBER = re.compile(r"[(\"']*(?:\d|[B-HJ-Z]\b)")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d )\.\s(?=\d)")  # a product's
_NUMBER_OF_A_LINE = re.compile(r"(?:^|\n)[ \t]*\d+\.$")
_INITIALS = re.compile(r"\b[A-Z]\.\s+[A-Z]\.|(?<=\b[A-Z]\. )[A-Z]\.")


def cut_solution(
    solution: str, styles: Iterable[str] = AUTO, places: Sequence[int] = ()
) -> tuple[list[str], str, list[int]]:
    """Steps of a solution by the first of the styles that gives two, that style, and `places` as
    numbers of steps.

    styles: of `STYLES`; where none gives two steps, what the last one gives. places: offsets in the
    solution, each of which becomes that of the first step with text behind it. GSM8K's notes, as
    `<<48/2=24>>`, are removed, and so are a line with the answer after `####` and rules (`---`); a
    Markdown heading goes with what it is over. The first line of a step keeps its indentation.
    """
    notes = (match.span() for match in _ANNOTATION.finditer(solution))
    body, at = without(solution, [*_lines_left_out(solution), *notes], places)
    spans: list[Span] = []
    style = ""
    styles = tuple(styles)
    for style in styles:
        cuts = _cuts(body, style, style != styles[-1])
        spans = _with_headings(body, _filled(body, cuts))
        if len(spans) > 1:
            break
    numbers = [_step_after(body, spans, place) for place in at]
    return [_step(body, span) for span in spans], style, numbers


def stated(text: str) -> str | None:
    """The answer that a text states, marked or after "the answer is"; None where it states none."""
    return final_answer(text, kind="stated")


def numbered_steps(solution: str) -> list[str]:
    """Cut at `1.`, `2.` … at column 0, numbered consecutively from 1; a preamble joins step 1.

    `Step 1:` counts too. Returns [] where fewer than two such headers are found.
    Source: arXiv 2510.25992, section 5.1.
    """
    return [solution[a:b].strip() for a, b in _filled(solution, _cuts(solution, "numbered", False))]


def _step(body: str, span: Span) -> str:
    """The text of a span, with the indentation of its first line."""
    text = body[slice(*span)]
    return _indentation(body, span[0] + len(text) - len(text.lstrip())) + text.strip()


def _indentation(text: str, at: int) -> str:
    """The blanks before a place that its line begins with."""
    start = at
    while start and text[start - 1] in " \t":
        start -= 1
    return text[start:at] if not start or text[start - 1] == "\n" else ""


def without(text: str, spans: Iterable[Span], places: Sequence[int]) -> tuple[str, list[int]]:
    """A text without some spans of it, and where places of it are then."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        line = start - len(_indentation(text, start))
        if (not line or text[line - 1] == "\n") and (behind := _BLANKS.match(text, end)):
            end = behind.end()  # what is behind it is not indented
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    starts, removed = [a for a, _ in merged], [0, *accumulate(b - a for a, b in merged)]

    def moved(place: int) -> int:
        before = bisect_left(starts, place)
        beyond = max(0, merged[before - 1][1] - place) if before else 0
        return place - removed[before] + beyond

    edges = [0, *(edge for span in merged for edge in span), len(text)]
    kept = "".join(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
    return kept, [moved(place) for place in places]


def enclosed(
    text: str, opened: re.Pattern[str], closed: re.Pattern[str]
) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """What opens and the first that closes behind it, one pair after another.

    As `opened(.*?)closed` finds them, which takes for ever on a text that opens often and closes
    never.
    """
    at = 0
    while (start := opened.search(text, at)) and (end := closed.search(text, start.end())):
        yield start, end
        at = end.end()


def sensible(steps: Sequence[str], longest: int, most: int) -> bool:
    """Whether these are steps that one could teach: several, each a whole thing that is said."""
    if not 2 <= len(steps) <= most or max(map(len, steps)) > longest:
        return False
    if any(not re.search(r"\w", step) for step in steps):
        return False
    if any(step.endswith((":", *_WIDE)) or HEADING.fullmatch(step) for step in steps):
        return False
    return not any(
        re.search(r"[a-z,]$", a) and re.match(r"\s*[a-z]", b) for a, b in pairwise(steps)
    )


def _cuts(body: str, style: str, choosy: bool) -> list[int] | None:
    """Where steps begin beside the first; None where the text has none of the style's steps.

    choosy: numbers are steps only where they are most of the text, since there are other styles.
    """
    match style:
        case "numbered":
            found = starts(body, _outside_of(body, _BLOCKS))
            return found[1:] if found and (not choosy or most_of(body, found)) else None
        case "lines":
            return _outside(body, _LINE_END, _BLOCKS)
        case "paragraphs":
            blank = _outside(body, _BLANK_LINE, _BLOCKS)
            return [at for at in blank if not _goes_on(body[:at].rstrip(), body[at:])]
        case _:
            return _sentence_starts(body)


def _sentence_starts(body: str) -> list[int]:
    # A formula counts as a word, and as one that ends with a full stop where it does.
    masked = list(body)
    for match in _FORMULAS.finditer(body):
        stop = _DISPLAYED_STOP if _BLOCKS.match(match[0]) else "."
        ends = match[0].rstrip("$]`)\\ \n").endswith(".")
        length = len(match[0])
        masked[match.start() : match.end()] = ["X"] * (length - 1) + [stop if ends else "X"]
    text = "".join(masked)
    starts: list[int] = []
    plain = _FORMULAS.sub("", body)
    lower = plain == plain.lower() and _WORDS.search(plain) is not None
    for match in (_LOWER_SENTENCE_END if lower else _SENTENCE_END).finditer(text):
        at = match.start() + 1
        before = text[max(0, at - 16) : at]
        abbreviated = _ABBREVIATION.search(before) or _NUMBER_OF_A_LINE.search(before)
        if _BEFORE_A_NUMBER.search(before) and _A_NUMBER.match(text, match.end()):
            continue
        if not lower and _BETWEEN_NUMBERS.match(text, match.start()):
            continue
        labelled = _LABEL.fullmatch(text[starts[-1] if starts else 0 : at].strip())
        drawing = body.startswith("[asy]", match.end())
        if not (abbreviated or labelled or drawing or _INITIALS.match(text, at - 2)):
            starts.append(match.end())
    starts += [match.end() for match in _STOP_ELSEWHERE.finditer(text)]
    for match in _BLANK_LINE.finditer(text):
        if not _goes_on(body[: match.start()].rstrip(), body[match.end() :]):
            starts.append(match.end())
    return sorted(set(starts))


def _outside(body: str, cut: re.Pattern[str], closed: re.Pattern[str]) -> list[int]:
    """Ends of what a pattern finds outside of spans that another one closes off."""
    is_outside = _outside_of(body, closed)
    return [match.end() for match in cut.finditer(body) if is_outside(match.end())]


def _outside_of(body: str, closed: re.Pattern[str]) -> Callable[[int], bool]:
    """Tells whether a place is in none of the spans that a pattern closes off."""
    inside = [match.span() for match in closed.finditer(body)]
    starts = [start for start, _ in inside]

    def is_outside(end: int) -> bool:
        before = bisect_left(starts, end)
        return not before or end >= inside[before - 1][1]

    return is_outside


def _goes_on(before: str, after: str) -> bool:
    """Whether a text goes on over a blank line: to or from a formula, or from what announces it."""
    paragraph = before.rpartition("\n\n")[2]
    if paragraph.endswith((":", ",", *_WIDE)) or HEADING.fullmatch(paragraph):
        return True
    from_formula = before.endswith(("$$", "\\]", "}")) and after.lstrip()[:1].islower()
    return from_formula or bool(_DISPLAYED.match(after))


def _filled(body: str, cuts: list[int] | None) -> list[Span]:
    """The spans between cuts that hold something."""
    if cuts is None:
        return []
    spans = pairwise([0, *cuts, len(body)])
    return [(a, b) for a, b in spans if body[a:b].strip()]


def _step_after(body: str, spans: Sequence[Span], place: int) -> int:
    for number, (start, end) in enumerate(spans):
        if body[max(place, start) : end].strip():
            return number
    return max(len(spans) - 1, 0)


def _with_headings(body: str, spans: Sequence[Span]) -> list[Span]:
    """Spans without rules that stand alone, and each heading with what it is over."""
    found: list[Span] = []
    over: int | None = None  # how deep the heading is that the last span ends with
    for start, end in spans:
        text = body[start:end]
        if _RULE.fullmatch(text.strip()):
            continue
        depth = _depth(text)
        if over is not None and (depth is None or depth > over):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
        over = depth
    return found


def _depth(text: str) -> int | None:
    """How deep a heading is; None for what is none."""
    match = HEADING.fullmatch(text)
    return match and len(match[1] or "#######")


def _lines_left_out(solution: str) -> Iterator[Span]:
    """Lines that say nothing but the answer after its mark, at the end or once more before it, and
    rules under an empty line.
    """
    is_outside = _outside_of(solution, _BLOCKS)
    lines = solution.split("\n")
    ends = list(accumulate(len(line) + 1 for line in lines))
    last = max((at for at, line in enumerate(lines) if line.strip()), default=0)
    ending = True
    answer: str | None = None
    for at in range(last, -1, -1):
        line, end = lines[at], ends[at]
        span = (end - len(line) - 1, min(end, len(solution)))
        said = match[1] if (match := _MARKED.fullmatch(line)) else ""
        if said and (at == last or is_answer(said)) and is_outside(end - 1):
            answer = answer or stated(solution) or said
            if ending or same_value(said, answer):
                yield span
                continue
        ending = ending and not line.strip()
        alone = not "".join(lines[at - 1 : at]).strip()
        if _RULE.fullmatch(line.strip()) and alone and is_outside(end - 1):
            empty = at < last and not lines[at + 1].strip()  # one of the two around it is enough
            yield span[0], ends[at + 1] if empty else span[1]
