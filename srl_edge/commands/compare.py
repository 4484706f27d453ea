"""`srl-edge compare`: what got worse between two folders of results."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, amount


def parser() -> Parser:
    from srl_edge.devices.bench.compare import SLOWER

    parser = Parser(
        "compare",
        "What changed between two folders of results of `bench` or `bench-tasks`; exit code 1\n"
        "where something got worse or is gone.",
    )
    parser.add_path("a folder with a results.json, or a run", "old")
    parser.add_path("the folder to compare with it", "new")
    parser.add_argument(
        "--slower",
        type=amount,
        default=SLOWER,
        metavar="SHARE",
        help="share of speed that may be lost, or of memory and size gained, before it counts "
        f"({SLOWER})",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.devices.bench.compare import compare, notes

    found, not_compared = compare(chosen.old, chosen.new, chosen.slower)
    worse = [change.text for change in found if change.worse]
    noted = [*not_compared, *notes(chosen.old, chosen.new)]
    text = "\n".join([*(change.text for change in found), *(f"Note: {said}" for said in noted)])
    changes = [change.values | {"worse": change.worse} for change in found]
    facts = {"changes": changes, "notes": noted}
    return Outcome(text, facts, int(bool(worse)), "worse: " + "; ".join(worse) if worse else "")
