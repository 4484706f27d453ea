"""`srl-edge export`: of a run, or of any model."""

from typing import Any

from srl_edge.commands import without_run
from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries
from srl_edge.commands.stages import run_stage
from srl_edge.method.prompt_form import PRESETS


def parser() -> Parser:
    parser = Parser(
        "export",
        "Of a run: the adapter that it trained, merged, as the recipe's artifacts.\n"
        "Without a run: any model, with an adapter of any tool merged, or as it is.",
        "srl-edge export PATH [--section.key value ...] [--via optimum]\n"
        "       srl-edge export --model M [--adapter A] --out DIR [options]",
        settings=True,
    )
    parser.add_path(nargs="?")
    parser.add_no_code()
    parser.add_argument(
        "--via", choices=("optimum",), help="use Hugging Face's exporter, Optimum, in place of ours"
    )
    group = without_run.add_model(parser)
    group.add_argument(
        "--artifacts",
        nargs="+",
        metavar="NAME",
        help="what to write, such as onnx-int4 (what recipes write)",
    )
    group.add_argument(
        "--context-length",
        type=int,
        metavar="N",
        help="tokens of prompt and reply that the artifact has room for (1024)",
    )
    group.add_argument(
        "--int8-layers",
        nargs="+",
        metavar="PATTERN",
        help="linear layers that 4-bit artifacts keep in 8 bits",
    )
    group.add_argument(
        "--prompt-preset",
        choices=list(PRESETS),
        help="math (the default): one reply, in the model's own way; the others: step by step, "
        "as srl-edge trains",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    mine = parser()
    if chosen.model is None:
        if chosen.path is None:
            mine.error("a recipe or a run folder is needed, or --model and --out")
        more = ("artifacts", "context_length", "int8_layers", "prompt_preset")
        without_run.require_no_model(mine, chosen, *more)
        if chosen.via:
            flags = ["--export.artifacts", "optimum-fp32", *flags]
        return run_stage("export", chosen, flags)
    if flags or chosen.path:
        mine.error(f"{(flags or [chosen.path])[0]} is not taken beside --model")
    if chosen.out is None:
        mine.error("--out is needed with --model: the folder that gets one for each artifact")
    quiet_libraries()
    without_run.require_adapter(chosen)
    return written(without_run.export(chosen))
