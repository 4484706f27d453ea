"""`srl-edge convert-adapter`: a LoRA adapter in the form that a runtime reads."""

from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, quiet_libraries


def parser() -> Parser:
    parser = Parser(
        "convert-adapter",
        "A PEFT folder as .onnx_adapter or .ptd, for a base artifact that was exported with\n"
        "--export.adapter separate, or as a folder for mlx-lm; mlx-lm's as PEFT's.",
    )
    parser.add_path("folder of PEFT or mlx-lm", "adapter")
    parser.add_path(
        "to write: NAME.onnx_adapter, NAME.ptd, or a folder (mlx-lm's; PEFT's from mlx-lm's)",
        "file",
    )
    parser.add_argument(
        "--artifact", type=Path, metavar="DIR", help="the artifact that will read it (for .ptd)"
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    quiet_libraries()
    from srl_edge.exporters.adapters import convert

    return written(convert(chosen.adapter, chosen.file, chosen.artifact))
