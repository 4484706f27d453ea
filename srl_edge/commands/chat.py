"""`srl-edge chat`: ask an artifact in the terminal."""

import dataclasses
import os
import sys
from contextlib import nullcontext
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, amount, quiet_libraries
from srl_edge.commands.serve import add_model, require_within


def parser() -> Parser:
    parser = Parser(
        "chat",
        "Ask an artifact, or a model of anybody's, in the terminal; /help lists what it does\n"
        "besides. Of a pipe, each line is a question of its own, and its reply is printed.",
    )
    add_model(parser)
    parser.add_argument(
        "--max-new-tokens", type=int, default=512, help="most tokens of a reply (512)"
    )
    parser.add_argument(
        "--max-steps", type=int, default=8, help="most steps of a solution, after /solve (8)"
    )
    parser.add_argument(
        "--temperature",
        type=amount,
        default=0.0,
        help="how freely words are drawn; 0 is greedy (0)",
    )
    parser.add_argument(
        "--top-p", type=amount, default=1.0, help="draw from the likeliest words of this share (1)"
    )
    parser.add_argument("--seed", type=int, help="start of the random draws, to repeat them")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    require_within(parser(), chosen, threads=(0, 1024), context=(0, 1 << 24), max_steps=(1, 64))
    quiet_libraries()
    from srl_edge import processes
    from srl_edge.devices.serving.chat import Terminal, converse
    from srl_edge.devices.serving.model import Model, Sampling

    sampling = Sampling(chosen.max_new_tokens, chosen.temperature, chosen.top_p, chosen.seed)
    model = Model(chosen.artifact, chosen.threads, chosen.context)
    people = sys.stdin.isatty() and sys.stdout.isatty() and not chosen.json
    processes.take_interrupts()
    processes.leave_with("the chat has ended")
    with open(os.devnull, "w", encoding="utf-8") if chosen.json else nullcontext(sys.stdout) as out:
        terminal = Terminal(model, sampling, chosen.max_steps, people, out)
        converse(terminal, people)
    facts = {
        "replies": [
            {"question": line} | dataclasses.asdict(each) for line, each in terminal.replies
        ],
        "failed": [{"question": line, "error": why} for line, why in terminal.failed],
    }
    if people or not terminal.failed:
        return Outcome(facts=facts)
    fault = f"{len(terminal.failed)} of {terminal.asked} questions had no reply."
    return Outcome("", facts, 1, fault)
