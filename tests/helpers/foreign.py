"""What others might hand in, of one tiny model: folders and files without a manifest of ours."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors.torch import load_file

from srl_edge.devices.hosts import runner
from srl_edge.devices.hosts.machine import describe, state
from srl_edge.devices.hosts.session import Generated
from srl_edge.devices.runtimes.contract import Batched
from srl_edge.devices.runtimes.open import open_model
from srl_edge.exporters.onnx import build as onnx

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def copy_tokenizer(model: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        if (model / name).is_file():
            shutil.copy(model / name, folder)
    return folder


def genai_folder(model: Path, folder: Path, context: int = 512) -> Path:
    """As onnxruntime-genai's builder leaves it, with the tokenizer."""
    folder.mkdir(parents=True)
    onnx.export(model, folder, "fp32", context)
    return copy_tokenizer(model, folder)


def pte_folder(model: Path, folder: Path, context: int = 512) -> Path:
    """A program and its tokenizer."""
    from srl_edge.exporters.executorch import build as executorch

    copy_tokenizer(model, folder)
    executorch.export(model, folder, "fp32", context).rename(folder / "theirs.pte")
    return folder


def mlx_folder(model: Path, folder: Path) -> Path:
    from srl_edge.exporters.converters import mlx

    folder.mkdir(parents=True)
    mlx.export(model, folder, "fp32")
    return copy_tokenizer(model, folder)


def without_template(model: Path, folder: Path) -> Path:
    """The same model as a base model has it: no chat template."""
    shutil.copytree(model, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def gguf_file(model: Path, file: Path, architecture: str = "qwen2") -> Path:
    """A tiny Qwen2 in fp32, as llama.cpp's converter writes one."""
    config = json.loads((model / "config.json").read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _add_tokenizer(writer, model)
    for name, tensor in load_file(model / "model.safetensors").items():
        writer.add_tensor(_renamed(name), tensor.to(torch.float32).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: Any, model: Path) -> None:
    said = json.loads((model / "tokenizer.json").read_text())
    words = dict(said["model"]["vocab"]) | {t["content"]: t["id"] for t in said["added_tokens"]}
    special = {t["content"] for t in said["added_tokens"]}
    ordered = sorted(words, key=words.__getitem__)
    # The model has rows for more tokens than the tokenizer knows.
    ordered += [f"[PAD{at}]" for at in range(len(ordered), 512)]
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(ordered)
    writer.add_token_types(
        [
            kinds.CONTROL if word in special else kinds.NORMAL if word in words else kinds.UNUSED
            for word in ordered
        ]
    )
    writer.add_token_merges([" ".join(pair) for pair in said["model"]["merges"]])
    writer.add_eos_token_id(words["<|im_end|>"])
    writer.add_bos_token_id(words["<|im_start|>"])
    writer.add_pad_token_id(words["<|endoftext|>"])
    writer.add_chat_template((model / "chat_template.jinja").read_text())


def _renamed(name: str) -> str:
    outer = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in outer:
        return outer[name]
    _, _, layer, *rest = name.split(".")
    inner = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    return f"blk.{layer}.{inner['.'.join(rest[:-1])]}.{rest[-1]}"


class InProcess:
    """A session whose runner is in this process: the same answers without starting another."""

    def __init__(self, kind: str, path: Path, batch: int = 32) -> None:
        self._runtime = open_model(kind, path, 1)
        self._room = int(kind.partition(":")[2]) if ":" in kind else None
        self.batch = batch if isinstance(self._runtime, Batched) else 1
        self.load_seconds, self.machine, self.state = 0.1, describe(1), state()
        self.peak_memory_mib = self.energy_joules = None

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        stops: Sequence[int] = (),
        timeout: float | None = None,
        temperature: float = 0.0,
        seeds: Sequence[int] = (),
        reuse: bool = True,
    ) -> list[Generated]:
        del timeout
        question = {
            "prompts": prompts,
            "max_new_tokens": max_new_tokens,
            "stops": stops,
            "reuse": reuse,
            "temperature": temperature,
            "seeds": list(seeds) or [0] * len(prompts),
        }
        answered = runner.answer(self._runtime, question, self._room)
        return [Generated(**reply) for reply in answered["replies"]]

    def close(self) -> None:
        pass


def open_here(name: str, kind: str, folder: Path, threads: int) -> Any:
    """In place of `local.open_session`."""
    del name, threads
    return InProcess(kind, folder)
