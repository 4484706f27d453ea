"""`srl-edge data`."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.commands.stages import run_stage, stage_parser


def parser() -> Parser:
    parser = stage_parser(
        "data",
        "Expert trajectories into step prompts, split into training, validation and test.\n"
        "`data generate` asks an endpoint for trajectories, `data record` writes down yours.",
    )
    parser.add_argument(
        "--show",
        type=int,
        nargs="?",
        const=3,
        metavar="N",
        help="print the first N prompts (3) with their tokens counted, and examples of the rows "
        "that were dropped",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    if chosen.show is None:
        return run_stage("data", chosen, flags)
    if chosen.show < 1:
        parser().error("--show: at least 1 is needed")
    from srl_edge.data import stage

    outcome = run_stage("data", chosen, flags)
    quiet_libraries()
    settings = recipe_of(chosen.path, flags)
    shown = stage.show(settings, settings.run, chosen.show)
    return Outcome(shown, outcome.facts and outcome.facts | {"shown": shown})
