# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Values in running text: a number, or the formula, time or range that a number stands in."""

import re
from collections.abc import Iterator

from srl_edge.method.answers import scales
from srl_edge.method.answers.formulas import is_formula
from srl_edge.method.answers.plain import TEX_COMMA, in_ascii, plain
from srl_edge.method.answers.products import product
from srl_edge.method.answers.quantities import IN_TEXT, quantity, without_unit
from srl_edge.method.answers.texts import unbulleted

_NEAR = 60  # characters around a number that say what it is part of
_LONGEST = 300  # characters of a formula
# What a number after it is a part of: a root, a power, a bound, a time, a range, a sum, a point.
_BEFORE = re.compile(
    r"(?:[\^√_<>≤≥≠±]|\\(?:sqrt|[lg]eq?(?:q|slant)?|[lg]t|neq?|not ?=|pm)(?![a-z])"
    r"|sqrt|\}|\d ?:|\d[-/]"
    r"|(?<![A-Za-z])\\?(?:log|ln|sin|cos|tan)(?![A-Za-z])"
    r"|(?<![A-Za-z])\d*[A-Za-z]\)?(?:[-+*/^]| [+*/] )|\d[A-Za-z] ?[-+] ?"
    r"|[(\[]-?[\d./]+(?:, ?-?[\d./]+)*,)[\s({\[]*-?$"
)
_AFTER = re.compile(
    r" ?(?:\\(?:pi|sqrt|cdot|times|frac)|[π√<>≤≥^])| pi\b|\*\*\d|:\d{1,2}(?!\d)|[-/,]\d|\*[A-Za-z(]"
    r"|(?![mgshlLdCFKVWAJNBkx])[A-Za-z](?![A-Za-z])|x(?![A-Za-z])|[A-Za-z]\^|!(?=[-+*/)])"
    r"|, ?-?[\d./]+(?:, ?-?[\d./]+)*[)\]]| ?[ap]\.? ?m\b",
    re.IGNORECASE,
)
_LETTERS = re.compile("[a-z]{2,4}(?![A-Za-z])")
_SHORT_SCALE = re.compile(r"[kKM](?![A-Za-z])")
_MONEY_SCALE = re.compile(r" ?(?:[mM]n?|[bB]n?|[tT]n?)(?![A-Za-z])")
# A sum that is not worked out, as in `x = 2 - 3`; alone, `2 - 3` is a range.
_EQUALS_SUM = re.compile(
    r"(?:(?<![\w\\])[A-Za-z]\w? ?)?= ?(?P<sum>[-$(]*\d[\d.,]*\)*(?: ?(?:[-+*/×÷·]| [xX](?= )) ?"
    r"[-$(]*\d[\d.,]*\)*)+)$"
)
_LEADS = re.compile(
    r"(?:about|around|approximately|roughly|exactly|only|just|[A-Za-z] ?=|[*$€£¥≈~(])?[\s*$€£¥]*"
)
TIMES = re.compile(r"(?<=[\d)]) ?[xX] ?(?=[\d(])")  # 5 x 4
_SUM = re.compile(r"\s*(?:[-+*×÷/]|\\times|\\cdot)\s*[\d$(]")
# What may stand before the equals sign of a value: a name, or the sum that was worked out.
_WORKED = re.compile(r"\s*(?:[A-Za-z]\w?(?:_\{?\w+\}?)?(?:\([^()=]*\))?|[-+*/×÷\d\s.,()=$%]+|)\s*")
_TEX = (
    *(("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")),
    *((f"\\begin{{{name}}}", f"\\end{{{name}}}") for name in ("equation", "equation*")),
)
_SPAN = re.compile(r"\$\$?([^$]{1,300})\$\$?|\\\((.{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)


# Formulas on lines of their own; what opens again before it closes is none.
_SHOWN = re.compile(
    r"\$\$(?P<dollars>[^$]+)\$\$|\\\[(?P<brackets>(?:[^\\]|\\(?![\[\]]))+)\\\]"
    r"|\\begin\{(?P<name>(?:equation|align|gather|displaymath)\*?)\}(?P<held>(?:[^\\]"
    r"|\\(?!\\|begin|end))+)\\end\{(?P=name)\}"
)


def in_lines(text: str) -> str:
    """A text in which a formula that was set on lines of its own is in one line."""
    return _SHOWN.sub(_in_a_line, text)


def _in_a_line(shown: re.Match[str]) -> str:
    held = shown["dollars"] or shown["brackets"] or (shown["held"] or "").replace("&", "")
    if not held.strip() or "\n\n" in held.strip() or ("\n" not in held and not shown["name"]):
        return shown[0]
    return rf"\[{' '.join(held.split())}\]"


def _tidy(text: str) -> str:
    """A text in ASCII, whose thousands have commas alone."""
    text = _SQUARE.sub(r" \1", text)  # which is no power of a variable then
    return TEX_COMMA.sub(",", in_ascii(text))


_SQUARE = re.compile(r"(?<=\d)([cdk]?m[²³])")


def values(text: str) -> Iterator[str]:
    """Each value of a running text as it is written; a number without its currency."""
    text = _tidy(text)
    before: re.Match[str] | None = None
    for match in _numbers(text):
        yield _value(text, match, before)
        before = match


def emphasized(text: str) -> str | None:
    """The value that alone stands in bold in the last sentence with a number; None for none."""
    sentences = _SENTENCE_END.split(text[-_END:])
    last = next((each for each in reversed(sentences) if re.search(r"\d", each)), "")
    found = [match for match in _BOLD.finditer(last) if _stands_out(last, match)]
    return plain(found[0][1]) if len(found) == 1 else None


_END = 1000  # characters of a text whose last sentence is looked for
_SENTENCE_END = re.compile(r"\n|[.!?]\s+(?=[A-Z*])")
_BOLD = re.compile(r"(?<!\*)\*\*([^*\n]{1,100})\*\*(?!\*)")


def _stands_out(sentence: str, bold: re.Match[str]) -> bool:
    """Whether what is bold in a sentence is a value, and no number that its line is counted by."""
    held, after = bold[1], sentence[bold.end() :]
    if not quantity(held) and not _is_formula(plain(held)):
        return False
    counts = not sentence[: bold.start()].strip("#>-* \t")
    if counts and (held.rstrip()[-1:] in ".:)" or after[:1] in tuple(".:)")):
        return False
    return "=" not in held or not after.strip(" .!")  # "For **x = 2** it is 9."


def last_value(text: str) -> str | None:
    """The last value of a running text."""
    found = _last(_tidy(text))
    return found[1] if found else None


def last_formula(text: str) -> str | None:
    """The last value of a running text, of which formulas without a number are some."""
    last = (text.rstrip().splitlines() or [""])[-1]
    text = _tidy(text)
    if (end := _end(_tidy(unbulleted(last)))) is not None:
        return end
    at, value = _last(text) or (-1, None)
    for match in reversed(list(_SPAN.finditer(text))):
        if match.start() <= at:
            break
        if is_formula(held := _result("".join(match.groups("")).strip())):
            return plain(held)
    return value


def first_value(said: str) -> str | None:
    """The value of a clause: its first, what an equation comes to, or else the last."""
    said = TIMES.sub(" × ", _tidy(said))
    worked, equation, result = said.rpartition("=")
    if equation and _WORKED.fullmatch(worked) and (found := next(values(result), None)):
        return found
    first = IN_TEXT.search(said)
    lead = _LEADS.match(said)
    leads = first and lead and first.start() <= lead.end()
    if first and leads and not equation and not _SUM.match(said, first.end()):
        return _compound(said, first) or _value(said, first, None)
    return last_value(said)


def _end(line: str) -> str | None:
    """The formula that a last line ends with, as `(x - 1)(x + 2)` and `x = 2 or x = 3`.

    What is about as much is left out: of `2√5 ≈ 4.47` the exact one is meant.
    """
    line = line.rstrip(" .!?*")
    if len(line) > _LONGEST or r"\end{" in line:
        return None
    for start in (0, *(space.end() for space in re.finditer(r"\s+", line))):
        said = _ABOUT.split(plain(line[start:]))[0].strip()
        if is_formula(without_unit(said)[0]) and not re.search(r"\bin\b", said):
            return said
    return None


_ABOUT = re.compile(r"≈|\\approx(?![a-z])")


def _numbers(text: str) -> Iterator[re.Match[str]]:
    """Where numbers stand in a text; the powers of units, as in `24 cm^2`, are none."""
    before: re.Match[str] | None = None
    for match in IN_TEXT.finditer(text):
        power = before and text[: match.start()].endswith(("^", "^{"))
        if not (power and before and _is_unit(text[before.start() : match.end() + 1])):
            yield match
            before = match


def _is_unit(text: str) -> bool:
    """Whether a number and what is after it are a number and its unit."""
    text = text.replace("$", "") if text.endswith("}") else text.replace("$", "")[:-1]
    found = quantity(text)
    return bool(found and found.unit) or bool(without_unit(text)[1])


def _last(text: str) -> tuple[int, str] | None:
    found = list(_numbers(text))
    if not found:
        return None
    start, end = found[-1].span()
    sum_ = _EQUALS_SUM.search(text[:end].rsplit("\n", 1)[-1][-_NEAR:])
    if sum_ and end - start < len(sum_["sum"]) and not _AFTER.match(text, end):
        return end, plain(sum_[0])
    return end, _value(text, found[-1], found[-2] if found[1:] else None)


def _value(text: str, match: re.Match[str], before: re.Match[str] | None) -> str:
    """A number of a text, or what it is a part of."""
    start, end = match.span()
    if (formula := _in_tex(text, start, end)) is not None:
        return formula
    if before and end - before.start() < _NEAR and (sum_ := _compound(text, before, end)):
        return sum_
    number = (match["sign"] or match["inner"] or "") + match["number"] + (match["percent"] or "")
    if scale := scales.IN_TEXT.match(text, end) or _SHORT_SCALE.match(text, end):
        return number + scale[0].rstrip()
    if match["before"] and (scale := _MONEY_SCALE.match(text, end)):
        return match[0] + scale[0]
    near = text[max(0, start - _NEAR) : start].rsplit("\n", 1)[-1]
    opened, closed = _BEFORE.search(near), _AFTER.match(text, end)
    if opened and ":" in opened[0] and len(number) > 2:
        opened = None  # "Day 3: 210 pages" is no time
    if closed is None and (letters := _LETTERS.match(text, end)) and product(letters[0]):
        closed = letters
    if opened is None and closed is None:
        return number
    first = start - (len(near) - opened.start() if opened else 0)
    word = re.search(r"[^\s$]*$", text[max(0, first - _LONGEST) : first])
    tail = re.compile(r"[^\s$]{0,300}").match(text, closed.end() if closed else end)
    assert word and tail
    whole = text[first - len(word[0]) : tail.end()].strip("*_\"'“”‘’").rstrip(".,;:?*")
    return _result(_balanced(whole.strip("\"'“”‘’ ")))


def _in_tex(text: str, start: int, end: int) -> str | None:
    """The formula between TeX's delimiters around a place of a text; None where there is none."""
    for opener, closer in _TEX:
        opened = text.rfind(opener, max(0, start - _LONGEST), start + len(opener))
        closed = text.find(closer, end, end + _LONGEST) if opened >= 0 else -1
        if closed < 0:
            continue
        held = text[opened + len(opener) : closed]
        if (closer == opener and text[closed + 1 : closed + 2].isdigit()) or closer in held:
            continue  # it is money, or a span that ended before
        if (found := _result(held.strip())) and (quantity(found) or _is_formula(found)):
            return found
    return None


def _result(formula: str) -> str:
    """The number that an equation comes to, or the formula that has a name; else the whole."""
    result = _ENVIRONMENT.sub("", re.split(r"=|≈|\\approx(?![a-z])", formula)[-1])
    result = result.strip("& \n").rstrip(" .,;\\")
    if _SEVERAL.search(formula):
        return formula
    named = _ENVIRONMENT.search(formula) or not is_formula(formula)
    return result if quantity(result) or (named and _is_formula(result)) else formula


def _is_formula(text: str) -> bool:
    return is_formula(without_unit(text)[0])


_SEVERAL = re.compile(r"=.*\bor\b.*=", re.DOTALL)


_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(?:align|aligned|array|gather|split|eqnarray)\*?\}")


def _balanced(text: str) -> str:
    """A text without brackets at its ends that nothing closes or opens."""
    for opener, closer in ("()", "[]", "{}"):
        while text.startswith(opener) and text.count(opener) > text.count(closer):
            text = text[1:]
        while text.endswith(closer) and text.count(closer) > text.count(opener):
            text = text[:-1]
    return text


_UNIT = re.compile(r"\s?[^\W\d_]+")


def _compound(text: str, first: re.Match[str], end: int | None = None) -> str | None:
    """A quantity in two units, as `1 hour 30 minutes`, that begins with a number of a text."""
    if end is None:
        second = IN_TEXT.search(text, first.end())
        if second is None or second.end() - first.start() > _NEAR:
            return None
        end = second.end()
    if (unit := _UNIT.match(text, end)) is None:
        return None
    whole = text[first.start() : unit.end()]
    apart = re.search(r"[^\W\d_]|[$€£¥]", text[first.end() : end])
    return whole if apart and quantity(whole) else None
