"""Checks the sums that a worked solution writes down."""

import ast
import operator
import re
from collections.abc import Iterator

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_EQUATION = re.compile(
    rf"(?<![\w.)^√}}:,])((?:[($ ]*(?:{_NUMBER})[)% ]*[-+*/x×÷] *)+[($ ]*(?:{_NUMBER})[)]*)"
    rf" *= *\$?(-?(?:{_NUMBER}))(?![\d.]*[\w%/*+]| +\d+/\d)"
)
# What stands before an equation may be its first operand, as in `3 cups * 5 - 2 = 13`, or part of
# it, as in `3 1/2 + 1/2 = 4` and `20% of 50 + 5 = 15`.
_CONTINUES = re.compile(
    r"[-+*/x×÷(=^%√]\s*$|\d +$|\b(?:of|twice|double|triple|half|log|ln|sin|cos|tan|sqrt|mod)\s*$"
)
# What a result may go on with: another sum, a word that counts in other units, a remainder.
_SUM_AFTER = re.compile(rf"(?: *[-+*/x×÷] *[($ ]*(?:{_NUMBER})[)%]*)+")
_WORD_AFTER = re.compile(r" *(%|[A-Za-z]+)")
_TIMES = {"%": 0.01, "percent": 0.01, "cent": 0.01, "dozen": 12.0, "hundred": 1e2}
_TIMES |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "dollar": 1e2, "foot": 12.0}
_TIMES |= {"feet": 12.0, "minute": 60.0, "hour": 60.0, "day": 24.0, "week": 7.0, "year": 12.0}
_REMAINDERS = ("remainder", "r", "rem", "with")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def wrong_equations(text: str) -> list[str]:
    """Equations `a op b … = c` of a text whose two sides differ by more than rounding.

    A result may be rounded to the digits that it is written with. What cannot be read as plain
    arithmetic is not judged.
    """
    wrong = []
    for match in _EQUATION.finditer(text):
        if _CONTINUES.search(text[: match.start()]):
            continue
        left, right = match[1], match[2].replace(",", "")
        value = _evaluate(left)
        digits = len(right.partition(".")[2])
        near = 0.51 * 10**-digits * (digits > 0) + 1e-6
        if value is not None and all(
            abs(value - meant) > near * scale
            for meant, scale in _meant(right, text[match.end() :], value)
        ):
            wrong.append(match[0].strip())
    return wrong


def _meant(right: str, after: str, value: float) -> Iterator[tuple[float, float]]:
    """What a result may mean by what comes after it, and how much one of it is then."""
    yield float(right), 1.0
    if sum_ := _SUM_AFTER.match(after):
        yield _evaluate(right + sum_[0]) or 0.0, 1.0
    if word := _WORD_AFTER.match(after):
        if scale := _TIMES.get(word[1].lower().removesuffix("s")):
            yield float(right) * scale, scale
        if word[1].lower() in _REMAINDERS and value // 1 == float(right):
            yield value, 1.0


def _evaluate(expression: str) -> float | None:
    plain = expression.replace(",", "").replace("$", "").replace("%", "*0.01")
    plain = re.sub("[x×]", "*", plain).replace("÷", "/").strip()
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ZeroDivisionError, ValueError):
        return None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return float(_OPERATORS[type(node.op)](_value(node.left), _value(node.right)))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    raise ValueError(ast.dump(node))
