"""A git repository that an agent works in by commands of a shell, and checks of what it left there.

Its record is JSON: `{"kind": "shell", "commits": [{"author": "Ada", "message": "first", "files":
{"a.txt": "text"}}], "goal": [{"file": "answer.txt", "says": "Ada"}, {"runs": "python3 -m
unittest"}, {"same": ["test_a.py"]}]}`; in a later commit, what a file says anew.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from srl_edge.data.agents.sandbox import Sandbox
from srl_edge.data.values import Unusable, is_text

_SETUP = ".setup"
_NOT_RUN = (124, 125, 126, 127)  # too slow, too much, refused, no such command
_TIMES = re.compile(r"\b\d+\.\d+s\b")  # that a test took: what is recorded is the same again
_LARGEST = 1 << 20  # bytes of a file
_FIRST_DAY = 1_700_000_000  # commits are a day apart


class Shell:
    """A repository in a sandbox of its own."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._goal = _checked_goal(record.get("goal"))
        commits = _checked_commits(record.get("commits"))
        self.failed = False
        self._files = {name: text for each in commits for name, text in each["files"].items()}
        self._sandbox = Sandbox()
        try:
            self._build(commits)
        except BaseException:
            self._sandbox.__exit__()
            raise

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.__exit__()

    def act(self, action: str) -> str:
        """What a command writes, and its status where that is not 0."""
        output, status = self._sandbox.run(action)
        output = _TIMES.sub("0s", output)
        self.failed = status in _NOT_RUN
        said = {124: "it took too long", 125: "it took too much"}.get(status, f"status {status}")
        return "\n".join([*([output] if output else []), *([f"[{said}]"] if status else [])])

    def fulfilled(self) -> bool:
        """Whether all that the goal names holds."""
        return all(map(self._holds, self._goal))

    def reached(self) -> None:
        """A repository's goal must be told."""

    def _build(self, commits: Sequence[Mapping[str, Any]]) -> None:
        script = ["set -e", "git init -q -b main"]
        for number, commit in enumerate(commits):
            folder = self._sandbox.root / _SETUP / str(number)
            try:
                for name, text in commit["files"].items():
                    file = folder / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text, encoding="utf-8")
            except OSError as error:  # a file where a folder is
                raise Unusable(f"a repository that cannot be made ({error.strerror})") from None
            who, day = shlex.quote(commit["author"]), _FIRST_DAY + 86400 * number
            named = " ".join(
                f"GIT_{role}_NAME={who} GIT_{role}_EMAIL=agent@example.org "
                f"GIT_{role}_DATE='{day} +0000'"
                for role in ("AUTHOR", "COMMITTER")
            )
            script += [
                f"cp -r {_SETUP}/{number}/. .",
                f"git add -A -- ':!{_SETUP}'",
                f"{named} git commit -q -m {shlex.quote(commit['message'])}",
            ]
        # A file: it may be longer than a command can be.
        (self._sandbox.root / _SETUP / "all").write_text("\n".join(script), encoding="utf-8")
        self._sandbox.owned()
        made = self._sandbox.run(f"bash {_SETUP}/all && rm -rf {_SETUP}")
        if made.status:
            raise Unusable(f"a repository that cannot be made ({made.output})")

    def _holds(self, check: Mapping[str, Any]) -> bool:
        if "runs" in check:
            return not self._sandbox.run(check["runs"]).status
        if "same" in check:
            return all(self._text(name) == self._files.get(name) for name in check["same"])
        wanted: str | None = check["says"]
        if wanted is None:
            return not os.path.lexists(self._sandbox.root / check["file"])
        text = self._text(check["file"])
        return text is not None and text.strip() == wanted.strip()

    def _text(self, name: str) -> str | None:
        """What a file says; None where it is not there, may not be read, or leads elsewhere."""
        file = self._sandbox.root / name
        try:
            inside = file.resolve().is_relative_to(self._sandbox.root.resolve())
            if not inside or not file.is_file():
                return None
            with file.open("rb") as found:
                return found.read(_LARGEST).decode("utf-8", "replace")
        except (OSError, RuntimeError):  # the latter of links in a circle
            return None


def _checked_commits(commits: Any) -> Sequence[Mapping[str, Any]]:
    """The commits of a record; raises Unusable where they are of another form."""
    right = isinstance(commits, list) and all(
        isinstance(each, Mapping)
        and is_text(each.get("author"))
        and is_text(each.get("message"))
        and isinstance(each.get("files"), Mapping)
        and each["files"]
        and all(map(_inside, each["files"]))
        and all(is_text(text) and len(text) < _LARGEST for text in each["files"].values())
        for each in commits
    )
    if not right or not commits:
        raise Unusable("a repository whose commits are of no known form")
    return list(commits)


def _checked_goal(goal: Any) -> Sequence[Mapping[str, Any]]:
    def right(check: Any) -> bool:
        if not isinstance(check, Mapping):
            return False
        if "runs" in check:
            return is_text(check["runs"])
        if "same" in check:
            return isinstance(check["same"], list) and all(map(_inside, check["same"]))
        return _inside(check.get("file")) and isinstance(check.get("says", 0), str | None)

    if not isinstance(goal, list) or not goal or not all(map(right, goal)):
        raise Unusable("a repository whose goal is of no known form")
    return goal


def _inside(name: Any) -> bool:
    """Whether a name is that of a file in the repository."""
    if not is_text(name) or not 0 < len(name.encode()) < 1000:
        return False
    parts = PurePosixPath(name).parts
    return bool(parts) and not (
        name.startswith("/")
        or ".." in parts
        or parts[0].lower() in (".git", _SETUP)
        or any(len(part.encode()) > 255 for part in parts)
    )
