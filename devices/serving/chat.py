"""A chat with a model in the terminal, or of the lines of a pipe."""

import contextlib
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any, TextIO

from rich.console import Console

from srl_edge.devices.serving.model import Model, Reply, Sampling, ending
from srl_edge.devices.serving.text import AnswerAlone
from srl_edge.errors import InputError
from srl_edge.method.solving import Attempt
from srl_edge.terminal import progress
from srl_edge.terminal.signs import CONTROL

HELP = """\
/solve PROBLEM   solve a problem as in training: one reply a step, until the answer
/thought         show what the model thought before its last answer
/reset           begin a new chat
/help            this list
/quit            leave, as Ctrl-D does; Ctrl-C stops a reply"""
COMMANDS = ("/solve", "/thought", "/reset", "/help", "/quit")


class Terminal:
    """The chat, its history, and how it is shown.

    people: whether someone sits at it; else each line is a question of its own, whose reply is
    printed and nothing besides. asked, failed: how many lines were questions, and were not
    answered. replies: all of them, each with its question.
    """

    def __init__(
        self, model: Model, sampling: Sampling, max_steps: int, people: bool, out: TextIO
    ) -> None:
        self._model, self._sampling, self._max_steps = model, sampling, max_steps
        self._people = people
        self._out = Console(file=out, highlight=False, soft_wrap=True)
        self._aside = self._out if people else Console(stderr=True, highlight=False, soft_wrap=True)
        self._history: list[dict[str, Any]] = []
        self._thoughts: list[str] = []
        self.replies: list[tuple[str, Reply]] = []
        self.asked, self.failed = 0, list[tuple[str, str]]()

    def greet(self) -> None:
        """What it is, and what it was trained for."""
        model = self._model
        self._say(
            f"{model.name}, {model.context_length} tokens of context. /help lists what you can do."
        )
        if model.trained_step_by_step:
            self._say(
                "It was trained to solve problems step by step, which /solve PROBLEM asks "
                "for; other lines ask it as any chat model."
            )

    def take(self, line: str) -> bool:
        """Do what a line says; whether the chat goes on."""
        line = line.strip()
        word, _, rest = line.partition(" ")
        try:
            match word:
                case "":
                    pass
                case "/quit":
                    return False
                case "/help":
                    self._say(HELP)
                case "/reset":
                    self._history.clear()
                    self._say("A new chat begins.")
                case "/thought":
                    self._say("\n".join(self._thoughts) or "The last reply has no thought.")
                case "/solve":
                    self.asked += 1
                    self._solve(rest.strip(), line)
                case _ if word.startswith("/") and "/" not in word[1:]:
                    self.asked += 1
                    raise InputError(f"{word} is no command here; there are {', '.join(COMMANDS)}.")
                case _:
                    self.asked += 1
                    self._ask(line)
        except InputError as error:
            self.failed.append((line, str(error)))
            self._wrong(f"{error}{' /reset begins a new chat.' if self._history else ''}")
        except KeyboardInterrupt:
            self._say("\nstopped")
        return True

    def _ask(self, question: str) -> None:
        if not self._people and not self.replies and self._model.trained_step_by_step:
            self._say("It was trained to solve problems step by step, as /solve PROBLEM asks.")
        asked = {"role": "user", "content": question}
        self._thoughts, said = [], AnswerAlone()
        try:
            for each in self._model.stream([*self._history, asked], self._sampling):
                self._show(each, said, question)
        finally:
            # What was stopped stays as far as it came, since that is what can be read above.
            if self._people and (answer := said.answer.strip()):
                self._history += [asked, {"role": "assistant", "content": answer}]

    def _solve(self, problem: str, question: str) -> None:
        if not problem:
            raise InputError(
                "/solve needs a problem: /solve Ann has 3 cats and 4 dogs. How many animals?"
            )
        self._thoughts, said, step = [], AnswerAlone(), 1
        for each in self._model.solution(problem, self._max_steps, self._sampling):
            if isinstance(each, Attempt):
                self._say(ending(self._model, each))
                continue
            self._show(each, said, question, f"{step}. ")
            if isinstance(each, Reply):
                said, step = AnswerAlone(), step + 1

    def _show(self, each: str | Reply, said: AnswerAlone, question: str, title: str = "") -> None:
        """A piece, or the end of a reply to a question; title: what stands before its answer."""
        if isinstance(each, str):
            thinking, first = said.thinking, not said.answer
            text = said.add(each)
            if thinking or said.thinking:
                self._thinking(said.tokens, not said.thinking)
        else:
            first, text = not said.answer, said.rest()
            if said.thinking:
                self._thinking(said.tokens, True)
        if text:
            self._write(f"{title}{text}" if first else text)
        if isinstance(each, Reply):
            self._write("\n")
            self._ended(each, question)

    def _ended(self, reply: Reply, question: str) -> None:
        """Note a reply, and say how fast it came."""
        self.replies.append((question, reply))
        if reply.thought:
            self._thoughts.append(reply.thought)
        full = ", cut at the limit" if reply.finish_reason == "length" else ""
        self._say(
            f"{reply.completion_tokens} tokens{full}, {reply.tokens_per_second:.1f} tokens/s,"
            f" first after {reply.seconds_to_first:.2f} s"
        )

    def _write(self, text: str) -> None:
        """Text of the model's own."""
        self._out.file.write(CONTROL.sub("", text))
        self._out.file.flush()

    def _thinking(self, tokens: int, ended: bool) -> None:
        """A dim line for a thought: it grows while the model thinks, and then says how long."""
        line = f"thought, {tokens} tokens; /thought shows it" if ended else f"thinking, {tokens}"
        if self._out.is_terminal:
            self._out.file.write("\r\x1b[K")
            self._out.print(line, style="dim", end="\n" if ended else "")
            self._out.file.flush()
        elif ended and self._people:
            self._say(line)

    def _wrong(self, text: str) -> None:
        """What is wrong with a line, which is said where all else is quiet, too."""
        self._aside.print(CONTROL.sub("", text), style="dim", markup=False)

    def _say(self, text: str) -> None:
        if not progress.quiet():
            self._aside.print(CONTROL.sub("", text), style="dim", markup=False)


def converse(terminal: Terminal, people: bool) -> None:
    """Take lines until there are no more, or one says to leave."""
    if people:
        terminal.greet()
    for line in _typed() if people else _piped():
        if not terminal.take(line):
            break


def _typed() -> Iterator[str]:
    """What a person types; Ctrl-C drops a line that is begun."""
    with contextlib.suppress(ImportError):  # arrows and history, where the system has them
        import readline  # noqa: F401
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            print("\nCtrl-D leaves")
        except EOFError:
            print()
            return


def _piped() -> Iterator[str]:
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        yield line.rstrip("\n")
