"""Checks the sums that a worked solution writes down."""

import ast
import operator
import re

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_EQUATION = re.compile(
    rf"(?<![\w.)])((?:[($ ]*(?:{_NUMBER})[)% ]*[-+*/x×÷] *)+[($ ]*(?:{_NUMBER})[)]*)"
    rf" *= *\$?(-?(?:{_NUMBER}))(?![\d.]*[\w%/*+]| +\d+/\d)"
)
# What stands before an equation may be its first operand, as in `3 cups * 5 - 2 = 13`, or part of
# it, as in `3 1/2 + 1/2 = 4`.
_CONTINUES = re.compile(r"[-+*/x×÷(=]\s*$|\d +$")
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
        if (
            value is not None
            and abs(value - float(right)) > 0.51 * 10**-digits * (digits > 0) + 1e-6
        ):
            wrong.append(match[0].strip())
    return wrong


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
