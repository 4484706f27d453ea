"""`srl-edge check`: the gate, of a run or of any artifacts."""

from typing import Any

from srl_edge.commands import without_run
from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries
from srl_edge.commands.stages import run_stage


def parser() -> Parser:
    parser = Parser(
        "check",
        "Does each artifact answer as the model that it was made of? Of a run, or of a model and\n"
        "adapter that you name. Exit code 3 where one does not, 4 where one could not be measured.",
        "srl-edge check PATH [--section.key value ...]\n"
        "       srl-edge check ARTIFACT [ARTIFACT ...] --model M [--adapter A] [options]",
        settings=True,
    )
    parser.add_path("a recipe, a run folder, or artifacts' folders", nargs="+")
    parser.add_no_code()
    without_run.add_model(parser)
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    mine = parser()
    if chosen.model is None:
        if (chosen.path[0] / "manifest.json").is_file():
            mine.error(f"{chosen.path[0]} is an artifact; name what it was made of with --model")
        if len(chosen.path) > 1:
            mine.error(f"{chosen.path[1]}: one recipe or run folder is taken")
        without_run.require_no_model(mine, chosen)
        chosen.path = chosen.path[0]
        return run_stage("check", chosen, flags)
    if flags:
        mine.error(f"{flags[0]} is not taken beside --model")
    quiet_libraries()
    without_run.require_adapter(chosen)
    return Outcome("", without_run.check(chosen))
