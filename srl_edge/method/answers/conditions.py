# ruff: noqa: RUF001 - signs of mathematics are what is read here
r"""What holds of a value's letters: the `k \in \mathbb{Z}` of `x = 2k\pi, k \in \mathbb{Z}`."""

import re
from typing import NamedTuple

INTEGERS = frozenset({"Z", "N", "N+"})  # whose letters people know without a word
_SET = (
    r"(?:\\(?:mathbb|mathbf|Bbb|bf|rm) ?)?\{? ?(?:\\(?:bf|rm) ?)?(?P<set>[ZNQRC]) ?\}?"
    r" ?(?P<which>(?:[\^_] ?\{? ?(?:\*|\+|> ?0|0|\\ast)? ?\}?)?)"
)
_IN = rf"(?P<letter>[A-Za-z]) ?(?:\\in(?![a-z])|∈) ?{_SET}"
_INTEGER = (
    r"(?:(?P<named>[a-z]) (?:is|being) |(?:any|all|every|some) )?(?:an? |any )?"
    r"(?P<positive>positive )?integers?(?: (?P<last>[a-z]))?"
)
_RELATION = r"(?:[<>≤≥≠]|\\(?:[lg][et]|neq?)(?![a-z]))"
_COMPARED = rf"[^,()]{{1,30}}?{_RELATION}[^,()]{{1,40}}"
_CONDITION = re.compile(rf"{_IN}|{_INTEGER}|(?P<compared>{_COMPARED})")
# Where a condition may begin: at a comma, a bracket, a word, or a letter that is in a set.
_BEGINS = re.compile(
    r" ?, ?(?:(?:where|for|with|when|if) )*| ?(?=\()| (?:(?:where|for|with|when|if) )+"
    r"| (?=[A-Za-z] ?(?:\\in(?![a-z])|∈))"
)
_BUILT = re.compile(r"\\?\{ ?[a-z] ?(?:\||:|∣|\\(?:mid|vert|colon)(?![a-z])) ?(.*?) ?\\?\}")
_SIGNS = re.compile(rf"∈|\\in(?![a-z])|{_RELATION}|integer")
_LONGEST = 200  # characters


class Conditioned(NamedTuple):
    """A value, the letter of it that is in a set, and that set; or an inequality, of no letter."""

    value: str
    letter: str = ""
    condition: str = ""


def conditioned(text: str) -> Conditioned:
    """A plain text as a value and what holds of it; as a value alone where nothing is said."""
    if len(text) > _LONGEST or not _SIGNS.search(text):
        return Conditioned(text)
    built = _BUILT.fullmatch(text)
    inner = built[1] if built else text
    for place in _BEGINS.finditer(inner):
        value, behind = inner[: place.start()].strip(), inner[place.end() :].strip()
        if behind.startswith("(") and behind.endswith(")"):
            behind = behind[1:-1].strip()
        said = _CONDITION.fullmatch(behind) if value and not _is_open(value) else None
        if said and said["compared"] and not built:
            return Conditioned(value, "", behind)
        if letter := said and (said["letter"] or said["named"] or said["last"]):
            return Conditioned(value, letter, _name(said))
    return Conditioned(text)


def _is_open(text: str) -> bool:
    sizes = [sum(map(text.count, signs)) for signs in ("([{", ")]}")]
    return sizes[0] != sizes[1]


def _name(said: re.Match[str]) -> str:
    """One name for a set: the positive integers are also written as N^*, N_+ and Z^+."""
    if said["set"] is None:
        return "N+" if said["positive"] else "Z"
    which = re.sub(r"[\^_{} ]", "", said["which"].replace(r"\ast", "*"))
    which = which or "*" * bool(said["which"])  # the last * of a plain text is not kept
    positive = which in ("+", ">0") or (which, said["set"]) == ("*", "N")
    return "N+" if positive and said["set"] in "NZ" else said["set"] + which


def renamed(text: str, letter: str, other: str) -> str:
    """A text with another letter for a letter, commands as they are."""
    return re.sub(rf"\\[A-Za-z]+|{letter}", lambda m: other if m[0] == letter else m[0], text)


def has_letter(text: str, letter: str) -> bool:
    """Whether a letter is in a text, outside its commands and words."""
    return letter in re.sub(r"\\[A-Za-z]+|[A-Za-z]{5,}", "", text)
