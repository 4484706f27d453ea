"""An adapter as a `.ptd` file beside an ExecuTorch program that reads its LoRA weights from one."""

from pathlib import Path
from typing import Any

import torch
from executorch.exir._serialize.data_serializer import DataEntry, DataPayload
from executorch.exir.tensor_layout import TensorLayout
from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer
from torch import Tensor

from srl_edge.errors import InputError
from srl_edge.exporters.decoder.weights import head_dim
from srl_edge.exporters.executorch.model import lora_name
from srl_edge.models import adapter_folder

_ALIGNMENT = 16  # bytes


def matrices(adapter: Path, config: Any, rank: int | None = None) -> dict[str, Tensor]:
    """A [1, in, rank] and B [1, rank, out], scaling in it, of every projection, by `lora_name`.

    config: the base's. rank: the program's, by default the adapter's largest. Zeros fill what the
    adapter has not. Raises InputError for a larger rank or other modules.
    """
    found = adapter_folder.pairs(adapter)
    ranks = [len(a) for a, _ in found.values()]
    rank = rank or max(ranks)
    if max(ranks) > rank:
        raise InputError(f"{adapter}: rank {max(ranks)} does not fit a program of rank {rank}.")
    tensors = zeros(config, rank)
    for module, (a, b) in found.items():
        if lora_name(module, "A") not in tensors:
            raise InputError(f"{adapter}: adapts {module}, which a program cannot take separately.")
        tensors[lora_name(module, "A")][0, :, : len(a)] = torch.from_numpy(a.T)
        tensors[lora_name(module, "B")][0, : len(a)] = torch.from_numpy(b.T)
    return tensors


def zeros(config: Any, rank: int) -> dict[str, Tensor]:
    """The matrices of no adapter: the base model."""
    hidden, inner, dim = config.hidden_size, config.intermediate_size, head_dim(config)
    heads, kv_heads = config.num_attention_heads * dim, config.num_key_value_heads * dim
    sizes = {
        "self_attn.q_proj": (hidden, heads),
        "self_attn.k_proj": (hidden, kv_heads),
        "self_attn.v_proj": (hidden, kv_heads),
        "self_attn.o_proj": (heads, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }
    tensors = {}
    for layer in range(config.num_hidden_layers):
        for name, (inputs, outputs) in sizes.items():
            tensors[lora_name(f"layers.{layer}.{name}", "A")] = torch.zeros(1, inputs, rank)
            tensors[lora_name(f"layers.{layer}.{name}", "B")] = torch.zeros(1, rank, outputs)
    return tensors


def write(tensors: dict[str, Tensor], file: Path) -> Path:
    """Write matrices as a `.ptd` file for a program that was exported with them; returns it."""
    buffers: dict[bytes, int] = {}  # equal matrices, as those of no adapter, are stored once
    entries = {}
    for name, tensor in tensors.items():
        index = buffers.setdefault(tensor.numpy().tobytes(), len(buffers))
        entries[name] = DataEntry(index, _ALIGNMENT, TensorLayout.from_tensor(tensor))
    with file.open("wb") as out:
        FlatTensorSerializer().serialize(DataPayload(list(buffers), entries)).write_to_file(out)
    return file
