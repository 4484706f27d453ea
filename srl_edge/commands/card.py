"""`srl-edge card`: model cards of a run's adapter and artifacts."""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, recipe_of


def parser() -> Parser:
    parser = Parser(
        "card",
        "Write a model card, README.md with a hub's metadata and a picture of the training, into\n"
        "the adapter's folder and into each artifact's. A README.md that you wrote stays.",
    )
    parser.add_path("a run folder", "run")
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help="the base model on the hub, OWNER/NAME, where the recipe names a folder",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.report.card import write
    from srl_edge.report.card_base import HUB_ID
    from srl_edge.run_lock import alone

    recipe = recipe_of(chosen.run, [])
    if chosen.base_model and not HUB_ID.fullmatch(chosen.base_model):
        parser().error(f"--base-model: {chosen.base_model!r} is no id like Qwen/Qwen3-0.6B")
    with alone(recipe.run):
        found = write(recipe, recipe.run, chosen.base_model)
    kept = [
        f"{file}: stays, as srl-edge did not write it, or it has changed since"
        for file in found["kept"]
    ]
    said = [str(file) for file in found["written"]]
    return Outcome(
        "\n".join([*said, *kept]), {k: list(map(str, files)) for k, files in found.items()}
    )
