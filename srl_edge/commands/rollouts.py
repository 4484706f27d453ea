"""`srl-edge rollouts`: replies of a training step beside the expert's."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    parser = Parser(
        "rollouts",
        "Replies of a training step beside the expert's: what matches is green, what does not is\n"
        "red, and each has its reward in parts.",
    )
    parser.add_path("a run folder", "run")
    parser.add_argument("--step", type=int, metavar="N", help="training step (the newest)")
    pick = parser.add_mutually_exclusive_group()
    for name in ("best", "worst"):
        text = f"only the {name} rollout of each group, sorted"
        pick.add_argument(f"--{name}", dest="pick", action="store_const", const=name, help=text)
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="most groups to show (5)")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.terminal.rollouts import picked, show

    if chosen.limit < 1:
        parser().error("--limit: at least 1 is needed")
    if chosen.json:
        return Outcome(facts=picked(chosen.run, chosen.step, chosen.pick, chosen.limit))
    show(chosen.run, chosen.step, chosen.pick, chosen.limit)
    return Outcome()
