"""Curves of one run, or of two over each other, as figures of a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from srl_edge.report import plots
from srl_edge.report.plots import Series
from srl_edge.report.training_rows import STAGES, MetricsRow

MOST_POINTS = 150  # of a curve; means of neighbouring steps stand for more
_SHARE = (0.0, 1.0)
_COLOURS = {"similarity": 1, "solved": 2, "format": 3, "own way": 4}  # the same in every figure


@dataclass(frozen=True, slots=True)
class Curves:
    """The metrics of a run under the label that its lines have; '' where there is one run."""

    label: str
    rows: Sequence[MetricsRow]


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of a kind of stage."""

    title: str
    figures: Sequence[Markup]


def sections(runs: Sequence[Curves]) -> list[Section]:
    """The figures of each kind of stage that any run has begun, the newest kind first."""
    kinds = {row.kind: row.stage for run in runs for row in run.rows if _trained(row)}
    found = []
    for kind in sorted(kinds, key=lambda k: kinds[k], reverse=True):
        of_kind = [Curves(run.label, [row for row in run.rows if row.kind == kind]) for run in runs]
        drawn = tuple(_figures(kind, of_kind))
        found.append(Section(_sentence(STAGES[kind]), drawn))
    return found


def _figures(kind: str, runs: Sequence[Curves]) -> Iterator[Markup]:
    step = f"{kind.upper()} step"
    if kind != "sft":
        judged = "eval_accuracy" if kind == "rlvr" else "eval_reward"
        yield from _figure(
            "reward",
            step,
            _each(runs, "reward") + _each(runs, judged, held_out=True),
            "Mean reward of the rollouts of a step; circles: greedy replies to held-out prompts.",
        )
        yield from _parts(step, runs)
        yield from _figure(
            "keep-rate",
            step,
            _each(runs, "keep_rate"),
            "Share of groups whose rewards differ, and are learned from.",
            _SHARE,
        )
    loss = "Loss of the update, in nats a token" + (
        "." if kind == "sft" else "; near 0, since a group's advantages add up to nothing."
    )
    yield from _figure("loss", step, _each(runs, "loss"), loss)
    yield from _validation(step, runs)
    if kind != "sft":
        yield from _figure(
            "tokens/s",
            step,
            _each(runs, "sampling/tokens_per_second"),
            "Tokens a second while rollouts are sampled.",
            from_zero=True,
        )
        yield from _figure(
            "tokens",
            step,
            _each(runs, "completions/mean_length"),
            "Mean length of a reply, in tokens.",
            from_zero=True,
        )
        yield from _alarms(step, runs)


def _parts(step: str, runs: Sequence[Curves]) -> Iterator[Markup]:
    """The reward by part."""
    found = [key for run in runs for row in run.rows for key in row.figures]
    keys = dict.fromkeys(key for key in found if key[:8] == "rewards/")
    parts = {key: (name := key.split("/")[1], f"mean of the reward's part {name}") for key in keys}
    yield from _together(
        "parts of the reward", step, runs, parts, "The parts of the reward: means."
    )


def _validation(step: str, runs: Sequence[Curves]) -> Iterator[Markup]:
    """What validations found."""
    found = {
        "eval_accuracy": ("solved", "share of held-out problems solved"),
        "eval_similarity": ("similarity", "similarity of held-out steps to the expert's"),
        "eval_format": ("format", "share of held-out replies in the format"),
        "eval_own_accuracy": ("own way", "share of them solved in the model's own way"),
    }
    yield from _together("held-out", step, runs, found, held_out=True)


def _alarms(step: str, runs: Sequence[Curves]) -> Iterator[Markup]:
    """Signs that the reward is earned without the step being right."""
    shares = {
        "alarms/copied_step": ("copied", "share of steps that copy the one before"),
        "alarms/wrong_numbers": ("numbers", "share that have the expert's words and other numbers"),
    }
    yield from _together("signs of hacking", step, runs, shares)


def _together(
    label: str,
    step: str,
    runs: Sequence[Curves],
    keys: Mapping[str, tuple[str, str]],
    caption: str = "",
    held_out: bool = False,
) -> Iterator[Markup]:
    """Shares by key, each with its name and what it is: in one figure of one run, else in one each.

    caption: of that one figure, in place of all that its lines are. A line's colour is its name's.
    """
    newest = max((row.at for run in runs for row in run.rows), default=0)
    if len(runs) > 1:
        for key, (name, said) in keys.items():
            lines = _each(runs, key, held_out, alone=True)
            said = f"{_sentence(said)}."
            yield from _figure(f"{label}: {name}", step, lines, said, _SHARE, x_to=newest)
        return
    others, lines, shown = iter((2, 5, 4) * len(keys)), [], []
    for key, (name, said) in keys.items():
        if points := _points(runs[0].rows, key):
            lines.append(Series(name, points, _COLOURS.get(name) or next(others), held_out))
            shown.append(said)
    caption = caption or f"{_sentence('; '.join(shown))}."
    yield from _figure(label, step, lines, caption, _SHARE, x_to=newest)


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}"


def _figure(
    label: str,
    step: str,
    lines: Sequence[Series],
    said: str,
    y_range: tuple[float, float] | None = None,
    from_zero: bool = False,
    x_to: float = 0,
) -> Iterator[Markup]:
    """A figure, where there is anything to draw."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        return
    values = [y for line in drawn for _, y in line.points]
    if y_range and not all(y_range[0] <= y <= y_range[1] for y in values):
        y_range = None
    if from_zero:
        y_range = (0.0, max(values) * 1.1 or 1.0)
    yield plots.figure(said, plots.curves, drawn, step, label, y_range=y_range, x_to=x_to)


def _each(
    runs: Sequence[Curves], key: str, held_out: bool = False, alone: bool = False
) -> list[Series]:
    """A line for each run; of one run, held-out figures have another colour than training's."""
    lines = []
    for at, run in enumerate(runs):
        label = run.label or ("held-out" if held_out else "training")
        if run.label and held_out and not alone:
            label = ""  # beside the line of the same colour
        colour = 2 if held_out and not run.label else at + 1
        lines.append(Series(label, _points(run.rows, key), colour, held_out))
    return lines


def _points(rows: Sequence[MetricsRow], key: str) -> list[tuple[float, float]]:
    """Steps and values; of many, means of as many neighbours as needed."""
    found = [(float(row.at), float(row.figures[key])) for row in rows if key in row.figures]
    size = -(-len(found) // MOST_POINTS)
    if size < 2:
        return found
    parts = [found[at : at + size] for at in range(0, len(found), size)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]


def _trained(row: MetricsRow) -> bool:
    return "eval_reward" not in row.figures
