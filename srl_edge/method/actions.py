"""Actions of agents, compared as the world would take them: commands of a shell, function calls.

A form's `action` says how its steps are read: `text`, `command` or `call`. An expert's step that
cannot be read so is a text, and so is what is compared with it.
"""

import contextlib
import difflib
import json
import re
from collections import Counter
from typing import Any, Literal

from srl_edge.method import calls
from srl_edge.method.shell_words import commands

Kind = Literal["text", "command", "call"]
_EDITS = (("old_str", "new_str"), ("old_string", "new_string"), ("search", "replace"))
_EMPTY = "an action that says nothing"


def fault(action: str, kind: Kind) -> str:
    """What keeps an action from being read at all; '' where nothing does."""
    try:
        found = _parts(action, kind)
    except ValueError as error:
        return f"an action that cannot be read ({error})"
    return "" if found else _EMPTY


def kind_of(expert: str, kind: Kind) -> Kind:
    """How an expert's step is read: as a form says, or as a text where it is none of that kind."""
    return "text" if kind != "text" and fault(expert, kind) else kind


def same(action: str, expert: str, kind: Kind) -> bool:
    """Whether two actions are one to the world: spaces, quotes and JSON's order do not count."""
    kind = kind_of(expert, kind)
    if kind != "text" and calls.parsed(expert) is not None:
        return calls.same(action, expert)
    try:
        return _parts(action, kind) == _parts(expert, kind)
    except ValueError:
        return False


def agreement(action: str, expert: str, kind: Kind) -> float:
    """How far a call is the expert's, in [0, 1]: 0 for another name, else half and half its F1.

    The F1 is of arguments, by name and value, as multisets; 1 where neither has any. Of a text of
    several lines each counts, and of an edit, which has an old text and a new one, those that
    differ. Of several calls those in the same places are compared, with what joins them as an
    argument. What is no call is read as a command, and what is none either has no arguments.
    """
    kind = kind_of(expert, kind)
    try:
        mine, theirs = _parts(action, kind), _parts(expert, kind)
    except ValueError:
        return 0.0
    pairs = zip(mine, theirs, strict=False)
    return sum(_agreement(*pair) for pair in pairs) / max(len(mine), len(theirs), 1)


_Part = tuple[str, tuple[str, ...]]  # a name, and arguments as texts


def _agreement(mine: _Part, theirs: _Part) -> float:
    if mine[0] != theirs[0]:
        return 0.0
    given, wanted = Counter(mine[1]), Counter(theirs[1])
    total = given.total() + wanted.total()
    return 0.5 + 0.5 * (2 * (given & wanted).total() / total if total else 1.0)


def _parts(action: str, kind: Kind) -> list[_Part]:
    """What an action does, one after another; raises ValueError for what cannot be read."""
    try:
        return _read(action, kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read(action: str, kind: Kind) -> list[_Part]:
    # No shell takes what is written as calls are.
    if kind != "text" and (found := calls.parsed(action)) is not None:
        return [(name, _arguments(given, named)) for name, given, named in found]
    if kind == "command":
        return commands(action)
    if kind == "call" and calls.begun(action):
        raise ValueError("no call in JSON")
    if changed := _changed(action):
        return [("diff", changed)]
    if kind == "call":
        with contextlib.suppress(ValueError):
            if run := commands(action):
                return run
    return [(" ".join(action.split()), ())] if action.strip() else []


def _changed(action: str) -> tuple[str, ...]:
    """The lines that a patch adds and removes; () for a text that is none."""
    if not re.match(r"(?:diff --git|---) ", action):
        return ()
    return tuple(
        line
        for line in action.split("\n")
        if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- "))
    )


def _arguments(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[str, ...]:
    texts = [_shown(value) for value in given]
    edited: list[str] = []
    for old, new in _EDITS:
        if isinstance(named.get(old), str) and isinstance(named.get(new), str):
            before, after = (named[name].splitlines() for name in (old, new))
            for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after).get_opcodes():
                if tag != "equal":
                    edited += [*(f"- {each}" for each in before[a:b])]
                    edited += [*(f"+ {each}" for each in after[c:d])]
            named = {name: value for name, value in named.items() if name not in (old, new)}
    for name, value in named.items():
        lines = value.splitlines() if isinstance(value, str) else []
        texts += [f"{name}={_shown(each)}" for each in (lines if len(lines) > 1 else [value])]
    return (*edited, *sorted(texts))


def _shown(value: Any) -> str:
    """A value as one text: 1 is 1.0 and not true, and keys have no order."""
    return json.dumps(_by_value(value), sort_keys=True, default=str)


def _by_value(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list() | tuple():
            return [_by_value(each) for each in value]
        case dict():
            return {name: _by_value(each) for name, each in value.items()}
    return value
