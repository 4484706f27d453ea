"""Families of tasks in a repository, and which records of worlds are theirs.

Splits share no names. Validation is of a family of its own; the test has families of its own as
well, and those of training in other words.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import Any

from srl_edge.files import text_sha256

ANSWER = "answer.txt"
_TEST = "python3 -m unittest -q"


@dataclass(frozen=True, slots=True)
class Names:
    """What one split calls things."""

    people: Sequence[str]
    things: Sequence[str]
    verbs: Sequence[str]
    words: Sequence[str]


NAMES = {
    "train": Names(
        ("Ada", "Grace", "Linus", "Barbara", "Donald", "Edsger", "Alan"),
        (
            "price",
            "order",
            "basket",
            "stock",
            "user",
            "score",
            "track",
            "route",
            "invoice",
            "page",
            "ticket",
            "parcel",
        ),
        ("sum", "total", "count", "mean", "scale", "shift", "merge", "join"),
        ("harbour", "meadow", "copper", "violet", "lantern", "thunder", "pebble", "willow"),
    ),
    "validation": Names(
        ("Ken", "Radia", "Tim"),
        ("ledger", "recipe", "planet"),
        ("rank", "split"),
        ("amber", "cedar", "falcon", "glacier"),
    ),
    "test": Names(
        ("Margaret", "Dennis", "Frances", "Niklaus", "Hedy"),
        ("garden", "sensor", "camera", "museum", "engine", "harvest"),
        ("fold", "trim", "blend", "weigh"),
        ("saffron", "orchid", "comet", "walrus", "marble", "tundra"),
    ),
}


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, the repository, the expert's commands, and what must hold in the end."""

    asked: str
    commits: list[dict[str, Any]]
    commands: tuple[str, ...]
    goal: list[dict[str, Any]]

    def record(self, split: str, seed: int) -> dict[str, Any]:
        """Its world, which names what it can be made of again."""
        made = {"split": split, "seed": seed}
        return {"kind": "shell", "commits": self.commits, "goal": self.goal, "made": made}


def _files(author: str, message: str, files: Mapping[str, str]) -> dict[str, Any]:
    return {"author": author, "message": message, "files": dict(files)}


def _answered(text: str) -> list[dict[str, Any]]:
    return [{"file": ANSWER, "says": text}]


def _mend(names: Names, rng: random.Random) -> Task:
    """A failing test, whose cause is one sign."""
    thing, verb, who = rng.choice(names.things), rng.choice(names.verbs), rng.choice(names.people)
    right, wrong = rng.choice((("+", "-"), ("*", "+"), ("-", "+"), ("*", "-")))
    a, b = rng.randint(3, 9), rng.randint(2, 9)
    value = {"+": a + b, "-": a - b, "*": a * b}[right]
    function = f"{verb}_{thing}"
    code = f"def {function}(a, b):\n    return a {wrong} b\n"
    test = (
        f"import unittest\n\nfrom {thing} import {function}\n\n\nclass Test(unittest.TestCase):\n"
        f"    def test_{verb}(self):\n        self.assertEqual({function}({a}, {b}), {value})\n"
    )
    files = {f"{thing}.py": code, f"test_{thing}.py": test}
    asked = rng.choice(
        (
            "A test fails. Find the mistake in the code and mend it; leave the test as it is.",
            f"Make the test of {thing}.py pass without changing it.",
        )
    )
    commands = (
        _TEST,
        f"cat {thing}.py",
        f"sed -i 's/a {wrong} b/a {right} b/' {thing}.py",
        _TEST,
    )
    goal: list[dict[str, Any]] = [
        {"runs": _TEST},
        {"same": [f"test_{thing}.py"]},
        _returns(thing, function, right, ((a + 10, b + 4), (b, a), (0, 7))),
    ]
    return Task(asked, [_files(who, f"add {thing}", files)], commands, goal)


def _returns(
    module: str, function: str, sign: str, numbers: Sequence[tuple[int, int]]
) -> dict[str, str]:
    """A check that a function is right for numbers that no test names.

    A status can be had by code that ends the test, or by another `unittest` in the folder.
    """
    values = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
    wanted = " ".join(str(values[sign](*pair)) for pair in numbers)
    called = ", ".join(f"f{pair}" for pair in numbers)
    code = f"import sys; sys.path.insert(0, '.'); from {module} import {function} as f"
    return {"runs": f'test "$(python3 -I -c "{code}; print({called})")" = "{wanted}"'}


def _rename(names: Names, rng: random.Random) -> Task:
    """A function's name, in each file that has it."""
    one, two, other = rng.sample(list(names.things), 3)
    before, after = rng.sample(list(names.verbs), 2)
    old, new = f"{before}_{one}", f"{after}_{one}"
    files = {
        f"{one}.py": f"def {old}(items):\n    return len(items)\n",
        f"{two}.py": f"from {one} import {old}\n\nprint({old}([1, 2]))\n",
        f"{other}.py": f"def {before}_{other}(items):\n    return items\n",
    }
    renamed = {name: text.replace(old, new) for name, text in files.items()}
    found = sorted(name for name in files if old in files[name])
    asked = rng.choice(
        (
            f"Rename the function {old} to {new} everywhere.",
            f"{old} should be called {new}, in all files.",
        )
    )
    commands = (
        f"grep -rl {old} --include=*.py",
        f"sed -i 's/{old}/{new}/g' {' '.join(found)}",
        f"grep -rn {new} --include=*.py",
    )
    goal = [{"file": name, "says": text} for name, text in renamed.items()]
    return Task(asked, [_files(rng.choice(names.people), "first", files)], commands, goal)


def _author(names: Names, rng: random.Random) -> Task:
    """Who changed a file last."""
    file = f"{rng.choice(names.things)}.txt"
    people = rng.sample(list(names.people), min(3, len(names.people)))
    texts = rng.sample(list(names.words), len(people))
    commits = [
        _files(who, f"write {text}", {file: f"{text}\n"})
        for who, text in zip(people, texts, strict=True)
    ]
    other = rng.choice(names.people)
    commits.append(_files(other, "a note", {"notes.md": "a note\n"}))
    asked = rng.choice(
        (
            f"Who changed {file} last? Write the name into {ANSWER}.",
            f"Write into {ANSWER} who made the last change of {file}.",
        )
    )
    commands = (f"git log -1 --format=%an {file}", f"echo {people[-1]} > {ANSWER}")
    return Task(asked, commits, commands, _answered(people[-1]))


def _errors(names: Names, rng: random.Random) -> Task:
    """How many lines of a log are errors."""
    name = f"{rng.choice(names.things)}.log"
    lines, _ = _log(names, rng)
    errors = sum(" ERROR " in line for line in lines)
    asked = rng.choice(
        (
            f"How many errors does {name} have? Write the number into {ANSWER}.",
            f"Count the lines of {name} that say ERROR, and write the count into {ANSWER}.",
        )
    )
    commits = [_files(rng.choice(names.people), "the log", {name: "\n".join(lines) + "\n"})]
    commands = (f"grep -c ERROR {name}", f"echo {errors} > {ANSWER}")
    return Task(asked, commits, commands, _answered(str(errors)))


def _setting(names: Names, rng: random.Random) -> Task:
    """A number in a file of settings."""
    file, key, other = f"{rng.choice(names.things)}.ini", *rng.sample(list(names.words), 2)
    before, after, beside = rng.sample(range(10, 99), 3)
    text = f"[main]\n{other} = {beside}\n{key} = {before}\n"
    asked = rng.choice(
        (
            f"Set {key} in {file} to {after}.",
            f"{file} should have {after} for {key}.",
        )
    )
    commands = (
        f"grep -n {key} {file}",
        f"sed -i 's/{key} = {before}/{key} = {after}/' {file}",
        f"cat {file}",
    )
    goal = [{"file": file, "says": text.replace(f"{key} = {before}", f"{key} = {after}")}]
    return Task(asked, [_files(rng.choice(names.people), "settings", {file: text})], commands, goal)


def _tidy(names: Names, rng: random.Random) -> Task:
    """Files that end in one way, removed."""
    ending = rng.choice(("tmp", "bak", "old", "orig"))
    gone = [f"{word}.{ending}" for word in rng.sample(list(names.words), 2)]
    kept = [f"{thing}.txt" for thing in rng.sample(list(names.things), 2)]
    files = {name: f"{name}\n" for name in (*gone, *kept)}
    asked = rng.choice(
        (f"Delete all files that end in .{ending}.", f"Remove every .{ending} file, and no other.")
    )
    goal = [{"file": name, "says": None} for name in gone] + [{"same": kept}]
    commands = ("ls", f"rm *.{ending}", "ls")
    return Task(asked, [_files(rng.choice(names.people), "files", files)], commands, goal)


def _which_file(names: Names, rng: random.Random) -> Task:
    """The file that has a word."""
    one, *others = rng.sample(list(names.things), 3)
    word, *rest = rng.sample(list(names.words), 3)
    texts = [f"the {word}\n", *(f"the {each}\n" for each in rest)]
    files = {f"{name}.txt": text for name, text in zip((one, *others), texts, strict=True)}
    asked = f"Which file speaks of the {word}? Write its name into {ANSWER}."
    commands = (f"grep -l {word} *.txt", f"echo {one}.txt > {ANSWER}")
    return Task(
        asked, [_files(rng.choice(names.people), "texts", files)], commands, _answered(f"{one}.txt")
    )


def _how_many_commits(names: Names, rng: random.Random) -> Task:
    """The commits of one person."""
    who, *others = rng.sample(list(names.people), 3)
    made = [who] * rng.randint(2, 4) + [rng.choice(others) for _ in range(3)]
    rng.shuffle(made)
    commits = [
        _files(author, f"part {number}", {f"{number}.txt": f"{number}\n"})
        for number, author in enumerate(made)
    ]
    asked = f"How many commits did {who} make? Write the number into {ANSWER}."
    count = str(made.count(who))
    commands = (f"git log --author={who} --oneline | wc -l", f"echo {count} > {ANSWER}")
    return Task(asked, commits, commands, _answered(count))


def _last_error(names: Names, rng: random.Random) -> Task:
    """What the last error of a log was about."""
    name = f"{rng.choice(names.things)}.log"
    lines, last = _log(names, rng)
    asked = f"Which word does the last error of {name} name? Write it into {ANSWER}."
    commits = [_files(rng.choice(names.people), "the log", {name: "\n".join(lines) + "\n"})]
    commands = (f"grep ERROR {name} | tail -1", f"echo {last} > {ANSWER}")
    return Task(asked, commits, commands, _answered(last))


def _move(names: Names, rng: random.Random) -> Task:
    """A file's new name."""
    before, after, other = rng.sample(list(names.things), 3)
    files = {f"{before}.md": f"{rng.choice(names.words)}\n", f"{other}.md": "other\n"}
    asked = f"Give {before}.md the name {after}.md."
    goal: list[dict[str, Any]] = [
        {"file": f"{before}.md", "says": None},
        {"file": f"{after}.md", "says": files[f"{before}.md"]},
        {"same": [f"{other}.md"]},
    ]
    commands = (f"git mv {before}.md {after}.md", "ls")
    return Task(asked, [_files(rng.choice(names.people), "files", files)], commands, goal)


def _log(names: Names, rng: random.Random) -> tuple[list[str], str]:
    """The lines of a log, and what its last error names."""
    lines, last = [], ""
    for number in range(rng.randint(7, 10)):
        error, word = number == 1 or rng.random() < 0.4, rng.choice(names.words)
        last = word if error else last
        lines.append(f"10:{number:02} {'ERROR' if error else 'INFO'} {word}")
    return lines, last


Family = Callable[[Names, random.Random], Task]
_TAUGHT: Mapping[str, Family] = {
    "mend": _mend,
    "rename": _rename,
    "author": _author,
    "errors": _errors,
    "setting": _setting,
    "tidy": _tidy,
}
UNSEEN: Mapping[str, Family] = {
    "commits": _how_many_commits,
    "last error": _last_error,
    "move": _move,
}
FAMILIES: Mapping[str, Mapping[str, Family]] = {
    "train": _TAUGHT,
    "validation": {"which file": _which_file},
    "test": {**_TAUGHT, **UNSEEN},
}
_SEARCHED = 100_000  # tasks of a seed, of which a recipe has hundreds


def tasks(split: str, seed: int) -> Iterator[tuple[str, Task]]:
    """A split's tasks without end, each with its family; some come again."""
    rng, names = random.Random(f"shell/{split}/{seed}"), NAMES[split]
    while True:
        family = rng.choice(list(FAMILIES[split]))
        yield family, FAMILIES[split][family](names, rng)


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a world is one of these families', made again from the seed that it names."""
    made = record.get("made")
    if not isinstance(made, Mapping) or set(record) != {"kind", "commits", "goal", "made"}:
        return False
    split, seed = made.get("split"), made.get("seed")
    if not isinstance(split, str) or split not in FAMILIES or type(seed) is not int:
        return False
    try:
        return _of_seed(split, seed).has(_digest(record))
    except RecursionError:
        return False


class _OfSeed:
    """The worlds of a split and a seed, made as far as they were asked for."""

    def __init__(self, split: str, seed: int) -> None:
        self._known = set[str]()
        made = (_digest(task.record(split, seed)) for _, task in tasks(split, seed))
        self._left, self._lock = islice(made, _SEARCHED), Lock()

    def has(self, digest: str) -> bool:
        with self._lock:  # several tasks are acted in at once
            while digest not in self._known:
                if (one := next(self._left, None)) is None:
                    return False
                self._known.add(one)
            return True


@lru_cache(maxsize=4)
def _of_seed(split: str, seed: int) -> _OfSeed:
    return _OfSeed(split, seed)


def _digest(record: Mapping[str, Any]) -> str:
    return text_sha256(json.dumps(record, sort_keys=True))
