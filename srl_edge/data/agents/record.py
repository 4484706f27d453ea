"""Somebody acts in a world, and what they do becomes a row: a request, its actions, the goal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from srl_edge.data.adding import opened, rows_before
from srl_edge.data.agents.worlds import announce, enter, recorded
from srl_edge.data.values import Unusable, is_text
from srl_edge.errors import InputError
from srl_edge.files import read_text, writing
from srl_edge.method.prompt_form import DONE
from srl_edge.run_lock import held

HOW = (
    "Say a request, then the commands that fulfil it, one a line, and done. "
    "The end of input (Ctrl-D) ends it."
)
FAILED = "(This is not recorded. After a request's last command, say done.)"


def record(world: Path, out: Path, typed: TextIO, shown: TextIO) -> int:
    """Add a row to `out` for each request that is typed; how many there were.

    A home stays as a request left it; the next one begins there. Raises InputError for a world of
    no known form, where `out` holds something else, and where the input ends within a request.
    """
    if out.suffix not in (".jsonl", ".ndjson"):
        raise InputError(f"{out}: rows are written there; give it a name that ends in .jsonl.")
    try:
        found: Any = json.loads(read_text(world))
        record_ = dict(found) if isinstance(found, Mapping) else {}
        if not is_text(json.dumps(record_, ensure_ascii=False)):
            raise Unusable("half of a character (a lone surrogate)")
        announce("data", [record_])
        with enter(record_):
            pass
    except (ValueError, RecursionError) as error:
        raise InputError(f"{world}: not JSON: {error}.") from None
    except Unusable as why:
        raise InputError(f"{world}: {why}.") from None
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{out}: no file can be written there; make its folder first.")
    with held(out.absolute().parent, out.name):
        rows_before(out, "Recorded")
        print(HOW, file=shown)
        return _recorded(record_, out, typed, shown)


def _recorded(record_: dict[str, Any], out: Path, typed: TextIO, shown: TextIO) -> int:
    count = 0
    while request := _asked("request", typed, shown):
        row = _acted(request, record_, typed, shown)
        if len(row["steps"]) == 1:
            print("Not recorded: nothing was done.", file=shown)
            continue
        try:
            _, reached = recorded(record_, row["steps"])
        except Unusable as why:
            print(f"Not recorded: {why}.", file=shown)
            continue
        with writing(out), opened(out, "Recorded") as rows:
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
        if "state" in record_:
            record_ |= {"state": reached["goal"]}
    return count


def _acted(
    request: str, record_: Mapping[str, Any], typed: TextIO, shown: TextIO
) -> dict[str, Any]:
    """The row of a request, with what did not fail; raises InputError where input ends."""
    steps: list[str] = []
    with enter(record_) as world:
        while (action := _asked("", typed, shown)) != DONE:
            if not action:
                raise InputError(f"input ended before done: {request!r} is not recorded.")
            print(world.act(action), file=shown)
            if world.failed:  # what came to nothing is not to be learned
                print(FAILED, file=shown)
            else:
                steps.append(action)
    return {"problem": request, "world": dict(record_), "steps": [*steps, DONE]}


def _asked(what: str, typed: TextIO, shown: TextIO) -> str:
    """The next line that says something; '' at the end of input."""
    print(f"{what}> ", end="", file=shown, flush=True)
    try:
        line = next((text for text in iter(typed.readline, "") if text.strip()), "").strip()
    except UnicodeDecodeError:
        line = "\0"
    if not is_text(line):
        raise InputError("what was typed is not UTF-8; set the terminal to that encoding.")
    return line
