"""`srl-edge fit`: does training fit into memory?"""

from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of


def parser() -> Parser:
    parser = Parser(
        "fit",
        "Peak memory of training by term, before anything is loaded, and what to change where it\n"
        "is too much; exit code 1 where it is.",
        settings=True,
    )
    parser.add_path()
    parser.add_argument("--memory", help="memory to fit into, such as 8GB (what this machine has)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="where it would train (the recipe's device)"
    )
    parser.add_argument(
        "--prompt-tokens",
        type=int,
        metavar="N",
        help="tokens of the longest prompt (measured in the run's data)",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge.line import require_routes
    from srl_edge.models.catalog import config_of
    from srl_edge.models.shape import from_config
    from srl_edge.trainers.memory import fit

    if chosen.prompt_tokens is not None and chosen.prompt_tokens < 1:
        parser().error("--prompt-tokens: at least 1 is needed")
    quiet_libraries()
    memory = fit.read_memory(chosen.memory) if chosen.memory else None
    settings = recipe_of(chosen.path, flags)
    name = settings.model.name
    require_routes(settings)
    shape = from_config(config_of(name), name)
    device = chosen.device or fit.device_of(settings.trainer)
    memory = fit.memory_here(device) if memory is None else memory
    size = fit.weight_bytes(settings.trainer.dtype, device)
    found = fit.fit(settings, shape, memory, device, size, chosen.prompt_tokens)
    facts = {
        "peak_bytes": found.peak,
        "memory_bytes": found.memory,
        "fits": found.changes == {},
        "changes": found.changes,
    }
    if not chosen.json:
        fit.show(found, settings, " ".join(["srl-edge run", str(chosen.path), *flags]))
    fault = ""
    if found.changes is None:
        fault = (
            f"{chosen.path}: does not fit in {memory / 1e9:g} GB, whatever is halved; a smaller "
            "model may."
        )
    return Outcome("", facts, 0 if found.changes == {} else 1, fault)
