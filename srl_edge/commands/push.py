"""`srl-edge push`: an adapter or artifacts to a repository on a hub, when asked to."""

import sys
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, quiet_libraries, recipe_of
from srl_edge.errors import InputError
from srl_edge.terminal.signs import printable


def parser() -> Parser:
    parser = Parser(
        "push",
        "Upload a run's adapter, or artifacts of it, with their cards to a repository of the\n"
        "Hugging Face hub. What would go is listed first, and nothing goes without a yes.",
    )
    parser.add_path("a run folder", "run")
    parser.add_argument(
        "--repo",
        required=True,
        metavar="OWNER/NAME",
        help="the repository on the hub; it is made where it is not there",
    )
    parser.add_argument(
        "--artifact",
        nargs="+",
        default=[],
        metavar="NAME",
        help="artifacts to push in place of the adapter, such as onnx-int4; several get a folder "
        "each",
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--dry-run", action="store_true", help="list what would go, and end")
    parser.add_argument("--yes", action="store_true", help="do not ask again")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    from srl_edge import __version__
    from srl_edge.report import hub
    from srl_edge.report.card_base import HUB_ID
    from srl_edge.run_lock import alone

    if not HUB_ID.fullmatch(chosen.repo):
        parser().error(f"--repo: {chosen.repo!r} is no name like your-name/your-model")
    quiet_libraries()
    recipe = recipe_of(chosen.run, [])
    plan = hub.plan(recipe, recipe.run, chosen.artifact)
    listed = _listed(chosen.repo, chosen.private, plan)
    facts = {
        "repo": chosen.repo,
        "private": chosen.private,
        "notes": plan.notes,
        "bytes": plan.bytes,
        "files": [{"path": u.path, "bytes": u.bytes, "sha256": u.sha256} for u in plan.uploads],
    }
    if chosen.dry_run:
        return Outcome(listed, facts | {"uploaded": False})
    there = hub.look(chosen.repo)
    if chosen.private and there.there and not there.private:
        raise InputError(
            f"--private: {chosen.repo} is there already, and public; name another, or make it "
            "private on the hub first."
        )
    replaced = [u.path for u in plan.uploads if u.path in there.files]
    state = "it is there already" if there.there else "it will be made"
    state += f", and {', '.join(replaced)} of it will be replaced" if replaced else ""
    print(printable(f"{listed}\n{chosen.repo}: {state}."), file=sys.stderr)
    with alone(recipe.run):  # what was listed stays as it is until it is there
        if not chosen.yes and not _agreed():
            return Outcome("Nothing was uploaded.", facts | {"uploaded": False})
        message = f"{', '.join(chosen.artifact) or 'adapter'}, by srl-edge {__version__}"
        url = hub.push(chosen.repo, plan, chosen.private, message)
    return Outcome(url, facts | {"uploaded": True, "url": url})


def _listed(repo: str, private: bool, plan: Any) -> str:
    """What would go where, a line a file."""
    seen = "private" if private else "public, if it is not there yet"
    lines = [f"{u.bytes:>13,}  {u.sha256}  {u.path}" for u in plan.uploads]
    total = f"{plan.bytes:>13,}  bytes in {len(plan.uploads)} files, to {repo} ({seen})"
    return "\n".join([*lines, total, *(f"Note: {said}" for said in plan.notes)])


def _agreed() -> bool:
    """Whether a person at a terminal says yes; raises InputError where there is none."""
    if not sys.stdin.isatty():
        raise InputError("push: nobody is here to say yes; give --yes, or --dry-run to look.")
    print("Upload this? [yes/no] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"
