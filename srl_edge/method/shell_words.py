"""A line of a shell as the commands that it runs, with quotes read as bash reads them."""

import re

Command = tuple[str, tuple[str, ...]]  # a name, and what follows it; first what joins it to others
_JOINS = re.compile(r"&&|\|\||\|&|;;|[;&|()\n]")
_REDIRECTS = re.compile(r"&>>?|>>|>\||>&|<<<|<<-?|<&|<>|[<>]")
_ANSI = re.compile(r"\$'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_END = re.compile(r"[ \t]*(?:'([^'\n]*)'|\"([^\"\n]*)\"|\\?([^\s;&|()<>'\"]+))")  # of a heredoc
_GLOBS = re.compile(r"[*?\[<>]")
# What quotes keep from being expanded; a dollar before anything else is one.
_EXPANDED = re.compile(r"[*?\[<>`]|\$(?=[\w({@*#?$!-])")


def commands(line: str) -> list[Command]:
    """The commands of a line, or of several; raises ValueError where bash would read on.

    A character that is quoted, and would mean something without quotes, has a backslash before it.
    Comments are left out, and each line of a heredoc is a word.
    """
    found: list[Command] = []
    joined, words = "", list[str]()
    for word, joins in _words(line):
        if not joins:
            words.append(word)
            continue
        if words:
            found.append(_command(joined, words))
            joined, words = "", []
        # The end of a line is a semicolon, where there is something to end.
        if word != "\n":
            joined += word
        elif found and not joined:
            joined = ";"
    if words:
        found.append(_command(joined, words))
    elif found and joined != ";":
        name, rest = found[-1]
        found[-1] = (name, (*rest, *([joined] if joined else ())))
    return found


def _command(joined: str, words: list[str]) -> Command:
    return words[0], (*([joined] if joined else ()), *words[1:])


def _words(line: str) -> list[tuple[str, bool]]:
    """Words, and what joins commands (True), in order."""
    found: list[tuple[str, bool]] = []
    heredocs: list[str] = []
    word: str | None = None  # that is being read

    def end() -> None:
        nonlocal word
        if word is not None:
            # Options hold patterns of their own, which the shell finds no files for.
            found.append((word.replace("\\*", "*") if word[:1] == "-" else word, False))
        word = None

    at = 0
    while at < len(line):
        char = line[at]
        if line.startswith("\\\n", at):
            at += 2
        elif char in " \t\r":
            end()
            at += 1
        elif char == "#" and word is None:
            at = (line.find("\n", at) + 1 or len(line) + 1) - 1
        elif redirect := _REDIRECTS.match(line, at):
            descriptor = word if word is not None and word.isdigit() else ""
            word = None if descriptor else word
            end()
            found.append((descriptor + redirect[0], False))
            at = redirect.end()
            if redirect[0] in ("<<", "<<-") and (closing := _END.match(line, at)):
                heredocs.append(next(name for name in closing.groups() if name is not None))
                at = closing.end()
        elif join := _JOINS.match(line, at):
            end()
            at = join.end()
            while join[0] == "\n" and heredocs:
                body, at = _heredoc(line, at, heredocs.pop(0))
                found += [(text, False) for text in body]
            found.append((join[0], True))
        else:
            text, at = _part(line, at, not word)
            word = (word or "") + text
    end()
    return found


def _part(line: str, at: int, begins: bool) -> tuple[str, int]:
    """A quoted part of a word, or a character of it, and where it ends."""
    char = line[at]
    if char == "\\":
        if at + 1 == len(line):
            raise ValueError("No escaped character")
        return _EXPANDED.sub(r"\\\g<0>", line[at + 1]), at + 2
    if char == "'":
        if (closing := line.find("'", at + 1)) < 0:
            raise ValueError("No closing quotation")
        text, at = line[at + 1 : closing], closing + 1
    elif ansi := _ANSI.match(line, at):
        text, at = ansi[1], ansi.end()
    elif char == '"':
        if not (double := _DOUBLE.match(line, at)):
            raise ValueError("No closing quotation")
        text = _GLOBS.sub(r"\\\g<0>", re.sub(r'\\(["\\])|\\\n', r"\1", double[1]))
        return ("\\" if begins and text[:1] == "~" else "") + text, double.end()
    else:
        return char, at + 1
    text = _EXPANDED.sub(r"\\\g<0>", text)
    return ("\\" if begins and text[:1] == "~" else "") + text, at


def _heredoc(line: str, at: int, closing: str) -> tuple[list[str], int]:
    """The lines up to the one that closes it, or all that are left."""
    lines = line[at:].split("\n")
    number = next((n for n, text in enumerate(lines) if text.strip("\t") == closing), len(lines))
    taken = sum(len(text) + 1 for text in lines[: number + 1])
    return lines[:number], min(at + taken, len(line))
