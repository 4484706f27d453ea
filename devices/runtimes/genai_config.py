"""What `genai_config.json` may say: shapes, ids and names, nothing that runs code or names a path.

onnxruntime-genai loads libraries and files that this file names, and artifacts come from anywhere.
"""

import json
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import parsed

FILE = "genai_config.json"
# Texts by where they stand: names inside the graph, and labels. A model's file is in its folder.
_TEXTS = (
    "model.type",
    "model.decoder.filename",
    "model.decoder.session_options.log_id",
    "model.decoder.inputs.",
    "model.decoder.outputs.",
)
# Options of a session and of the search are numbers, but these sections hold no more than this.
_SESSION = {"log_id", "provider_options", "intra_op_num_threads", "inter_op_num_threads",
            "log_severity_level", "enable_cpu_mem_arena", "enable_mem_pattern"}  # fmt: skip
_DECODER = {"session_options", "filename", "head_size", "hidden_size", "inputs", "outputs",
            "num_attention_heads", "num_hidden_layers", "num_key_value_heads",
            "sliding_window"}  # fmt: skip
_MODEL = {"type", "bos_token_id", "eos_token_id", "pad_token_id", "context_length", "vocab_size",
          "decoder"}  # fmt: skip
_MAY_HOLD = {
    "": {"model", "search"},
    "model": _MODEL,
    "model.decoder": _DECODER,
    "model.decoder.session_options": _SESSION,
}


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of an onnxruntime-genai folder.

    Raises InputError where they hold anything but what this program's exporters write.
    """
    file = folder / FILE
    try:
        config = parsed(file.read_bytes(), "Json")
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


def _require(value: Any, where: str) -> None:
    if isinstance(value, dict):
        allowed = _MAY_HOLD.get(where)
        for key, inner in value.items():
            name = f"{where}.{key}" if where else key
            if allowed is not None and key not in allowed:
                raise ValueError(f"{name} is not allowed there")
            _require(inner, name)
    elif isinstance(value, list):
        if value and where.endswith("provider_options"):
            raise ValueError(f"{where} is not allowed to hold anything: the CPU runs it")
        for inner in value:
            _require(inner, where)
    elif isinstance(value, str) and not where.startswith(_TEXTS):
        raise ValueError(f"{where} is not allowed to be a text ({json.dumps(value)})")


def _refused(file: Path, why: str) -> InputError:
    return InputError(f"{file}: {why}; it is not loaded, since such files can run code.")
