"""How the verbs' arguments are read: one way of help, of mistakes and of the options of all."""

import difflib
import math
import os
import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, HelpFormatter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from srl_edge.errors import InputError
from srl_edge.terminal.libraries import quiet_libraries
from srl_edge.terminal.progress import QUIET

if TYPE_CHECKING:
    from srl_edge.recipe import Recipe

__all__ = ["PATH", "Parser", "amount", "file_of", "quiet_libraries", "recipe_of"]
PATH = "a recipe or a run folder"
SETTINGS = (
    "Any setting of a recipe can follow, as --section.key value; `srl-edge {} PATH --help` "
    "lists them with their values."
)


def amount(text: str) -> float:
    """A number that can be measured with: finite, and not below 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"a number of 0 or more is needed, not {text!r}")
    return value


class Parser(ArgumentParser):
    """The arguments of one verb. What is wrong with them raises InputError in one sentence.

    settings: whether a recipe's settings may follow, as `--section.key value`.
    """

    def __init__(self, verb: str, said: str, usage: str | None = None, settings: bool = False):
        super().__init__(
            f"srl-edge {verb}",
            usage,
            said,
            SETTINGS.format(verb) if settings else None,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        self.verb, self.settings = verb, settings
        self.add_argument("--json", action="store_true", help="print what was found as JSON")
        self.add_argument(
            "-q", "--quiet", action="store_true", help="no progress; mistakes are still said"
        )

    def add_no_code(self) -> None:
        """Take the flag that refuses what somebody else's run could do here."""
        self.add_argument(
            "--no-code",
            action="store_true",
            help="refuse code of the recipe, and agents' commands where bubblewrap is missing",
        )

    def add_path(self, what: str = PATH, name: str = "path", **more: Any) -> None:
        """An argument that comes before the options: a path, and what it is of."""
        self.add_argument(name, type=Path, metavar=name.upper(), help=what, **more)

    def read(self, arguments: Sequence[str]) -> tuple[Any, list[str]]:
        """What was chosen, and the settings of a recipe that are left."""
        chosen, rest = self.parse_known_args(arguments)
        if rest and not self.settings:
            known = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(rest[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else self._help
            raise InputError(f"{self.verb}: {rest[0]!r} is not taken here; {hint}")
        if chosen.quiet:
            os.environ[QUIET] = "1"  # processes that this one starts are quiet, too
        return chosen, rest

    def error(self, message: str) -> NoReturn:
        """Raise InputError with what argparse says, or what the code here says of an option."""
        if missing := re.fullmatch(r"the following arguments are required: (.*)", message):
            needs = [self._named(name) for name in missing[1].split(", ")]
            raise InputError(f"{self.verb} needs {' and '.join(needs)}; {self._help}")
        raise InputError(f"{self.verb}: {message.removeprefix('argument ').rstrip('.')}.")

    @property
    def _help(self) -> str:
        return f"`srl-edge {self.verb} --help` says what it takes."

    def _named(self, name: str) -> str:
        for action in self._actions:
            if name in (action.metavar, action.dest, "/".join(action.option_strings)):
                said = action.help if action.help and action.help != SUPPRESS else ""
                return f"{name} ({said})" if said else name
        return name


class _Help(HelpFormatter):
    """Words in lines as wide as the terminal; a line that begins with a space stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = [""]
        for line in text.splitlines():
            if line.startswith(" ") or parts[-1].startswith(" "):
                parts.append(line)
            else:
                parts[-1] = f"{parts[-1]} {line}".strip()
        return "\n".join(
            part if part.startswith(" ") else super(_Help, self)._fill_text(part, width, indent)
            for part in parts
        )


def file_of(verb: str) -> Any:
    """The file of a verb: its `parser()`, and `run(chosen, settings)`."""
    return import_module(f"srl_edge.commands.{verb.replace(' ', '_').replace('-', '_')}")


def recipe_of(path: Path, flags: Sequence[str], no_code: bool = False) -> "Recipe":
    """The recipe of a path with settings of the command line in place of its own.

    no_code: refuse one that brings code, or whose agents' commands nothing confines here.
    """
    from srl_edge import recipe

    settings = recipe.load(path, list(flags))
    if settings.code and no_code:
        raise InputError(f"{path}: training runs {' and '.join(settings.code)}; --no-code refuses.")
    if no_code:
        from srl_edge.data import run_worlds

        run_worlds.require_confined(settings)
    return settings
