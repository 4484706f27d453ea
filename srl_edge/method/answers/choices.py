# ruff: noqa: RUF001 - quotes and dashes as people write them
"""Multiple choice as models write it: `B`, `(B)`, `**B.** water`, `Option B`, `B, not A`."""

import re
from collections.abc import Callable

from srl_edge.method.answers.announcements import COPULA
from srl_edge.method.answers.plain import plain
from srl_edge.method.answers.texts import same_text, unbulleted

_NAMED = (
    r"(?:(?:the|la|le|a|o)\s+|l['’])?(?:(?:correct|right|best)\s+)?"
    r"(?:option|choice|answer|opci[óo]n|opzione|op[çc][ãa]o|alternativa|r[ée]ponse|вариант|选项)"
)
_LETTER = r"(?:(?:the|la|a)\s+)?(?:letter|letra|lettera|lettre)"  # which a word may have as well
_RIGHT = (
    r"(?:is|would be|must be|has to be)\s+(?:(?:the|our|my)\s+)?"
    r"(?:correct|right|best|true|answer)\b"
)
_REASON = r"(?:(?:and|but)\s+)?(?:not|because|since|as|which|rather|instead)\b"
_OPTION = re.compile(
    rf"(?:(?i:{_NAMED}|{_LETTER})\s+)?[\"'“\[{{]*(?:\(([A-Ja-j])\)|([A-J])(?![A-Za-z'’+])"
    r"|([a-j])(?=[)\]}\".]*$|\s?\)\s))[\"'”\]}]*(.*)",
    re.DOTALL,
)
# What is added to a letter, or taken from it, is part of a formula.
_LABELLED = re.compile(
    r"(?:\(([A-J])\)(?:\s+|(?=\d))(?![+<>])|([A-J])[.:)]\s+)"
    r"(?![-+]\s|[*/^=,;&|]|(?:and|or)\b)(\S.*)",
    re.DOTALL,
)
# A letter as TeX sets it, upright or bold in its brackets, and what parts it from a value.
_FACE = re.compile(r"\{\s*\\(?:bf|rm|it|sf)(?![A-Za-z])\s*([^{}]*)\}|\\bold\s*\{([^{}]*)\}")
_SPACED = re.compile(
    r"(\$?)(?:\\(?:text|math)[a-z]{0,2}\s*\{\s*([A-J])\s*\}\s*(?:\\[:;, ]|\\q?quad(?![A-Za-z])|~)"
    r"|([A-J])\s*\\:)\s*(?=-?(?:\\?\$)?(?:\d|\\[dt]?frac|\\sqrt))"
)
_BRACKETED = re.compile(r"\(\s*([A-J])\s*\)")
_QUOTED = re.compile(r"(?<!\w)['‘]([A-J])['’](?!\w)")
# What parts a letter without brackets from the text of its choice. `B.C.` and `A-` are no choices.
_PARTS = re.compile(
    rf"\s*$|[.:)]+(?=\s|$)|\s?\)|:|\s*[-–—]\s+|—|[,;]\s+|\s+(?=\()|\s+(?={_REASON}|{_RIGHT})"
)
_LISTED = re.compile(r"\W*[A-Ja-j][,;]\s")
_NO_TEXT = re.compile(rf"\W*(?:{_REASON}|{_RIGHT}).*|\W*", re.DOTALL)
_OTHER = re.compile(
    r"^\W*(?:(?:and|or)\W+)?(?:[A-J]|[IVX]{2,5})(?=\W*$|\)|\s*[,;/&.]|\s+(?:and|or)\b)"
)
_LETTERS = re.compile(r"[A-J]\. ?(?:[A-Z]|(?:and|or)\b)")  # A. B. C, and A. A. Milne
_LABELS = re.compile(r"[,;]\s*\(?[A-J][.:)]")  # A: 5, B: 6
_LIST = re.compile(
    r"\(?\b[A-J]\)?(?:\s*(?:,|/|&|、|和|或|,?\s*(?:and|or)\b)\s*\(?[A-J]\b(?!['’])\)?)+"
)
_WRONG = (
    r"(?!\)?\s*(?:(?:is|was|are|would be|seems)\s+(?:not|wrong|incorrect|false)"
    r"|(?:is|does|can)n['’o]t))"
)
_ENDS = rf"(?=\)?\W*$|\)?[.,;:!]|\)?\s+(?:{_REASON}|{_RIGHT}))"
_VERDICT = re.compile(
    rf"(?<!not )(?:\(([A-J])\)|(?i:{_NAMED})\s+\(?([A-J])\b"
    r"|(?i:\b(?:therefore|thus|hence|so|choose|chose|pick|select|go with|it is|it's"
    r"|it (?:must|has to|should|can only) be)),?"
    rf"\s+([A-HJ])\b{_ENDS}"
    rf"|\b([A-HJ])(?=\s+{_RIGHT})"
    r"|(?<![A-Za-z])([A-J])\s*(?:是|为)?\s*(?:正确|对)(?:的|答案|选项|的选项)?(?!\w)"
    rf"){_WRONG}",
    re.MULTILINE,
)

# A letter in a formula of its own is a choice only where it is called right or chosen.
_IN_TEX = (
    r"(?:\$|\\\()\s*(?:\\(?:text|math)[a-z]*\s*\{\s*)?\(?(?P<letter>[A-J])\)?\s*\}?\s*(?:\$|\\\))"
)
_CHOSEN_IN_TEX = re.compile(
    rf"(?<=choose ){_IN_TEX}|(?<=option ){_IN_TEX.replace('letter', 'other')}"
    rf"|{_IN_TEX.replace('letter', 'right')}(?=\s+{_RIGHT})"
)
_POINTS = re.compile(r"(?:[-=]>|[→⇒✅➡]\ufe0f?)\s*")
# A letter before the text of its choice, in a sentence where no other word is.
_FOLLOWED = re.compile(
    r"(?:\*\*)?([A-HJ])(?:\*\*)?\s+(?!(?:and|or|to|nor|und|oder|et|ou|y|o|e)\b)(?=[^\W\d_])"
)
_SENTENCE_END = re.compile(r"[.!](?:\s|\**$)|[。．।]")
# Several letters as one answer: `A, B and D`, `(A)(B)`, `ABD`.
_JOINS = r"\s*(?:[,;、&]\s*(?:and\s)?|\band\b|和)?\s*"
_SET = re.compile(rf"(?:options?\s+)?(\(?[A-J]\)?(?:{_JOINS}\(?[A-J]\)?)+)(?:\s+are\s.*)?")
_RUN = re.compile(r"[A-J]{2,10}")


def _plain(text: str) -> str:
    """A text with the letter of a choice before it as `(D)`, however TeX sets it."""
    if "\\" in text:
        text = _FACE.sub(lambda match: match[1] or match[2] or "", text)
        text = _SPACED.sub(lambda match: f"{match[1]}({match[2] or match[3]}) ", text, 1)
    text = plain(text)
    return _BRACKETED.sub(r"(\1)", text, 1) if text.startswith("( ") else text


def option(text: str) -> tuple[str, str] | None:
    """The letter and the text of a text that is one choice; None for others, and for several."""
    match = _OPTION.fullmatch(_QUOTED.sub(r"\1", _plain(text).replace("*", "").strip()))
    if not match:
        return None
    bracketed, letter, small, rest = match.groups()
    parted = _PARTS.match(rest)
    if (letter and not parted) or _OTHER.match(rest) or _LABELS.search(rest):
        return None
    rest = rest[parted.end() :] if parted else rest
    held = "" if _NO_TEXT.fullmatch(rest) else rest.strip(" ()")
    return (bracketed or letter or small).upper(), held


def _unmarked(line: str) -> str:
    """A line without the quotes and TeX around a letter that is called a choice."""
    line = _CHOSEN_IN_TEX.sub(lambda tex: next(filter(None, tex.groups())), line)
    return _QUOTED.sub(r"\1", line)


def labelled(text: str) -> str:
    """The text of a choice behind its letter, as 12 in `(C) 12` or `C. 12`; '' for others."""
    parted = _parted(text)
    return parted[1] if parted else ""


def _parted(text: str) -> tuple[str, str] | None:
    """A letter and the text behind it, which may name other choices, as `C. A and B`."""
    match = _LABELLED.fullmatch(_plain(text).strip("$ "))
    if match is None or _LABELS.search(text) or _LETTERS.match(match[3]) or alone(match[3]):
        return None
    return match[1] or match[2], match[3]


def same_part(given: str, answer: str) -> bool:
    """Whether a text is the letter, the text or both of an answer that has both."""
    if (right := _parted(answer)) is None:
        return False
    letter, held = option(given) or _parted(given) or ("", "")
    both = letter == right[0] and (not held or same_text(held, right[1]))
    return both or same_text(given, right[1])


def is_symbol(text: str) -> bool:
    """Whether a text is a small letter alone, which may be a value as well: e, i, a."""
    return re.fullmatch(r"\$?([a-j])\$?", text.strip()) is not None


def last_symbol(text: str) -> str | None:
    """The small letter in a formula of its own that a text ends with, as in `so it is $e$`."""
    found = _ENDS_IN_SYMBOL.search(text[-_END:])
    return found[1] if found else None


_END = 80  # characters
_ENDS_IN_SYMBOL = re.compile(
    r"(?:\$|\\[(\[])\s*(?:\\math[a-z]{2}\s*\{)?([a-j])\}?\s*(?:\$|\\[)\]])[\s.!*]*$"
)


def is_right_answer(text: str) -> bool:
    """Whether a text is one choice as a right answer is written: `C, Python` is a list."""
    found = option(text)
    if found is None:
        return bool(labelled(text))
    return not (found[1] and _LISTED.match(_plain(text)))


def alone(text: str) -> bool:
    """Whether a text is the letter of a choice, and nothing besides."""
    found = option(text)
    return found is not None and not found[1]


def same_choice(given: str, answer: str, same: Callable[[str, str], bool] = same_text) -> bool:
    """Whether two texts are the same choice: of one letter, and of one text where both have one.

    same: whether two texts of choices are.
    """
    right, found = option(answer), option(given)
    if right is None:
        return same_text(given, answer)
    if found is None or found[0] != right[0]:
        return False
    text = right[1] or labelled(answer)  # `B. not enough`
    if not (found[1] and text) or same(found[1], text):
        return True
    said = re.match(rf"(.+?)(?:[.;]\s|,?\s+{_REASON}|\s+\()", found[1], re.DOTALL)
    return said is not None and same(said[1], text)


def letters(text: str) -> str:
    """The letters of a text that is several choices, as they stand; '' for any other text.

    Where no sign is between them, they stand in alphabetical order, as in `ABD`: `BAD` is a word.
    """
    text = re.sub(r"['\"\[\]]", "", plain(text)).strip()
    listed = _SET.fullmatch(text) if len(text) < 200 else None
    found = re.findall("[A-J]", listed[1]) if listed else []
    run = _RUN.fullmatch(text)
    if len(found) < 2 or len(set(found)) < len(found) or (run and found != sorted(found)):
        return ""
    return "".join(found)


def same_letters(given: str, answer: str) -> bool:
    """Whether a text is the same several choices as an answer, in whatever form.

    Their order is free where the answer's is that of the alphabet; another one was asked for.
    """
    right = letters(answer)
    run = _RUN.fullmatch(plain(given))
    said = run[0] if run else letters(given)
    return right != "" and right in (said, "".join(sorted(said)))


def announced(said: str, in_sentence: bool = False) -> str | None:
    """What the words choose that follow "the answer is".

    in_sentence: they go on with it, so that a capital letter is no article: "is A cats".
    """
    if found := chosen(said):
        return found
    clause = COPULA.sub("", _SENTENCE_END.split(said, maxsplit=1)[0])
    if found := chosen(clause):
        return found
    followed = _FOLLOWED.match(clause) if in_sentence else None
    return followed[1] if followed else None


def chosen(text: str) -> str | None:
    """What a running text chooses: its first line, or the last line or verdict that is a choice.

    Lines that list the choices choose none.
    """
    lines = [unbulleted(_POINTS.sub("", line.strip("#>| \t"), 1)) for line in text.splitlines()]
    read = [option(line) or _parted(line) if 0 < len(line) < 200 else None for line in lines]
    listed = len({found[0] for found in read if found and found[1]}) > 1
    picks = [
        line if found and not (listed and found[1]) else None
        for line, found in zip(lines, read, strict=True)
    ]
    first = next((pick for pick, line in zip(picks, lines, strict=True) if line), None)
    if first:
        return plain(first)
    for line, found, pick in reversed(list(zip(lines, read, picks, strict=True))):
        if pick:
            return plain(pick)
        verdicts = (
            [] if listed and found else list(_VERDICT.finditer(_LIST.sub(" ", _unmarked(line))))
        )
        if verdicts:
            letters: tuple[str | None, ...] = verdicts[-1].groups()
            return next(filter(None, letters))
    return None
