"""`srl-edge data generate`: trajectories from an OpenAI-compatible endpoint."""

import os
from pathlib import Path
from typing import Any

from srl_edge import processes
from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, amount
from srl_edge.data.endpoint import Endpoint, key_for, require_url
from srl_edge.data.generate import generate, problems_of, require_apart
from srl_edge.terminal import progress


def parser() -> Parser:
    parser = Parser(
        "data generate",
        "Trajectories from an OpenAI-compatible endpoint, verified and without duplicates; what\n"
        "an interrupted call has is kept.",
    )
    parser.add_argument(
        "source", help="rows with problems and answers, as data.source; or agent-home, agent-shell"
    )
    parser.add_argument(
        "--url", required=True, help="the endpoint, such as http://localhost:8000/v1"
    )
    parser.add_argument("--model", required=True, help="the model, as the endpoint calls it")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="rows to write, a .jsonl file; one that is there is gone on with",
    )
    parser.add_argument(
        "--count", type=int, help="problems to ask for, from the first on (all; in worlds 100)"
    )
    parser.add_argument(
        "--samples", type=int, default=1, help="solutions to ask for, of each problem (1)"
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="requests that are open at a time (4)"
    )
    parser.add_argument(
        "--timeout", type=amount, default=120.0, help="seconds that a whole reply may take (120)"
    )
    parser.add_argument(
        "--temperature",
        type=amount,
        default=0.7,
        help="how freely words are drawn; 0 is greedy (0.7)",
    )
    parser.add_argument(
        "--max-tokens", type=int, default=2048, help="most tokens of a reply (2048)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="start of the random draws of tasks in worlds (0)"
    )
    parser.add_argument(
        "--key",
        metavar="NAME",
        help="variable that holds the endpoint's key, which it is then sent wherever it is "
        "(OPENAI_API_KEY, over https or to this computer)",
    )
    parser.add_argument(
        "--price",
        type=amount,
        nargs=2,
        metavar=("IN", "OUT"),
        help="prices of a million tokens read and of a million written, to say what it cost",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    for name in ("count", "samples", "workers", "max_tokens"):
        if (value := getattr(chosen, name)) is not None and value < 1:
            parser().error(f"--{name.replace('_', '-')}: at least 1 is needed")
    if not 0 < chosen.timeout < 1e5 or not 0 <= chosen.temperature <= 2:
        parser().error("--timeout: seconds above 0; --temperature: from 0 to 2")
    if chosen.price and not all(0 <= price < 1e9 for price in chosen.price):
        parser().error("--price: two amounts from 0 on")
    require_url(chosen.url)
    require_apart(chosen.source, chosen.out)
    processes.leave_with(processes.GOES_ON)
    endpoint = Endpoint(
        chosen.url,
        chosen.model,
        key_for(chosen.url, chosen.key, os.environ),
        chosen.timeout,
        chosen.temperature,
        chosen.max_tokens,
    )
    problems = problems_of(chosen.source, chosen.count, chosen.seed)
    counts = generate(problems, endpoint, chosen.out, chosen.samples, chosen.workers)
    failed = ", ".join(f"{count} for {why}" for why, count in counts.failed.most_common())
    cost = ""
    if chosen.price:
        dollars = sum(
            p * n for p, n in zip(chosen.price, (counts.read, counts.written), strict=True)
        )
        cost = f", which cost {dollars / 1e6:.4f}"
    progress.say(
        f"data: {counts.kept} trajectories kept; {counts.failed.total()} not"
        f"{f' ({failed})' if failed else ''}; {counts.read} tokens read, {counts.written} written"
        f"{cost}."
    )
    return written(
        chosen.out,
        kept=counts.kept,
        failed=dict(counts.failed),
        tokens_read=counts.read,
        tokens_written=counts.written,
    )
