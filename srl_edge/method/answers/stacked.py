r"""Values in rows: the systems and cases of `\begin{cases}` and its kind, and matrices."""

import re

from srl_edge.method.answers.plain import plain

_ENVIRONMENT = re.compile(
    r"(?P<before>.*?)(?:\\left)?(?:\\\{|\\lbrace)?\s*\\begin ?\{"
    r"(?P<name>[dr]?cases|array|align(?:ed)?|gather(?:ed)?|split)\*?\}(?:\[\w\])?(?:\{[lcr|\s]*\})?(?P<rows>.*?)"
    r"\\end ?\{(?P=name)\*?\}\s*(?:\\right)?[.\s$]*",
    re.DOTALL,
)
_CASES = frozenset({"cases", "dcases", "rcases", "array"})
_ROW = re.compile(r"\\\\(?:\s*\[[^\]]*\])?")
# `2n, n \ge 2` in one cell, and no two equations.
_AT_LAST = re.compile(r"(?P<value>[^=,]+), ?(?P<condition>[^,]*[=<>≤≥\\][^,]*)")
_WHEN = re.compile(r"^(?:if|when|for|where|as)\b ?")
_OTHERWISE = re.compile(r"(?:otherwise|else|elsewhere|in (?:all )?other cases)")
_LISTED = re.compile(r"\[ ?(\[[^\[\]]+\](?: ?, ?\[[^\[\]]+\])*) ?\]")


def rows(text: str) -> list[tuple[str, str]]:
    """The values of a text's rows, each with the condition that it holds under, or ''."""
    found = _ENVIRONMENT.fullmatch(text.strip()) if r"\begin" in text else None
    if found is None or r"\begin" in found["rows"]:
        return []
    pairs = []
    for row in filter(str.strip, _ROW.split(found["rows"])):
        cells = row.split("&")
        joined = found["name"] not in _CASES or any(c.lstrip().startswith("=") for c in cells)
        first, *others = ["".join(cells)] if joined else cells
        condition = _tidy("".join(others))
        value = _tidy(first)
        if not (condition or joined) and (both := _AT_LAST.fullmatch(value)):
            value, condition = both["value"], both["condition"]
        pairs.append((value, "otherwise" if _OTHERWISE.fullmatch(condition) else condition))
    name = plain(found["before"]).strip(" ${\\")
    return [(f"{name}{value}" if name else value, condition) for value, condition in pairs]


def _tidy(cell: str) -> str:
    return _WHEN.sub("", plain(cell).strip(" ,;.")).strip(" ,;.")


def in_a_line(text: str) -> str:
    """A system of equations as a list, as `x = 1, y = 2`; another text as it is."""
    found = rows(text)
    together = len(found) > 1 and not any(condition for _, condition in found)
    return ", ".join(value for value, _ in found) if together else text


def as_matrix(text: str) -> str:
    """The rows of `[[1, 2], [3, 4]]` as TeX's matrix; another text as it is."""
    if (listed := _LISTED.fullmatch(plain(text))) is None:
        return text
    held = [row.strip("[] ").replace(",", "&") for row in re.split(r"\] ?, ?", listed[1])]
    return r"\begin{pmatrix}" + r" \\ ".join(held) + r"\end{pmatrix}"
