"""The command line: one verb and its arguments, each verb a file of `srl_edge/commands/`."""

import contextlib
import difflib
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Sequence
from math import isfinite
from typing import Any

from srl_edge import __version__, processes
from srl_edge.terminal.signs import printable
from srl_edge.terminal.stderr import unending_stderr

# Every verb with one sentence, in the order in which a person meets them.
VERBS: dict[str, dict[str, str]] = {
    "Begin": {
        "demo": "the whole line on a small model, in minutes",
        "doctor": "what this machine can do, and what to install for the rest",
        "init": "write a commented recipe",
        "headroom": "is training worth it, which pipeline, how long would it take?",
        "fit": "does training fit into memory, and what to change where not?",
    },
    "The whole line, or one stage of it": {
        "run": "all of these in order; what is done and current is skipped",
        "data": "expert trajectories -> step prompts, split",
        "train": "step prompts -> adapter",
        "export": "adapter -> merged model -> artifacts to ship; or of any model",
        "check": "do the artifacts answer as the trained model does?",
        "bench": "accuracy, speed, memory and size of each",
        "report": "report.html, report.md, report.json",
    },
    "Look": {
        "watch": "training in the browser as it goes on, or two runs compared",
        "rollouts": "replies of a training step beside the expert's",
        "inspect": "what an artifact is, from its manifest",
        "bench-tasks": "measure anybody's artifacts, models, GGUF, .pte, ONNX, MLX",
        "compare": "what got worse between two folders of results?",
    },
    "Use it": {
        "chat": "ask an artifact, or a model of anybody's, in the terminal",
        "serve": "an OpenAI-compatible server of it, and a page",
    },
    "Hand on": {
        "card": "a model card for the adapter and for each artifact",
        "push": "the adapter or artifacts to a hub, when you say yes",
    },
    "Data, adapters and other engines": {
        "data generate": "trajectories from an OpenAI-compatible endpoint, verified",
        "data record": "requests to a home of your own, as you fulfil them",
        "convert-adapter": "a LoRA adapter in the form that a runtime reads",
        "scale": "the recipe's last stage as a job for TRL or verl",
        "completion": "let bash, zsh or fish complete verbs, options and settings",
    },
}
NO_THREADS = "no thread can be started here; end other programs, or raise the limit (`ulimit -u`)."
ALL = {verb: said for group in VERBS.values() for verb, said in group.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; ends the process with its exit code."""
    if {"_ARGCOMPLETE", "COMP_LINE", "COMP_POINT"} <= os.environ.keys():
        from srl_edge.commands.completion import complete

        complete(ALL)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console of few signs shows others as ?
            stream.reconfigure(errors="replace")
    unending_stderr()
    try:
        processes.listen()
    except KeyboardInterrupt:
        processes.end(signal.SIGINT)
    except RuntimeError as error:
        from srl_edge.errors import no_threads

        if not no_threads(error):
            raise
        sys.exit(_fail(NO_THREADS, 1, "--json" in (arguments or sys.argv)))
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    from srl_edge.errors import (
        InputError,
        ParityError,
        StageError,
        UnmeasuredError,
        no_threads,
        out_of_memory,
    )
    from srl_edge.files import named_in

    as_json = "--json" in arguments
    try:
        code = _command(arguments)
        sys.stdout.flush()
        return code
    except InputError as error:
        return _fail(error, 2, as_json)
    except ParityError as error:
        return _fail(error, 3, as_json)
    except UnmeasuredError as error:
        return _fail(error, 4, as_json)
    except StageError as error:
        return _fail(error, 1, as_json)
    except OSError as error:
        if _closed(error):
            _drop_output()
            return 0
        name = named_in(error)
        where = f"{name}: " if name else ""
        if error.errno == errno.ENOSPC and not name:  # what the output goes to is full
            _drop_output()
        return _fail(f"{where}{error.strerror or error}.", 2, as_json)
    except (MemoryError, RuntimeError) as error:
        if no_threads(error):
            return _fail(NO_THREADS, 1, as_json)
        if not out_of_memory(error):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return _fail(f"out of memory ({said}); take a smaller model or less at once.", 1, as_json)
    except UnicodeEncodeError as error:  # a name with bytes that are no characters
        if "surrogate" not in error.reason:
            raise
        before, after = error.object[: error.start], error.object[error.start :]
        name = before.rpartition("\n")[2] + after.partition("\n")[0]
        return _fail(f"{name!r}: is not UTF-8; rename what it names.", 2, as_json)
    except Exception as error:
        # What safetensors says of a disk that is full; its class is not imported for that.
        if type(error).__name__ != "SafetensorError":
            raise
        return _fail(f"{error}; is the disk full?", 2, as_json)
    except KeyboardInterrupt:
        processes.end(signal.SIGINT)
    except processes.Ended as end:
        processes.end(end.number)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers, which is no Exception
            raise
        said = (str(error).splitlines() or ["no reason given"])[0]
        return _fail(f"the tokenizer cannot be used for a text ({said}).", 2, as_json)


def _command(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help" | "help"]:
            print(overview())
            return 0
        case ["help", *asked]:
            return _command([*asked, "--help"])
        case ["-V" | "--version"]:
            print(__version__)
            return 0
    words = 2 if " ".join(arguments[:2]) in ALL else 1
    verb = " ".join(arguments[:words])
    if verb not in ALL:
        from srl_edge.errors import InputError

        raise InputError(_mistaken(verb))
    from srl_edge.commands.parser import file_of

    command, rest = file_of(verb), arguments[words:]
    parser = command.parser()
    if parser.settings and rest and rest[0][:1] != "-" and {"-h", "--help"} & set(rest):
        return _show_settings(parser, rest[0])
    chosen, settings = parser.read(rest)
    outcome = command.run(chosen, settings)
    if chosen.json:
        facts = {"text": outcome.text} if outcome.facts is None else outcome.facts
        print(json.dumps(_finite(facts), ensure_ascii=True, indent=1, default=str))
    elif outcome.text:
        print(printable(outcome.text))
    return _fail(outcome.fault, outcome.code) if outcome.fault else outcome.code


def overview() -> str:
    """Every verb in a line."""
    lines = [f"srl-edge {__version__}: from expert trajectories to a measured artifact on a device"]
    for title, verbs in VERBS.items():
        lines += ["", f"{title}:", *(f"  {verb:<16} {said}" for verb, said in verbs.items())]
    lines += [
        "",
        "`srl-edge VERB --help` says what a verb takes, and `srl-edge run RECIPE --help`",
        "lists every setting. All take --json, for programs, and --quiet.",
        "",
        "Exit codes: 0 success, 1 failure, 2 usage or input, 3 parity failed,",
        "4 parity not measured, 130 interrupted.",
    ]
    return "\n".join(lines)


def _show_settings(parser: Any, path: str) -> int:
    """The verb's help, and every setting with the value that this recipe gives it."""
    from pathlib import Path

    from srl_edge.commands.parser import recipe_of

    print(parser.format_help())
    with contextlib.suppress(SystemExit):  # the list is its end, too
        recipe_of(Path(path), ["--help"])
    return 0


def _finite(value: Any) -> Any:
    """A value whose figures JSON has: what is not finite is null."""
    match value:
        case float() if not isfinite(value):
            return None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
    return value


def _mistaken(verb: str) -> str:
    """What is wrong with a verb that is none, in a sentence."""
    if verb.startswith("-"):
        return f"{verb} stands before any verb; options follow theirs: `srl-edge doctor --json`."
    near = difflib.get_close_matches(verb, ALL, n=1)
    hint = f"did you mean `srl-edge {near[0]}`?" if near else "`srl-edge --help` lists them."
    return f"{verb!r} is no command of srl-edge; {hint}"


def _fail(message: object, code: int, as_json: bool = False) -> int:
    print(printable(f"srl-edge: {message}"), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": str(message), "exit_code": code}, ensure_ascii=True))
    return code


def _closed(error: OSError) -> bool:
    """Whether who read the output has enough of it; Windows calls that an invalid argument."""
    of_windows = sys.platform == "win32" and error.errno == errno.EINVAL
    return isinstance(error, BrokenPipeError) or (of_windows and error.filename is None)


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, so that Python ends without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
