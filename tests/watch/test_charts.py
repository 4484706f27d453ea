"""Curves: which there are, how many points they have, and labels that can be read."""

import re
from itertools import pairwise
from typing import Any

from srl_edge.report.training_rows import placed
from srl_edge.watch.charts import MOST_POINTS, Curves, sections
from tests.helpers.watching import trained, validated

SFT = [validated(0, 0, "sft"), *(trained(n, 0, "sft") for n in (1, 2))]
SRL = [validated(0), *(trained(n, reward=n / 10) for n in range(1, 6))]


def curves_of(label: str, rows: list[dict[str, Any]]) -> Curves:
    return Curves(label, placed(rows))


def names(curves: list[Curves]) -> dict[str, list[str]]:
    """What the wide plots of each section are of."""
    pattern = r'<div class="wide"><svg [^>]*aria-label="([^"]+) by'
    return {s.title: re.findall(pattern, "".join(s.figures)) for s in sections(curves)}


def test_each_kind_of_stage_has_what_is_known_of_it_the_newest_first() -> None:
    assert sections([curves_of("", [])]) == [] and sections([curves_of("", SFT[:1])]) == []
    found = names([curves_of("", [*SFT, *SRL])])
    assert list(found) == ["SRL", "Supervised training"]
    assert found["SRL"] == [
        "reward",
        "parts of the reward",
        "keep-rate",
        "loss",
        "held-out",
        "tokens/s",
        "tokens",
    ]
    assert found["Supervised training"] == ["loss", "held-out"]
    with_alarms = [*SRL, trained(6, **{"alarms/copied_step": 0.5, "alarms/wrong_numbers": 0.0})]
    assert names([curves_of("", with_alarms)])["SRL"][-1] == "signs of hacking"


def test_a_part_that_only_one_of_two_runs_has_is_drawn_for_that_one() -> None:
    other = [*SRL, trained(6, **{"rewards/call/mean": 0.5})]
    figures = "".join(sections([curves_of("old", SRL), curves_of("new", other)])[0].figures)
    (call,) = re.findall(r'aria-label="parts of the reward: call by.*?</svg>', figures, re.S)[:1]
    assert ">new<" in call and ">old<" not in call


def test_a_long_training_has_no_more_points_than_can_be_seen() -> None:
    rows = [trained(n, reward=float(n % 2)) for n in range(1, 4001)]
    loss = sections([curves_of("", rows)])[0].figures[0]
    assert MOST_POINTS / 2 < loss.count('<circle class="point"') / 2 <= MOST_POINTS
    # Means of neighbours, of which half are 0 and half are 1; not some of the points.
    values = re.findall(r"step [\d.]+: ([\d.]+)</title>", loss)
    assert {*values} == {"0.481", "0.5", "0.519"}


def test_held_out_figures_reach_to_the_newest_step() -> None:
    rows = [validated(0), *(trained(n) for n in range(1, 41))]
    figures = sections([curves_of("", rows)])[0].figures
    (held_out,) = [f for f in figures if 'aria-label="held-out by' in f]
    assert ">40</text>" in held_out


def test_labels_of_lines_that_end_together_stay_apart() -> None:
    parts = {f"rewards/{name}/mean": 1.0 for name in ("numbers", "call", "similarity", "answer")}
    figure = sections([curves_of("", [trained(1, **parts), trained(2, **parts)])])[0].figures[1]
    wide = figure.split('<div class="narrow">')[0]
    heights = sorted(float(y) for y in re.findall(r'y="([\d.-]+)" class="label', wide))
    assert len(heights) == 5
    assert all(below - above >= 15.9 for above, below in pairwise(heights))


def test_a_name_of_a_part_is_escaped() -> None:
    row = trained(1, **{"rewards/<b>x</b>/mean": 0.5})
    assert "<b>" not in "".join(sections([curves_of("", [row])])[0].figures)
