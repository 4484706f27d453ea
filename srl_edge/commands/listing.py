"""Every verb in words, for docs/verbs.md: made of the parsers' actions, not of argparse's help.

How argparse wraps and spells help changes with the terminal and with Python.
"""

from argparse import SUPPRESS, Action
from collections.abc import Iterator
from typing import Any

from srl_edge.cli import VERBS
from srl_edge.commands.parser import Parser, amount, file_of

_OF_ALL = ("help", "json", "quiet")
_BEGINNING = """# Every verb

`srl-edge VERB --help` says the same in a terminal. Every verb takes `--help`; `--json`, which
prints what was found for programs (of a mistake too); and `-q` or `--quiet`, which leaves out
progress. Where a verb takes a recipe, any [setting](settings.md) may follow as
`--section.key value`, and `srl-edge VERB PATH --help` lists them with the values that the recipe
gives them. This page is made from the code by `python -m srl_edge.commands`.

| exit code | what it means |
| --- | --- |
| 0 | it worked |
| 1 | a stage failed, something is worse or gone (`compare`), or training does not fit (`fit`) |
| 2 | something that was given cannot be used; the message says what, where, and how to mend it |
| 3 | an artifact does not answer as the trained model does (`check`, `run`) |
| 4 | an artifact could not be measured by the gate (`check`, `run`) |
| 129, 130, 143 | ended by a closed terminal, by Ctrl-C, by `kill` |"""


def page() -> str:
    """All verbs as Markdown, with a table of the arguments of each."""
    parts = [_BEGINNING]
    for title, verbs in VERBS.items():
        parts.append(f"## {title}")
        for verb in verbs:
            parts += _verb(file_of(verb).parser())
    return "\n\n".join(parts) + "\n"


def _verb(parser: Parser) -> Iterator[str]:
    own = [action for action in parser._actions if action.dest not in _OF_ALL]
    yield f"### srl-edge {parser.verb}"
    said, _, example = (parser.description or "").partition("\n  ")
    yield " ".join(said.split())
    if example:
        yield "\n".join(f"    {line.strip()}" for line in example.splitlines())
    lines = (parser.usage or _usage(parser.prog, own, parser.settings)).splitlines()
    yield "\n".join(f"    {line.strip()}" for line in lines)
    if own:
        rows = ["| argument | takes | default | what it is |", "| --- | --- | --- | --- |"]
        for action in own:
            cells = (_named(action), _takes(action), _default(action), _help(action))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        yield "\n".join(rows)


def _usage(program: str, actions: list[Action], settings: bool) -> str:
    """The line above a verb's arguments, for those that have none of their own."""
    words = [program, *(_place(action) for action in actions if not action.option_strings)]
    needed = [action for action in actions if action.option_strings and action.required]
    words += [f"{action.option_strings[-1]} {_word(action)}" for action in needed]
    others = len(needed) < sum(bool(action.option_strings) for action in actions)
    return " ".join([*words, *(["[options]"] * others), *(["[--section.key value …]"] * settings)])


def _place(action: Action) -> str:
    name = _word(action)
    many = f"{name} …" if action.nargs in ("+", "*") else name
    return f"[{many}]" if action.nargs in ("?", "*") else many


def _word(action: Action) -> str:
    """What stands for an argument's value."""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    return action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())


def _named(action: Action) -> str:
    return ", ".join(f"`{name}`" for name in action.option_strings) or f"`{_word(action)}`"


def _takes(action: Action) -> str:
    """What an argument takes, in words: its choices, or of which kind it is and how many."""
    if action.nargs == 0:
        return "nothing"
    if action.choices:
        return "|".join(map(str, action.choices))
    numbers: dict[Any, str] = {int: "integer", float: "number", amount: "number"}
    kinds = numbers | {str: "text", None: "text"}
    kind = kinds.get(action.type, "path")
    counts: dict[Any, str] = {"+": "one or more", "*": "any number", "?": "may be left out"}
    many = f"{action.nargs} of them" if isinstance(action.nargs, int) else counts.get(action.nargs)
    return f"{kind}, {many}" if many else kind


def _default(action: Action) -> str:
    if action.required:
        return "needed"
    default = action.default
    if default is None or default is SUPPRESS or default is False or default in ("", ()):
        return ""
    return f"`{default}`"


def _help(action: Action) -> str:
    said = " ".join((action.help or "").replace("%%", "%").split())
    return said.removesuffix(f" ({action.default})")
