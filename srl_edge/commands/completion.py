"""`srl-edge completion`: verbs, options, settings and files in bash, zsh and fish."""

import os
from argparse import ArgumentParser
from collections.abc import Collection, Sequence
from typing import Any

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import Parser, file_of
from srl_edge.errors import InputError

_INTO = {
    "bash": 'eval "$(srl-edge completion bash)"    in ~/.bashrc',
    "zsh": 'eval "$(srl-edge completion zsh)"    in ~/.zshrc, after compinit',
    "fish": "srl-edge completion fish | source    in ~/.config/fish/config.fish",
}


def parser() -> Parser:
    lines = "\n".join(f"  {line}" for line in _INTO.values())
    parser = Parser("completion", f"Print what a shell reads to complete srl-edge. Put\n{lines}")
    parser.add_argument("shell", choices=list(_INTO), metavar="SHELL", help="bash, zsh or fish")
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise InputError("completion needs argcomplete: pip install argcomplete.") from None
    return Outcome(shellcode(["srl-edge"], shell=chosen.shell).strip())


def complete(verbs: Collection[str]) -> None:
    """Answer a shell that asks what may come next, and end; see argcomplete."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(whole(verbs, words[1:3]), always_complete_options=False)


def whole(verbs: Collection[str], typed: Sequence[str] = ()) -> ArgumentParser:
    """One parser of all verbs, each with every setting that it takes.

    typed: the first words after the command. Of two-worded verbs (`data record`), the one that is
    typed stands in for the verb that it begins with.
    """
    root = ArgumentParser("srl-edge")
    root.add_argument("-V", "--version", action="store_true")
    of_root = root.add_subparsers()
    for verb in verbs:
        if " " in verb:
            continue
        if " ".join(typed) in verbs and typed[:1] == [verb] and typed[1:]:
            below = of_root.add_parser(verb).add_subparsers()
            below.add_parser(typed[1], parents=[file_of(" ".join(typed)).parser()], add_help=False)
            continue
        found = file_of(verb).parser()
        for key in _settings() if found.settings else ():
            found.add_argument(f"--{key}")
        of_root.add_parser(verb, parents=[found], add_help=False)
        _offer(found, [other.partition(" ")[2] for other in verbs if other.startswith(f"{verb} ")])
    return root


def _settings() -> list[str]:
    """The flags of all settings; of stages, those of the first two."""
    from srl_edge.recipe import Model, Recipe, Stage
    from srl_edge.recipe.errors import keys

    stages = (Stage(kind="sft", steps=1), Stage(kind="srl", steps=1))
    return keys(Recipe(output="x", model=Model(name="x"), stages=stages))


def _offer(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Let words be offered where a path may stand, beside the files."""
    from argcomplete.completers import FilesCompleter

    def words_and_files(prefix: str, **_: Any) -> list[str]:
        return [word for word in words if word.startswith(prefix)] + FilesCompleter()(prefix)

    if words:
        path: Any = next(action for action in parser._actions if not action.option_strings)
        path.completer = words_and_files
