"""Somebody acts in a world, and what they do becomes a row: a request, its actions, the goal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from srl_edge.data.agents.worlds import enter, recorded
from srl_edge.data.values import Unusable, is_text
from srl_edge.errors import InputError
from srl_edge.files import read_text
from srl_edge.method.prompt_form import DONE

HOW = (
    "Say a request, then the commands that fulfil it, one a line, and done. "
    "An empty request ends it."
)


def record(world: Path, out: Path, typed: TextIO, shown: TextIO) -> int:
    """Add a row to `out` for each request that is typed; how many there were.

    A home stays as a request left it; the next one begins there. Raises InputError for a world of
    no known form.
    """
    try:
        found: Any = json.loads(read_text(world))
        record_ = dict(found) if isinstance(found, Mapping) else {}
        if not is_text(json.dumps(record_, ensure_ascii=False)):
            raise Unusable("half of a character (a lone surrogate)")
        with enter(record_):
            pass
    except (ValueError, RecursionError) as error:
        raise InputError(f"{world}: not JSON: {error}.") from None
    except Unusable as why:
        raise InputError(f"{world}: {why}.") from None
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{out}: no file can be written there.")
    print(HOW, file=shown)
    count = 0
    while request := _asked("request", typed, shown):
        row = _acted(request, record_, typed, shown)
        if row is None:
            continue
        try:
            _, reached = recorded(record_, row["steps"])
        except Unusable as why:
            print(f"Not recorded: {why}.", file=shown)
            continue
        with out.open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
        if "state" in record_:
            record_ |= {"state": reached["goal"]}
    return count


def _acted(
    request: str, record_: Mapping[str, Any], typed: TextIO, shown: TextIO
) -> dict[str, Any] | None:
    """The row of a request; None where what was typed ended before it was done."""
    steps: list[str] = []
    with enter(record_) as world:
        while (action := _asked("", typed, shown)) != DONE:
            if not action:
                print("Not recorded: a request ends with done.", file=shown)
                return None
            print(world.act(action), file=shown)
            if not world.failed:  # what came to nothing is not to be learned
                steps.append(action)
    return {"problem": request, "world": dict(record_), "steps": [*steps, DONE]}


def _asked(what: str, typed: TextIO, shown: TextIO) -> str:
    print(f"{what}> ", end="", file=shown, flush=True)
    try:
        line = typed.readline().strip()
    except UnicodeDecodeError:
        line = "\0"
    if not is_text(line):
        raise InputError("what was typed is not UTF-8; set the terminal to that encoding.")
    return line
