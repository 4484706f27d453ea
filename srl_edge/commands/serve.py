"""`srl-edge serve`: an OpenAI-compatible server of an artifact, with a page."""

import json
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries


def parser() -> Parser:
    parser = Parser(
        "serve",
        "Let people and programs ask an artifact, or a model of anybody's: a page, and an API as\n"
        "OpenAI's chat completions. It runs by its own runtime, on this computer.",
    )
    add_model(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (127.0.0.1, which this computer alone reaches)",
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="port to listen on; 0 takes any free one (8080)"
    )
    parser.add_argument(
        "--queue", type=int, default=8, help="requests that may wait while one is answered (8)"
    )
    return parser


def add_model(parser: Parser) -> None:
    """What is asked, and how it is run."""
    parser.add_argument(
        "artifact",
        metavar="ARTIFACT",
        help="an artifact's folder, a model's folder or known name, a .gguf, a .pte with its "
        "tokenizer beside it, a folder of MLX or onnxruntime-genai",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads to use (the runtime's choice)"
    )
    parser.add_argument(
        "--context",
        type=int,
        default=0,
        metavar="TOKENS",
        help="tokens of prompt and reply together (the artifact's own limit)",
    )


def require_within(parser: Parser, chosen: Any, **bounds: tuple[int, int]) -> None:
    """Raise InputError for an option outside its bounds."""
    for name, (least, most) in bounds.items():
        if not least <= getattr(chosen, name) <= most:
            parser.error(f"--{name.replace('_', '-')}: from {least} to {most}")


def run(chosen: Any, flags: list[str]) -> Outcome:
    require_within(
        parser(),
        chosen,
        port=(0, 65535),
        threads=(0, 1024),
        queue=(0, 10_000),
        context=(0, 1 << 24),
    )
    quiet_libraries()
    from srl_edge import processes
    from srl_edge.devices.serving import running
    from srl_edge.devices.serving.guard import is_loopback
    from srl_edge.devices.serving.worker import Worker
    from srl_edge.terminal import progress

    with running.listening(chosen.host, chosen.port) as bound:
        worker = Worker(chosen.artifact, chosen.threads, chosen.context, chosen.queue)
        model, url = worker.model, running.url_of(chosen.host, bound)
        if chosen.json:
            print(json.dumps({"url": url, "model": model.name}), flush=True)
        if chosen.quiet and not chosen.json:
            print(url, flush=True)
        progress.say(
            f"serve: {model.name}, with {model.context_length} tokens of context, at {url} for "
            f"people and {url}/v1 for OpenAI's clients; Ctrl-C ends it."
        )
        if not is_loopback(chosen.host):
            progress.say("serve: whoever reaches this computer can ask it; there is no password.")
        processes.leave_with("the server has stopped")
        running.serve(worker, chosen.host, bound)
    return Outcome()
