"""Figures as people read them."""

from srl_edge.report.rows import Answers, Difference, Spread

ABSENT = "not measured"


def shown(value: float | None, form: str) -> str:
    """A figure as text; what is not known is said so, and is no zero."""
    return ABSENT if value is None else f"{value:{form}}"


def counted(number: object, noun: str) -> str:
    """A number with its noun: 1 thread, 2 threads."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size: float) -> str:
    """A size in MB without its unit: whole, or where that would be 0, two digits."""
    return f"{size:.0f}" if size >= 1 else f"{size:.2g}"


def spread(figure: Spread | None, form: str) -> str:
    """Median and standard deviation as text, if they were measured."""
    return f"{figure.p50:{form}} ± {figure.std:{form}}" if figure else ABSENT


def signed(value: float) -> str:
    """A number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def accuracy(answers: Answers) -> str:
    """A share of solved problems and its 95% interval."""
    low, high = answers.accuracy_interval
    return f"{answers.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def points(difference: Difference) -> str:
    """A paired difference of accuracies in points, with its 95% interval."""
    mean, low, high = (100 * x for x in (difference.mean, difference.low, difference.high))
    said = f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
    return said.replace("-", "\N{MINUS SIGN}")


def overlap(a: Answers, b: Answers) -> bool:
    """Whether the 95% intervals of two accuracies have a point in common."""
    (a_low, a_high), (b_low, b_high) = a.accuracy_interval, b.accuracy_interval
    return a_low <= b_high and b_low <= a_high
