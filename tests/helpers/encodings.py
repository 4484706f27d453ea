"""Where a file is opened, or a process read, in whatever encoding the machine prefers."""

import ast
from pathlib import Path

_OTHERS = ("os", "tarfile", "zipfile")  # whose `open` knows no text


def unnamed(file: Path) -> list[int]:
    """The lines of a module's calls that read or write text and name no encoding."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _text(call) and not _names_one(call)]


def _names_one(call: ast.Call) -> bool:
    return any(keyword.arg in ("encoding", None) for keyword in call.keywords)


def _text(call: ast.Call) -> bool:
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(text := said.get("text"), ast.Constant) and text.value is True:
        return True  # of a process
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    name = call.func.id if isinstance(call.func, ast.Name) else name
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    match name:
        case "read_text" if method:
            return not call.args
        case "write_text" if method:
            return len(call.args) == 1
        case "open" if isinstance(owner, ast.Name) and owner.id in _OTHERS:
            return False
        case "open" if not call.args and "mode" not in said:
            return method
        case "open" if not method and len(call.args) == 1 and "mode" not in said:
            return True
        case "open" | "fdopen" | "TemporaryFile" | "NamedTemporaryFile":
            given = [*call.args, *([said["mode"]] if "mode" in said else [])]
            return any(isinstance(each, ast.Constant) and _mode(each.value) for each in given)
    return False


def _mode(value: object) -> bool:
    return isinstance(value, str) and value[:1] in set("rwax") and set(value) <= set("rwax+t")
