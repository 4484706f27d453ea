"""`srl-edge headroom`: is training worth it, and which pipeline?"""

from dataclasses import asdict
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of


def parser() -> Parser:
    parser = Parser(
        "headroom",
        "What the model does of the task before it is trained, which pipeline to try, and how\n"
        "long training will take here.",
        settings=True,
    )
    parser.add_path()
    parser.add_argument(
        "--problems",
        type=int,
        default=64,
        metavar="N",
        help="problems of the training split to answer (64)",
    )
    parser.add_argument("--k", type=int, default=8, help="replies to each problem (8)")
    parser.add_no_code()
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import line
    from srl_edge.method.headroom import advice, in_words

    if chosen.problems < 1:
        parser().error("--problems: at least 1 is needed")
    if chosen.k < 2:
        parser().error("--k: at least 2 replies are needed, to tell sometimes from always")
    quiet_libraries()
    settings = recipe_of(chosen.path, flags, chosen.no_code)
    found, file = line.headroom(settings, chosen.problems, chosen.k)
    advised = list(advice(found, [stage.kind for stage in settings.stages]))
    text = "\n".join([*in_words(found), *(f"- {sentence}" for sentence in advised), str(file)])
    return Outcome(text, asdict(found) | {"advice": advised, "path": str(file)})
