"""`srl-edge watch`: a run, or two, in the browser while training goes on."""

import webbrowser
from pathlib import Path
from typing import Any

from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    parser = Parser(
        "watch",
        "A page that follows training: reward, loss, validations, alarms, and rollouts beside the\n"
        "expert's steps. Of two runs, their curves over each other, the settings that differ, and\n"
        "results side by side. It only reads, and only a browser of this computer is answered.",
    )
    parser.add_path("a run folder, or a recipe whose run is still to begin", "run")
    parser.add_path("a second run, to compare", "other", nargs="?")
    parser.add_argument(
        "--port",
        type=int,
        default=8090,
        metavar="N",
        help="port to listen on; 0 takes any free one (8090)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="of two runs: write both as one HTML file that needs nothing else, and end",
    )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import processes
    from srl_edge.terminal import progress
    from srl_edge.watch import server
    from srl_edge.watch.run import Run, as_json

    if chosen.out and not chosen.other:
        parser().error("--out goes with two runs; `srl-edge report RUN` writes the page of one")
    runs = [Run(path) for path in (chosen.run, chosen.other) if path]
    if chosen.out:
        from srl_edge.watch.handout import write

        return written(write(runs, chosen.out))
    if chosen.json:
        found = [as_json(run, run.follow_to_end()) for run in runs]
        return Outcome(facts=found if chosen.other else found[0])
    server.require()
    with server.bound(chosen.port) as listening:
        url = f"http://{server.HOST}:{listening.getsockname()[1]}/"
        print(url, flush=True)
        processes.leave_with("no longer served; training is not touched")
        progress.say("watch: open this page in a browser of this computer; Ctrl-C ends it.")
        if chosen.open:
            webbrowser.open(url)
        server.serve(runs, listening)
    return Outcome()
