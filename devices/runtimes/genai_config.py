"""What `genai_config.json` may say: shapes, ids and names, nothing that runs code or names a path.

onnxruntime-genai loads libraries and files that this file names, and artifacts come from anywhere.
"""

import json
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import parsed

FILE = "genai_config.json"
_LIBRARIES = (".so", ".dll", ".dylib", ".node", ".pyd")
# Texts by where they stand: names inside the graph, and labels. A model's file is in its folder.
_TEXTS = (
    "model.type",
    "model.decoder.filename",
    "model.decoder.session_options.log_id",
    "model.decoder.inputs.",
    "model.decoder.outputs.",
)
# Sections; the rest are numbers, switches and lists of them.
_SECTIONS = (
    "",
    "model",
    "search",
    "model.decoder",
    "model.decoder.session_options",
    "model.decoder.inputs",
    "model.decoder.outputs",
    "model.decoder.sliding_window",
)


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of an onnxruntime-genai folder.

    Raises InputError where they hold anything but what this program's exporters write.
    """
    file = folder / FILE
    for library in folder.rglob("*"):
        if library.suffix.lower() in _LIBRARIES or ".so." in library.name:
            raise InputError(f"{library}: a library of code has no place in an artifact.")
    try:
        config = parsed(file.read_bytes(), "Json")
        # Python keeps the last of two values of one name, and the runtime takes both.
        json.loads(file.read_bytes(), object_pairs_hook=_each_once)
        _require(config, "")
        filename = config["model"]["decoder"]["filename"]
        if Path(filename).name != filename or "\\" in filename:
            raise ValueError(f"model.decoder.filename names a file elsewhere ({filename})")
    except ValueError as error:
        raise _refused(file, str(error)) from None
    except (KeyError, TypeError):
        raise _refused(file, "model.decoder.filename is not there") from None
    found: dict[str, Any] = config
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _require(value: Any, where: str) -> None:
    if isinstance(value, dict):
        if where not in _SECTIONS:
            raise ValueError(f"{where} is not allowed to be a section")
        for key, inner in value.items():
            _require(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for inner in value:
            _require(inner, where)
    elif isinstance(value, str) and not where.startswith(_TEXTS):
        raise ValueError(f"{where} is not allowed to be a text ({json.dumps(value)})")


def _refused(file: Path, why: str) -> InputError:
    return InputError(f"{file}: {why}; it is not loaded, since such files can run code.")
