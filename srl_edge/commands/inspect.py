"""`srl-edge inspect`: what an artifact is, from its manifest."""

from typing import Any

from srl_edge.artifact import Artifact, load
from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser


def parser() -> Parser:
    parser = Parser(
        "inspect",
        "What an artifact is, from its manifest, once its files' hashes were checked; --json\n"
        "prints the manifest.",
    )
    parser.add_path("an artifact's folder", "dir")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    artifact = load(chosen.dir)
    text = "\n".join(f"{name:<11}{value}" for name, value in in_words(artifact).items() if value)
    # Half of a character is printed as such.
    return Outcome(text.encode(errors="backslashreplace").decode(), artifact.manifest)


def in_words(artifact: Artifact) -> dict[str, str]:
    """What people ask of an artifact, by name; '' for what its manifest does not tell."""
    its = artifact.manifest
    base, prompt = its.get("base") or {}, its.get("prompt") or {}
    rank = f", rank {its['adapter_rank']}" if its.get("adapter_rank") else ""
    adapter = f"{its['adapter']}{rank}" if its.get("adapter") else "none: the plain model"
    one = "one step of a solution or one action a reply"
    ways = {"step": one, "whole": "the whole solution in one reply"}
    tools = its.get("tools") or {}
    return {
        "artifact": f"{artifact.name}, {artifact.bytes / 1e6:.0f} MB in {len(its['files'])} files, "
        "each as it was exported",
        "model": f"{base.get('name', 'not told')} ({its.get('family', 'family not told')})",
        "adapter": adapter,
        "context": f"{its['context_length']} tokens" if its.get("context_length") else "",
        "asked for": ways.get(prompt.get("reply", ""), ""),
        "stops at": " ".join(map(str, its.get("stop_token_ids") or [])),
        "licence": str(its.get("licence") or ""),
        "made with": ", ".join(f"{name} {version}" for name, version in tools.items()),
        "support": str(its.get("support") or ""),
    }
