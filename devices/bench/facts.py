"""What files that others made say of themselves, and a tokenizer in the form that is read here."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srl_edge import attended, owned, processes
from srl_edge.errors import InputError
from srl_edge.files import (
    cache_folder,
    cache_lock,
    file_sha256,
    fingerprint,
    parsed,
    read_json,
    scratch_folder,
    text_sha256,
)
from srl_edge.models import loading
from srl_edge.models.chat_template import ADDITIONAL
from srl_edge.models.tokenizer_file import opened

NOT_TOLD = "not told"
SECONDS = 600.0  # for a file to be read
_INT64 = 4  # ExecuTorch's code of that type
_FACTS = "gguf.json"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".data", ".gguf", ".pte", ".h5")


def tokenizer_of(folder: Path) -> Path:
    """The folder of a model's `tokenizer.json`: its own, or one in the cache that is made of it.

    Raises InputError where there is none.
    """
    if (folder / "tokenizer.json").is_file():
        return folder
    sources = [*folder.glob("*token*"), *folder.glob("vocab*"), *folder.glob("*.txt")]
    if not sources:
        raise InputError(
            f"{folder}: no tokenizer (tokenizer.json, tokenizer.model), so it cannot "
            "be asked; copy the model's own there."
        )
    made = _cached(_key(folder))
    if not made.is_dir():
        _make(made, lambda: loading.tokenizer(folder))
    if not (made / "tokenizer.json").is_file():
        raise InputError(
            f"{folder}: its tokenizer has no form as tokenizer.json, which is what is read here."
        )
    return made


def of_gguf(file: Path) -> tuple[dict[str, Any], Path]:
    """Architecture, quantization, context and ends of a GGUF file; the folder of its tokenizer.

    Raises InputError where it is none, or of an architecture that nothing here runs.
    """
    made = _cached(f"gguf-{fingerprint(file)}")
    if (made / _FACTS).is_file():
        said: dict[str, Any] = read_json(made / _FACTS, "Json")
        _require_architecture(said["architecture"], file)
        return said, made
    with file.open("rb") as begun:
        if begun.read(4) != b"GGUF":
            raise InputError(f"{file}: not a GGUF file, or a damaged one.")
    said = _read_gguf(file)
    _require_architecture(said["architecture"], file)
    _make(made, lambda: loading.tokenizer_of_gguf(file), said)
    return said, made


def _key(folder: Path) -> str:
    """Hex sha256 of all that a tokenizer may be read from: every file of a model but weights."""
    files = [*folder.glob("[!.]*"), *folder.glob(f"{ADDITIONAL}/*")]
    read = (file for file in files if file.is_file() and file.suffix not in _WEIGHTS)
    named = sorted(f"{file.relative_to(folder).as_posix()} {file_sha256(file)}" for file in read)
    return text_sha256("\n".join(named))


def _cached(name: str) -> Path:
    return cache_folder() / "tokenizers" / name


def _make(made: Path, read: Callable[[], Any], facts: Any = None) -> None:
    """Let transformers read a tokenizer, and keep it in the form that is read here."""
    with tempfile.TemporaryDirectory() as built:  # which takes long, so not with the cache locked
        read().save_pretrained(built)
        if facts is not None:
            Path(built, _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        with cache_lock():
            if made.is_dir() and {*os.listdir(built)} <= {*os.listdir(made)}:
                return  # another process was first
            with scratch_folder(made.parent, made.name) as scratch:
                shutil.copytree(built, scratch, dirs_exist_ok=True)
                owned.publish(scratch, made)


def _require_architecture(architecture: Any, file: Path) -> None:
    if find_spec("llama_cpp"):
        return  # it says itself what it does not run
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    # The first two are sections of every file, the others no decoders alone.
    runs = set(GGUF_SUPPORTED_ARCHITECTURES) - {"general", "tokenizer", "t5", "umt5"}
    if architecture not in runs:
        raise InputError(
            f"{file}: architecture {architecture!r} cannot be run here; without llama.cpp (pip "
            f"install llama-cpp-python) these can: {', '.join(sorted(runs))}."
        )


def _read_gguf(file: Path) -> dict[str, Any]:
    done = _asked("gguf_facts", file)
    try:
        said: dict[str, Any] = parsed(done.stdout, "Json")
    except ValueError:
        why = _last_words(done)
        raise InputError(f"{file}: not a GGUF file, or a damaged one: {why}.") from None
    return said | {"quantization": said["quantization"] or NOT_TOLD}


def _asked(module: str, file: Path) -> "subprocess.CompletedProcess[str]":
    command = processes.python(f"srl_edge.devices.runtimes.{module}", str(file))
    try:
        return attended.run(command, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(f"{file}: its reader does not end within {SECONDS:.0f} s.") from None


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode < 0:
        return f"its reader was ended by {signal.Signals(-done.returncode).name}"
    return (done.stderr.strip().splitlines() or ["no message"])[-1].rstrip(".")


def require_vocabulary(folder: Path, size: Any, file: Path) -> None:
    """Raise InputError where a tokenizer has ids that a program does not know, as far as told."""
    tokenizer = opened(folder)
    if isinstance(size, int) and tokenizer.get_vocab_size() > size:
        raise InputError(
            f"{file}: knows {size} tokens, and the tokenizer.json beside it "
            f"{tokenizer.get_vocab_size()}: they are not of one model."
        )


def of_pte(file: Path) -> dict[str, Any]:
    """Context, vocabulary and ends of a program that others made.

    Raises InputError where it cannot be read, or is not called with token ids and a position.
    """
    done = _asked("pte_facts", file)
    try:
        said: dict[str, Any] = parsed(done.stdout, "Json")
    except ValueError:
        raise InputError(f"{file}: ExecuTorch does not read it: {_last_words(done)}.") from None
    return read_pte(said, file)


def read_pte(said: dict[str, Any], file: Path) -> dict[str, Any]:
    """As `of_pte`, of what `runtimes/pte_facts.py` printed."""
    if "forward" not in said["methods"]:
        raise InputError(
            f"{file}: its methods are {', '.join(sorted(said['methods']))}; only a program whose "
            "`forward` takes token ids and a position is run."
        )
    shapes = [sizes for sizes, _ in said["inputs"]]
    types = {type_ for _, type_ in said["inputs"]}
    if [len(sizes) for sizes in shapes] != [2, 1] or shapes[0][0] != 1 or types != {_INT64}:
        raise InputError(
            f"{file}: its `forward` takes tensors of {shapes or 'no sizes'}; only a program that "
            "takes token ids [1, S] and a position, both int64, is run."
        )
    values = {name: v[0] if len(v) == 1 else v for name, v in said["values"].items()}
    if values.get("use_kv_cache") is False:
        raise InputError(
            f"{file}: keeps no keys and values (use_kv_cache is False), so each token would take "
            "the whole text again; export it with a cache."
        )
    context = values.get("get_max_context_len") or values.get("get_max_seq_len")
    ends = values.get("get_eos_ids", values.get("get_eos_id", []))
    return {
        "context": context if isinstance(context, int) else None,
        "most": shapes[0][1],  # tokens of one call
        "vocabulary": values.get("get_vocab_size"),
        "stops": [end for end in (ends if isinstance(ends, list) else [ends]) if _is_id(end)],
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
