"""`srl-edge inspect`: what an artifact is, from its manifest."""

import json
from typing import Any

from srl_edge.artifact import load
from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    parser = Parser(
        "inspect", "What an artifact is, from its manifest, once its files' hashes were checked."
    )
    parser.add_path("an artifact's folder", "dir")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    manifest = load(chosen.dir).manifest
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    # Half of a character is printed as such.
    return Outcome(text.encode(errors="backslashreplace").decode(), manifest)
