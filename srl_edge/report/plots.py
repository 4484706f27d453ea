"""Plots as inline SVG in the page's own colours; `width` is the pixels of the place they get."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, exp, floor, log10, sqrt
from typing import Any

from markupsafe import Markup

from srl_edge.report.rows import BenchResults
from srl_edge.report.text import megabytes

_PAGE = """
figure { margin: 20px 0 26px; }
figcaption { font-size: 14px; margin-top: 8px; max-width: 84ch; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; }
.narrow { display: none; max-width: 440px; }
@media (max-width: 760px) {
  .wide { display: none; } .narrow { display: block; } .pair { grid-template-columns: 1fr; } }
svg { display: block; width: 100%; height: auto; overflow: visible; }
"""
_MARKS = """
svg text { font-size: 12px; fill: var(--muted); }
svg .name { fill: var(--ink); font-weight: 600; }
svg .grid { stroke: var(--rule); }
svg .band { fill: var(--rule); opacity: .55; }
svg .c0 { --c: var(--muted); } svg .c1 { --c: var(--blue); }
svg .c2 { --c: var(--orange); } svg .c3 { --c: var(--green); }
svg .point { fill: var(--c); opacity: .38; }
svg .line { fill: none; stroke: var(--c); stroke-width: 2.5; stroke-linejoin: round; }
svg .dot { fill: var(--c); stroke: var(--page); stroke-width: 1.5; }
svg .area { fill: var(--c); fill-opacity: .3; stroke: var(--c); stroke-width: 1.5; }
svg .held { fill: var(--page); stroke: var(--c); stroke-width: 2; }
svg .thin { fill: none; stroke: var(--c); stroke-width: 1.25; stroke-dasharray: 2 4; }
svg .whisker { stroke: var(--c); stroke-width: 3; stroke-linecap: round; opacity: .65; }
svg .bar { fill: var(--c); opacity: .75; }
svg .interval { stroke: var(--ink); stroke-width: 1.5; opacity: .6; }
svg text.label { fill: var(--c); font-weight: 600; }
svg .halo text { paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
"""
CSS = _PAGE + _MARKS
# A picture in a file has none of a page's colours, and lies on light and dark ones.
_ALONE = """
svg { --page: #fff; --ink: #17202b; --muted: #566270; --rule: #e3e7ec; --blue: #0a62a8;
  --orange: #ad4a00; --green: #00714f; font-family: system-ui, "DejaVu Sans", sans-serif; }
"""
CURVES_HEIGHT, SIZES_HEIGHT = 250, 330  # px
LETTER = 7.9  # px, the mean letter of a wide bold 12 px sans-serif, so that labels keep apart

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y) under one label; `held_out` ones are few and marked, others are smoothed."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """One measured model: megabytes, tokens a second, accuracy and its interval in [0, 1]."""

    name: str
    colour: int
    size: float
    speed: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value lies on an axis that runs from `low` at `start` px to `high` at `end` px."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Gaussian-weighted means over neighbouring x; the weight's std is 1/15 of their number."""
    spread = max(1.0, len(points) / 15)
    smoothed = []
    for x, _ in points:
        weights = [exp(-(((other - x) / spread) ** 2) / 2) for other, _ in points]
        mean = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / sum(weights)
        smoothed.append((x, mean))
    return smoothed


def models(results: BenchResults, task: str, timed: bool = True) -> list[Model]:
    """The models that answered a task, in their runtimes' colours; timed: those with a speed."""
    colours = {"torch": 0, "onnx": 1, "executorch": 2}
    found = []
    for row in results.rows:
        speed, answers = row.decode_tokens_per_second, row.tasks.get(task)
        if answers and (speed or not timed):
            found.append(
                Model(
                    row.name,
                    colours.get(row.backend, 3),
                    row.size_mb,
                    speed.p50 if speed else 0.0,
                    answers.accuracy,
                    answers.accuracy_interval,
                )
            )
    return found


def figure(
    said: str, draw: Callable[..., str], *what: Any, wide: int = 470, **options: Any
) -> Markup:
    """A plot with its caption, drawn again for phones, where a shrunken one is not legible."""
    drawn = [draw(*what, width=width, **options) for width in (wide, 350)]
    return Markup(
        f'<figure><div class="wide">{drawn[0]}</div><div class="narrow">{drawn[1]}</div>'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def curves(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    width: int,
    y_range: tuple[float, float] | None = None,
    x_to: float = 0,
) -> str:
    """Series over steps, labelled where they end; y is fitted to the points by default.

    x_to: a step that the axis reaches at least.
    """
    values = [y for s in series for _, y in s.points]
    steps = [x for s in series for x, _ in s.points]
    margin = max(len(s.label) for s in series) * LETTER + 14
    low, high = y_range or _fitted(min(values), max(values))
    x = Scale(min(steps), max(*steps, x_to, min(steps) + 1), 42, width - margin)
    y = Scale(low, high, CURVES_HEIGHT - 42, 30)
    parts = _y_axis(y, y_label, x.start, x.end) + _x_axis(
        x,
        [t for t in _ticks(x.low, x.high, 8 if width > 500 else 5) if t == int(t)],
        x_label,
        CURVES_HEIGHT,
    )
    ends = []
    for s in series:
        line = list(s.points) if s.held_out else smooth(s.points)
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
        marks = [
            _circle(
                x(a),
                y(b),
                4 if s.held_out else 2.6,
                "held" if s.held_out else "point",
                f"{s.label}, {x_label} {a:g}: {_number(b)}",
            )
            for a, b in s.points
        ]
        drawn = f'<polyline class="{"thin" if s.held_out else "line"}" points="{path}"/>'
        order = [drawn, *marks] if s.held_out else [*marks, drawn]
        parts.append(f'<g class="c{s.colour}">{"".join(order)}</g>')
        ends.append(y(line[-1][1]))
    named = [(s, end) for s, end in zip(series, ends, strict=True) if s.label]
    heights = _kept_apart([end for _, end in named], 16)
    for (s, _), at in zip(named, heights, strict=True):
        parts.append(_text(x.end + 9, at + 4, s.label, f"label c{s.colour}"))
    return _svg(width, CURVES_HEIGHT, f"{y_label} by {x_label}", parts)


def in_a_file(panels: Sequence[str], width: int, height: int) -> str:
    """Plots of one size below each other as an SVG file, which needs no page around it."""
    edge = 16
    wide, high = width + 2 * edge, len(panels) * (height + edge) + edge
    size = f'width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}">',
        f"<style>{_ALONE}{_MARKS}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for i, panel in enumerate(panels):
        place = f'<svg x="{edge}" y="{edge + i * (height + edge)}" {size} '
        parts.append(panel.replace("<svg ", place, 1))
    return "\n".join([*parts, "</svg>", ""])


def intervals(models: Sequence[Model], width: int) -> str:
    """Accuracy and its 95% interval, one row a model; the band is the first one's interval."""
    height = 34 * len(models) + 74
    left = max(len(m.name) for m in models) * LETTER + 14
    top = max(0.1, *(m.interval[1] for m in models))
    ticks = _ticks(0, top, 6 if width > 500 else 4)
    x = Scale(0, max(top, ticks[-1]), left, width - 56)
    first = models[0]
    start, end = map(x, first.interval)
    parts = [
        f'<rect class="band" x="{start:.1f}" y="18" width="{end - start:.1f}" '
        f'height="{height - 60}"/>',
        _text(start, 12, f"95% interval of {first.name}"),
        _text(width, 12, "solved", anchor="end"),
        *_x_axis(x, ticks, "problems solved (95% interval)", height, percent=True, top=18),
    ]
    for row, m in enumerate(models):
        y = 37 + 34 * row
        low, high = map(x, m.interval)
        said = f"{m.name}: {m.accuracy:.1%}, {m.interval[0]:.1%} to {m.interval[1]:.1%}"
        parts += [
            _text(left - 12, y + 4, m.name, "name", "end"),
            f'<g class="c{m.colour}"><line class="whisker" x1="{low:.1f}" x2="{high:.1f}" '
            f'y1="{y}" y2="{y}"/>{_circle(x(m.accuracy), y, 6.5, "dot", said)}</g>',
            _text(width, y + 4, f"{m.accuracy:.0%}", "name", "end"),
        ]
    return _svg(width, height, "Problems solved with 95% intervals", parts)


def bars(models: Sequence[Model], width: int) -> str:
    """Accuracy as a bar with its 95% interval, one row a model."""
    beside = width > 500  # names stand beside their bars, else above them
    row, thick = (38, 22) if beside else (50, 20)
    left = max(len(m.name) for m in models) * LETTER + 14 if beside else 0
    x = Scale(0, max(0.1, *(m.interval[1] for m in models)), left, width - 56)
    parts = []
    for at, m in enumerate(models):
        top = row * at + (6 if beside else 22)
        middle = top + thick / 2
        low, high = map(x, m.interval)
        said = f"{m.name}: {m.accuracy:.1%}, {m.interval[0]:.1%} to {m.interval[1]:.1%}"
        name = (
            _text(left - 12, middle + 4, m.name, "name", "end")
            if beside
            else _text(0, top - 6, m.name, "name")
        )
        parts += [
            name,
            f'<g class="c{m.colour}"><rect class="bar" x="{left:.1f}" y="{top}" '
            f'width="{max(x(m.accuracy) - left, 2):.1f}" height="{thick}">'
            f"<title>{escape(said)}</title></rect>"
            f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
            "</g>",
            _text(width, middle + 4, f"{m.accuracy:.0%}", "name", "end"),
        ]
    return _svg(width, row * len(models) + 8, "Problems solved, with 95% intervals", parts)


def size_and_speed(models: Sequence[Model], width: int) -> str:
    """Size on disk (log) against decoding speed; a mark's area is the accuracy, also in words."""
    sizes = [m.size for m in models]
    x = Scale(min(sizes) * 0.7, max(sizes) * 1.45, 46, width - 16, log=True)
    speeds = [m.speed for m in models]
    top = max(speeds) * 1.3
    y = Scale(0, max(top, _ticks(0, top, 6)[-1]), SIZES_HEIGHT - 42, 26)
    powers = range(floor(log10(x.low)), ceil(log10(x.high)) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5) if x.low <= m * 10.0**p <= x.high]
    parts = _y_axis(y, "decode, tokens a second", x.start, x.end) + _x_axis(
        x, ticks, "size on disk, MB (log scale)", SIZES_HEIGHT
    )
    best = max(m.accuracy for m in models) or 1.0
    circles = [(x(m.size), y(m.speed), max(4.0, 17 * sqrt(m.accuracy / best))) for m in models]
    taken = [(cx - r, cy - r, cx + r, cy + r) for cx, cy, r in circles]
    # Large marks first, so that small ones stay visible on top.
    for i in sorted(range(len(models)), key=lambda i: -circles[i][2]):
        said = f"{models[i].name}: {megabytes(sizes[i])} MB, {speeds[i]:.1f} tok/s"
        parts.append(f'<g class="c{models[i].colour}">{_circle(*circles[i], "area", said)}</g>')
    for m, circle in zip(models, circles, strict=True):
        lines = (m.name, f"{m.accuracy:.0%} solved")
        inside = (x.start, y.end, x.end, y.start)
        anchor, at, box = _free_place(circle, len(max(lines, key=len)) * LETTER, 30, taken, inside)
        taken.append(box)
        named = _text(at, box[1] + 12, lines[0], "name", anchor)
        parts.append(f'<g class="halo">{named}{_text(at, box[1] + 26, lines[1], "", anchor)}</g>')
    return _svg(width, SIZES_HEIGHT, "Size on disk against decoding speed", parts)


def _free_place(
    circle: tuple[float, float, float],
    width: float,
    height: float,
    taken: Sequence[Box],
    inside: Box,
) -> tuple[str, float, Box]:
    """Anchor, x and box of a label: the nearest place by a mark that hides least of the rest."""
    cx, cy, r = circle
    places = []
    for gap in (r + 5, r + 16, r + 28):
        above, beside, below = cy - gap - height, cy - height / 2, cy + gap
        for anchor, at, top in (
            ("start", cx + gap, beside),
            ("end", cx - gap, beside),
            ("middle", cx, above),
            ("middle", cx, below),
            ("end", cx, above),
            ("end", cx, below),
            ("start", cx, above),
            ("start", cx, below),
        ):
            left = at - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
            places.append((anchor, at, (left, top, left + width, top + height)))

    def hidden(place: tuple[str, float, Box]) -> float:
        box = place[2]
        return sum(_overlap(box, t) for t in taken) + width * height - _overlap(box, inside)

    return min(places, key=lambda place: round(hidden(place)))


def _overlap(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return max(across, 0.0) * max(down, 0.0)


def _kept_apart(wanted: Sequence[float], gap: float) -> list[float]:
    """The wanted heights, moved as little as it takes to lie `gap` apart."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    for before, after in pairwise(order):
        missing = gap - (placed[after] - placed[before])
        if missing > 0:
            placed[before] -= missing / 2
            placed[after] += missing / 2
    # Where three or more are close, moving one pair can bring another together.
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + gap)
    return placed


def _fitted(low: float, high: float) -> tuple[float, float]:
    """A range with round ends around the values."""
    step = _step(low, max(high, low + 0.1), 5)
    return floor(low / step) * step, max(ceil(high / step), floor(low / step) + 1) * step


def _ticks(low: float, high: float, most: int) -> list[float]:
    step = _step(low, high, most)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _step(low: float, high: float, most: int) -> float:
    least = (high - low) / most
    power = 10.0 ** floor(log10(least))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= least * (1 - 1e-9))


def _y_axis(y: Scale, label: str, left: float, right: float) -> list[str]:
    parts = [_text(0, 14, label)]
    for tick in _ticks(y.low, y.high, 5):
        at = y(tick)
        ends = f'x1="{left}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}"'
        parts.append(f'<line class="grid" {ends}/>')
        parts.append(_text(left - 8, at + 4, _number(tick), anchor="end"))
    return parts


def _x_axis(
    x: Scale,
    ticks: Sequence[float],
    label: str,
    height: int,
    percent: bool = False,
    top: float = 0,
) -> list[str]:
    base = height - 42
    parts = [_text(x.end, height - 4, label, anchor="end")]
    for tick in ticks:
        at = x(tick)
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{top or base}" y2="{base + 4}"'
        parts.append(f'<line class="grid" {ends}/>')
        parts.append(_text(at, base + 18, _number(tick, percent), anchor="middle"))
    return parts


def _number(value: float, percent: bool = False) -> str:
    text = f"{value:.0%}" if percent else f"{round(value, 3):g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _circle(x: float, y: float, radius: float, kind: str, title: str) -> str:
    return (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {where}>{escape(text)}</text>"


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, *parts, "</svg>"])
